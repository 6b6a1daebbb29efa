"""Rule compare_values: the numbers per sample of a layer, tested between patients."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_values import compare_values
    from immune_landscape.contrast_tests import ContrastSettings
    from immune_landscape.store import read_table, write_table

    values, design = read_table(snakemake.input.table), read_table(snakemake.input.design)
    study, layer = snakemake.params.study, snakemake.wildcards.layer
    testing = ContrastSettings(**study["testing"])
    tables = compare_values(values, design, study["contrasts"], layer, testing, snakemake.params.seed)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("%s, rows by status: %s", layer, tables["contrasts"]["status"].value_counts().to_dict())
