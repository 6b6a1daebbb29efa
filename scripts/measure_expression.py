"""Rule measure_expression: raw counts summed per sample and subset."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.measure_expression import measure_expression
    from immune_landscape.store import read_table, write_stage

    counts = open_counts(snakemake.input.counts)
    labels = read_table(snakemake.input.labels, index="cell")
    design = read_table(snakemake.input.design)
    scheduler = snakemake.resources.get("scheduler", "")
    sums = measure_expression(counts, labels, design, scheduler, **snakemake.params.settings)
    write_stage(sums, snakemake.output.sums, stage="measure_expression")
    log.info("%d sums of %d subsets x %d genes", len(sums), sums.obs["subset"].nunique(), sums.n_vars)
