"""Rule check_receptors: chain categories against doublet calls, T-cell receptors by lineage."""

from immune_landscape.job import running

with running(snakemake) as log:
    import pandas as pd

    from immune_landscape.check_receptors import check_receptors
    from immune_landscape.store import read_table, write_table

    given = snakemake.input
    clonotypes, cells = (read_table(path, index="cell") for path in (given.clonotypes, given.cells))
    called = pd.concat([read_table(path, index="cell") for path in given.doublets])
    tables = check_receptors(clonotypes, called, cells, read_table(given.samples), **snakemake.params.settings)
    for name, table in zip(("doublets", "lineages"), tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("lineages marked: %s", (tables[1]["evidence"] != "").sum())
