"""Rule cluster_cells: neighbours, clusters and UMAP of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cluster_cells import cluster_cells
    from immune_landscape.store import read_stage, write_stage

    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    clusters = cluster_cells(reduction, snakemake.wildcards.branch, snakemake.params.seed, **snakemake.params.settings)
    log.info("%d clusters of %d cells", clusters.obs["cluster"].nunique(), clusters.n_obs)
    write_stage(clusters, snakemake.output.clusters, stage="cluster_cells")
