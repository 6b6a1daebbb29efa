"""Rule model_expression: an established model of counts beside the primary test."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.model_expression import model_expression
    from immune_landscape.pseudobulk import pseudobulk_of
    from immune_landscape.store import read_stage, read_table, write_table

    pseudobulk = pseudobulk_of(read_stage(snakemake.input.sums, stage="measure_expression"))
    design, genes = read_table(snakemake.input.design), read_table(snakemake.input.genes)
    contrasts = snakemake.params.study["contrasts"]
    tables = model_expression(pseudobulk, design, contrasts, genes, **snakemake.params.settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("share of the same sign: %s", tables["agreement"]["share_same_sign"].astype(float).round(3).tolist())
