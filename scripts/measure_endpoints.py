"""Rule measure_endpoints: response rates and median times."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_endpoints import measure_endpoints
    from immune_landscape.store import read_table, write_table

    patients, study = read_table(snakemake.input.patients), snakemake.params.study
    table = measure_endpoints(patients, study, **snakemake.params.settings)
    write_table(table, snakemake.output.endpoints)
    log.info("%d rows, %d of them given", len(table), table["estimate"].notna().sum())
