"""Rule compare_expression: which genes change, tested between patients and against permuted labels."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_expression import compare_expression
    from immune_landscape.contrast_tests import ContrastSettings
    from immune_landscape.pseudobulk import pseudobulk_of
    from immune_landscape.store import read_stage, read_table, write_table

    pseudobulk = pseudobulk_of(read_stage(snakemake.input.sums, stage="measure_expression"))
    design, study = read_table(snakemake.input.design), snakemake.params.study
    testing = ContrastSettings(**study["testing"])
    settings = snakemake.params.settings
    tables = compare_expression(pseudobulk, design, study["contrasts"], testing, snakemake.params.seed, **settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path)
    log.info("subsets by status: %s", tables["subsets"]["status"].value_counts().to_dict())
