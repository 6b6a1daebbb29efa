"""Rule compare_composition: what changes in the composition, tested between patients."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_composition import compare_composition
    from immune_landscape.store import read_table, write_table

    composition, design = read_table(snakemake.input.composition), read_table(snakemake.input.design)
    study, settings = snakemake.params.study, snakemake.params.settings
    tables = compare_composition(composition, design, study["contrasts"], snakemake.params.seed, **settings)
    for name, table in zip(["contrasts", "differences", "references"], tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("rows by status: %s", tables[0]["status"].value_counts().to_dict())
