"""Rule annotate_lineages: the broad lineage of each cell."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.annotate_lineages import annotate_lineages
    from immune_landscape.store import read_stage, write_table

    counts = read_stage(snakemake.input.counts, stage="merge_samples")
    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    lineages = annotate_lineages(counts, reduction, clusters, **snakemake.params.settings)
    log.info("%s", lineages["lineage"].value_counts().to_dict())
    write_table(lineages.reset_index(), snakemake.output.cells)
