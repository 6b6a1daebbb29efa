"""Rule cluster_cells: neighbours, clusters, their stability and UMAP of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cluster_cells import cluster_cells
    from immune_landscape.device import devices_of
    from immune_landscape.store import read_stage, read_table, write_stage, write_table

    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    earlier, branch = snakemake.input.get("earlier"), snakemake.wildcards.branch
    labels = read_table(earlier, index="cell") if earlier else None
    given = snakemake.params.seed, labels, devices_of(snakemake)
    found = cluster_cells(reduction, branch, *given, **snakemake.params.settings)
    log.info("%d cells: %s", found.cells.n_obs, found.cells.uns["clustering"])
    write_table(found.stability, snakemake.output.stability)
    write_table(found.jaccard, snakemake.output.jaccard)
    write_stage(found.cells, snakemake.output.clusters, stage="cluster_cells")
