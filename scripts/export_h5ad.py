"""Rule export_h5ad: one AnnData of the finished run, for further work."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts, write_file
    from immune_landscape.export_h5ad import export_h5ad
    from immune_landscape.store import PACKED, read_stage, read_table

    counts = open_counts(snakemake.input.counts)
    reduction = read_stage(snakemake.input.reduction, stage="reduce_cells")
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    given = {name: snakemake.input.get(name) for name in ("labels", "clonotypes")}
    tables = {name: read_table(path, index="cell") for name, path in given.items() if path}
    design = read_table(snakemake.input.design, index="sample")
    cells, slots = export_h5ad(counts, reduction, clusters, design, tables)
    log.info("%d cells x %d genes", *cells.shape)
    write_file(cells, snakemake.output.adata, PACKED, **slots)
