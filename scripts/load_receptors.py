"""Rule load_receptors: receptor chains of all samples, matched to the cells with counts."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.load_receptors import load_receptors
    from immune_landscape.store import read_table, write_stage, write_table

    counts = snakemake.input.get("counts")
    cells = open_counts(counts).obs_names if counts else None
    design = read_table(snakemake.input.design)
    receptors, samples = load_receptors(design, cells, snakemake.params.study, **snakemake.params.settings)
    log.info("%d barcodes of %d samples", receptors.n_obs, len(samples))
    write_stage(receptors, snakemake.output.receptors, stage="load_receptors")
    write_table(samples, snakemake.output.samples)
