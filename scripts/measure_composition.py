"""Rule measure_composition: cells and proportions of each subset in each sample."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_composition import measure_composition
    from immune_landscape.store import read_table, write_table

    cells = read_table(snakemake.input.cells, index="cell")
    table = measure_composition(cells, read_table(snakemake.input.design), **snakemake.params.settings)
    log.info("%d cells in %d samples", len(cells), table["sample"].nunique())
    write_table(table, snakemake.output.composition)
