"""Rule measure_expansion: expansion and diversity of each sample's repertoire at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_expansion import measure_expansion
    from immune_landscape.store import read_table, write_table

    clonotypes = read_table(snakemake.input.clonotypes, index="cell")
    path = snakemake.input.get("cells")
    cells = read_table(path, index="cell") if path else None
    design = read_table(snakemake.input.design)
    tables = measure_expansion(clonotypes, cells, design, snakemake.params.seed, **snakemake.params.settings)
    log.info("common depth: %s cells", tables[0].loc[tables[0]["standardised"], "depth"].min())
    for name, table in zip(("metrics", "by_subset", "values"), tables, strict=True):
        write_table(table, snakemake.output[name])
