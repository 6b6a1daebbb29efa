"""Rule measure_populations: gated populations as log odds of their parent gate."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_populations import measure_populations
    from immune_landscape.store import read_table, write_table

    populations, design = read_table(snakemake.input.populations), read_table(snakemake.input.design)
    values = measure_populations(populations, design, **snakemake.params.settings)
    log.info(
        "%d features, %d values, %d missing", values["feature"].nunique(), len(values), values["value"].isna().sum()
    )
    write_table(values, snakemake.output.table)
