"""Rule annotate_subsets: the subset of each cell of the NK or the T branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.annotate_subsets import annotate_subsets
    from immune_landscape.store import cells_of, read_stage, write_table

    branch, tissues = snakemake.wildcards.branch, tuple(snakemake.params.study["tissues"])
    counts = cells_of(read_stage(snakemake.input.counts, stage="merge_samples"), snakemake.input.lineages, branch)
    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    cells, anchors = annotate_subsets(counts, reduction, clusters, branch, tissues, **snakemake.params.settings)
    log.info("%s", cells["subset"].value_counts().to_dict())
    write_table(cells.reset_index(), snakemake.output.cells)
    write_table(anchors, snakemake.output.anchors)
