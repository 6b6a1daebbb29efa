"""Rule export_h5ad: one AnnData of the finished run, for further work."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.export_h5ad import export_h5ad
    from immune_landscape.store import read_stage, read_table, whole

    counts = read_stage(snakemake.input.counts, stage="merge_samples")
    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    given = {name: snakemake.input.get(name) for name in ("labels", "clonotypes")}
    tables = {name: read_table(path, index="cell") for name, path in given.items() if path}
    adata = export_h5ad(counts, reduction, clusters, read_table(snakemake.input.design, index="sample"), tables)
    log.info("%s", adata)
    with whole(snakemake.output.adata) as part:
        adata.write_h5ad(part, compression="gzip")
