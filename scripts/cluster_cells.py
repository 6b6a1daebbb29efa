"""Rule cluster_cells: neighbours, clusters, their stability and UMAP of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cluster_cells import cluster_cells
    from immune_landscape.device import devices_of
    from immune_landscape.store import read_stage, read_table, write_stage, write_table

    devices = devices_of(snakemake)
    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    earlier, branch = snakemake.input.get("earlier"), snakemake.wildcards.branch
    labels = read_table(earlier, index="cell") if earlier else None
    found = cluster_cells(reduction, branch, snakemake.params.seed, labels, devices, **snakemake.params.settings)
    log.info("%d clusters of %d cells", found.cells.obs["cluster"].nunique(), found.cells.n_obs)
    log.info("%s", found.cells.uns["clustering"])
    write_table(found.stability, snakemake.output.stability)
    write_table(found.jaccard, snakemake.output.jaccard)
    write_stage(found.cells, snakemake.output.clusters, stage="cluster_cells")
