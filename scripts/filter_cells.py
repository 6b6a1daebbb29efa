"""Rule filter_cells: which cells pass quality control."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.device import devices_of
    from immune_landscape.filter_cells import filter_cells
    from immune_landscape.store import read_stage, write_table

    counts = read_stage(snakemake.input.counts, stage="load_samples")
    metrics = filter_cells(counts, devices_of(snakemake), **snakemake.params.settings)
    log.info("%d of %d cells kept", metrics["keep"].sum(), len(metrics))
    write_table(metrics.reset_index(), snakemake.output.cells)
