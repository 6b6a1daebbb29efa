"""Rule annotate_subsets: the subset of each cell of the NK or the T branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.annotate_subsets import annotate_subsets, coverage_of_branch
    from immune_landscape.blocked_counts import open_branch
    from immune_landscape.store import read_stage, read_table, write_table

    given, branch, tissues = snakemake.input, snakemake.wildcards.branch, tuple(snakemake.params.study["tissues"])
    counts = open_branch(given.counts, given.lineages, branch)
    maps = read_stage(given.reduction, stage="reduce_cells"), read_stage(given.clusters, stage="cluster_cells")
    said = [read_table(path, index="cell") if path else None for path in (given.votes, given.receptors)]
    cells, anchors = annotate_subsets(counts, *maps, branch, tissues, *said, **snakemake.params.settings)
    log.info("%s", cells["subset"].value_counts().to_dict())
    write_table(cells.reset_index(), snakemake.output.cells)
    write_table(anchors, snakemake.output.anchors)
    write_table(coverage_of_branch(branch, tissues, counts.var_names), snakemake.output.markers)
