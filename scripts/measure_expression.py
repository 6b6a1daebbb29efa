"""Rule measure_expression: raw counts summed per sample and subset."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_expression import measure_expression
    from immune_landscape.store import read_stage, read_table, write_stage

    counts = read_stage(snakemake.input.counts, stage="merge_samples")
    labels = read_table(snakemake.input.labels, index="cell")
    design = read_table(snakemake.input.design)
    sums = measure_expression(counts, labels, design, **snakemake.params.settings)
    write_stage(sums, snakemake.output.sums, stage="measure_expression")
    log.info("%d sums of %d subsets x %d genes", len(sums), sums.obs["subset"].nunique(), sums.n_vars)
