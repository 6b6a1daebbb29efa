"""Rule compare_expansion: repertoire metrics between groups of patients."""

from immune_landscape.job import running

with running(snakemake) as log:
    import pandas as pd

    from immune_landscape.compare_expansion import compare_expansion
    from immune_landscape.store import read_table, write_table

    tables = [read_table(snakemake.input[name]) for name in ("metrics", "by_subset")]
    expansion = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    design, study = read_table(snakemake.input.design), snakemake.params.study
    tables = compare_expansion(
        expansion, design, study["contrasts"], snakemake.params.seed, **snakemake.params.settings
    )
    write_table(tables[0], snakemake.output.contrasts)
    write_table(tables[1], snakemake.output.differences)
    log.info("rows by status: %s", tables[0]["status"].value_counts().to_dict())
