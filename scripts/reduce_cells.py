"""Rule reduce_cells: integrated principal components of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.reduce_cells import reduce_cells
    from immune_landscape.store import batch_of, cells_of, read_stage, read_table, write_stage

    counts = cells_of(
        read_stage(snakemake.input.counts, stage="merge_samples"),
        snakemake.input.get("lineages"),
        snakemake.wildcards.branch,
    )
    batch = batch_of(counts, read_table(snakemake.input.design), snakemake.params.study["batch_key"])
    reduction = reduce_cells(counts, batch, snakemake.params.seed, **snakemake.params.settings)
    log.info(
        "%d cells, %s",
        reduction.n_obs,
        {k: v for k, v in reduction.uns["reduction"].items() if k == "integrated"},
    )
    write_stage(reduction, snakemake.output.reduction, stage="reduce_cells")
