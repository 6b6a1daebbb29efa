"""Rule merge_contrasts: the contrasts of all layers in one table."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.layers import LAYERS
    from immune_landscape.merge_contrasts import merge_contrasts
    from immune_landscape.store import read_table, write_table

    given = {name: read_table(path) for name, path in snakemake.input.items() if path}
    tables = {layer: given[layer] for layer in LAYERS if layer in given}
    units = {layer: given[f"{layer}_units"] for layer in tables if f"{layer}_units" in given}
    study, settings = snakemake.params.study, snakemake.params.settings
    merged = merge_contrasts(tables, units, study["contrasts"], **settings)
    write_table(merged, snakemake.output.contrasts)
    log.info("rows by layer: %s", merged["layer"].value_counts().to_dict())
