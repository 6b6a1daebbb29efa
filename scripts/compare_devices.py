"""Rule compare_devices: the heavy steps on a subsample, on the CPU and on the device of the run."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.compare_devices import compare_devices
    from immune_landscape.device import devices_of
    from immune_landscape.store import batch_of, read_table, write_table

    study, settings = snakemake.params.study, snakemake.params.settings
    counts = open_counts(snakemake.input.counts)
    batch = batch_of(counts, read_table(snakemake.input.design), study["batch_key"])
    devices = devices_of(snakemake)
    table = compare_devices(counts, batch, snakemake.params.seed, study, devices, **settings)
    log.info("%s", table.to_string(index=False))
    write_table(table, snakemake.output.agreement)
