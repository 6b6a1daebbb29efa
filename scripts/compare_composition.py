"""Rule compare_composition: what changes in the composition, tested between patients."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_composition import absolute_counts, compare_composition
    from immune_landscape.contrast_tests import ContrastSettings
    from immune_landscape.store import read_table, write_table

    composition, design = read_table(snakemake.input.composition), read_table(snakemake.input.design)
    study, settings = snakemake.params.study, snakemake.params.settings
    absolute = absolute_counts(read_table(snakemake.input.measures), study["absolute_counts"])
    testing = ContrastSettings(**study["testing"])
    seeded = (study["contrasts"], testing, snakemake.params.seed, absolute)
    tables = compare_composition(composition, design, *seeded, **settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("rows by status: %s", tables["contrasts"]["status"].value_counts().to_dict())
