"""Rule sweep_clonotypes: expansion and its comparison under other definitions of a clonotype."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.store import read_table, write_table
    from immune_landscape.sweep_clonotypes import sweep_clonotypes

    receptors = read_table(snakemake.input.chains, index="cell")
    path, design = snakemake.input.get("cells"), read_table(snakemake.input.design)
    cells = read_table(path, index="cell") if path else None
    facts = snakemake.params.study, snakemake.params.seed
    tables = sweep_clonotypes(receptors, cells, design, *facts, **snakemake.params.settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("%d definitions of a clonotype", len(tables["definitions"]))
