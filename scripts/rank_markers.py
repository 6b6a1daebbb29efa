"""Rule rank_markers: genes that mark lineages, subsets and clusters."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.device import devices_of
    from immune_landscape.rank_markers import rank_markers
    from immune_landscape.store import read_table, write_table

    counts = open_counts(snakemake.input.counts)
    labels = read_table(snakemake.input.labels, index="cell")
    markers = rank_markers(counts, labels, devices_of(snakemake), **snakemake.params.settings)
    write_table(markers, snakemake.output.markers)
    log.info("%d genes of %d groups", len(markers), len(markers[["branch", "kind", "group"]].drop_duplicates()))
