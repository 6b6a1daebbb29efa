"""Rule load_samples: raw counts of a handful of samples, checked to be raw counts."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.load_samples import load_samples
    from immune_landscape.store import read_table, write_stage, write_table

    design, study = read_table(snakemake.input.design), snakemake.params.study
    rows = design[design["sample"].isin(study["samples"])]
    counts, notes = load_samples(rows, study, **snakemake.params.settings)
    log.info("%d cells x %d genes of %d samples", *counts.shape, len(rows))
    write_stage(counts, snakemake.output.counts, stage="load_samples")
    write_table(notes, snakemake.output.notes)
