"""Rule measure_quality: the quality of each sample in numbers that can be compared between groups."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_quality import measure_quality
    from immune_landscape.store import read_table, read_tables, write_table

    cells, steps = read_tables(snakemake.input.cells), read_table(snakemake.input.steps)
    values = measure_quality(cells, steps)
    write_table(values, snakemake.output.table)
    log.info("%d samples", values["sample"].nunique())
