"""Rule measure_markers: marker genes in the subsets that they name."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.measure_markers import measure_markers
    from immune_landscape.store import read_table, write_table

    counts = open_counts(snakemake.input.counts)
    labels = read_table(snakemake.input.labels, index="cell")
    dots = measure_markers(counts, labels, snakemake.wildcards.branch, **snakemake.params.settings)
    write_table(dots, snakemake.output.dots)
    log.info("%d genes in %d subsets", dots["gene"].nunique(), dots["subset"].nunique())
