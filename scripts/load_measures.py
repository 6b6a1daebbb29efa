"""Rule load_measures: other numbers per sample on the scale on which patients are compared."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.load_measures import load_measures
    from immune_landscape.store import read_table, write_table

    measures, design = read_table(snakemake.input.measures), read_table(snakemake.input.design)
    values = load_measures(measures, design, **snakemake.params.settings)
    log.info(
        "%d features, %d values, %d missing", values["feature"].nunique(), len(values), values["value"].isna().sum()
    )
    write_table(values, snakemake.output.table)
