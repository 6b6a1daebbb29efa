"""Rule measure_microenvironment: immune cells of tissue by sample, and by patient, visit and tissue."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.measure_microenvironment import measure_microenvironment
    from immune_landscape.store import read_table, write_table

    counts = open_counts(snakemake.input.counts)
    labels = read_table(snakemake.input.labels, index="cell")
    given = [read_table(snakemake.input[name]) for name in ("registry", "design")]
    definition, settings = snakemake.params.definition, snakemake.params.settings
    tables = measure_microenvironment(counts, labels, *given, definition, **settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path)
    log.info("%d numbers of %d samples", len(tables["values"]), tables["values"]["sample"].nunique())
