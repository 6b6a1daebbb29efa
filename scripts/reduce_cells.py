"""Rule reduce_cells: integrated principal components of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_branch
    from immune_landscape.device import devices_of
    from immune_landscape.reduce_cells import reduce_cells
    from immune_landscape.store import batch_of, read_table, write_stage

    devices = devices_of(snakemake)
    given, settings = snakemake.input, snakemake.params.settings
    counts = open_branch(given.counts, given.get("lineages"), snakemake.wildcards.branch)
    batch = batch_of(counts, read_table(given.design), snakemake.params.study["batch_key"])
    reduction = reduce_cells(counts, batch, snakemake.params.seed, devices, **settings)
    log.info("%d cells, integrated: %s", reduction.n_obs, reduction.uns["reduction"]["integrated"])
    write_stage(reduction, snakemake.output.reduction, stage="reduce_cells")
