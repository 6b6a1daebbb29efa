"""Rule measure_endpoints: response rates, survival, medians and restricted means."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_endpoints import measure_endpoints
    from immune_landscape.store import read_table, write_table

    outcomes, study = read_table(snakemake.input.outcomes), snakemake.params.study
    tables = measure_endpoints(outcomes, study, **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path)
    told = tables["endpoints"]
    log.info("%d rows, %d of them given", len(told), told["estimate"].notna().sum())
