"""Rule rank_markers: genes that mark lineages, subsets and clusters."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.device import Devices
    from immune_landscape.rank_markers import rank_markers
    from immune_landscape.store import read_stage, read_table, write_table

    counts = read_stage(snakemake.input.counts, stage="merge_samples")
    labels = read_table(snakemake.input.labels, index="cell")
    markers = rank_markers(counts, labels, Devices(**snakemake.params.devices), **snakemake.params.settings)
    write_table(markers, snakemake.output.markers)
    log.info("%d genes of %d groups", len(markers), len(markers[["branch", "kind", "group"]].drop_duplicates()))
