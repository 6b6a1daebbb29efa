"""Rule reduce_cells: integrated principal components of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.device import Devices
    from immune_landscape.reduce_cells import reduce_cells
    from immune_landscape.store import batch_of, cells_of, read_stage, read_table, write_stage

    devices = Devices(**snakemake.params.devices)
    given, settings = snakemake.input, snakemake.params.settings
    everything = read_stage(given.counts, stage="merge_samples")
    counts = cells_of(everything, given.get("lineages"), snakemake.wildcards.branch)
    batch = batch_of(counts, read_table(given.design), snakemake.params.study["batch_key"])
    reduction = reduce_cells(counts, batch, snakemake.params.seed, devices, **settings)
    log.info("%d cells, integrated: %s", reduction.n_obs, reduction.uns["reduction"]["integrated"])
    write_stage(reduction, snakemake.output.reduction, stage="reduce_cells")
