"""Rule name_clusters: names, nearest published states and flags of the clusters of a branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_branch
    from immune_landscape.name_clusters import TEXTS, name_clusters
    from immune_landscape.store import read_table, read_tables, write_table

    given, branch, study = snakemake.input, snakemake.wildcards.branch, snakemake.params.study
    counts = open_branch(given.counts, given.lineages, branch)
    subsets, anchors = read_table(given.subsets, index="cell"), read_table(given.anchors)
    tables = subsets, anchors, read_tables(given.doublets).set_index("cell"), read_table(given.design)
    named = name_clusters(counts, *tables, branch, study, **snakemake.params.settings)
    for table, path in zip(named, (snakemake.output.clusters, snakemake.output.shares), strict=True):
        write_table(table, path, TEXTS)
