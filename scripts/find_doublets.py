"""Rule find_doublets: doublet scores of the cells that passed quality control."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.device import devices_of
    from immune_landscape.find_doublets import find_doublets
    from immune_landscape.store import read_stage, read_table, write_table

    devices = devices_of(snakemake)
    counts = read_stage(snakemake.input.counts, stage="load_samples")
    quality = read_table(snakemake.input.quality, index="cell")
    kept = counts[quality.loc[counts.obs_names, "keep"].to_numpy(dtype=bool)].copy()
    doublets = find_doublets(kept, snakemake.params.seed, devices, **snakemake.params.settings)
    log.info("%d of %d cells called doublets", doublets["doublet"].sum(), len(doublets))
    write_table(doublets.reset_index(), snakemake.output.cells)
