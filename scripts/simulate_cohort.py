"""Rule simulate_cohort: the data files that a cohort's sheets name, and the truth behind them."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cohort import design_table, read_cohort
    from immune_landscape.simulate_cohort import simulate_cohort, write_cohort

    study = snakemake.params.study["cohort"]
    design = design_table(read_cohort(**study))
    simulated = simulate_cohort(design, snakemake.params.seed, **snakemake.params.settings)
    files = write_cohort(simulated, design, study["data_root"])
    log.info("SIMULATED: %d files, barcodes %s", len(files), simulated.truth["barcodes"])
