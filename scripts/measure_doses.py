"""Rule measure_doses: dose-limiting toxicities by dose level."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_doses import TEXTS, measure_doses
    from immune_landscape.store import read_table, write_table

    tables = measure_doses(read_table(snakemake.input.patients), **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path, TEXTS)
    log.info("maximum tolerated dose %s", tables["mtd"]["status"].iloc[0])
