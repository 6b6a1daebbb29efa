"""Rule check_inputs: sheets, data files and contrasts checked before any heavy job."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.check_inputs import check_inputs, declared_texts
    from immune_landscape.cohort import read_cohort
    from immune_landscape.store import write_table

    cohort = read_cohort(**snakemake.params.study["cohort"])
    tables = check_inputs(cohort, **snakemake.params.settings)
    log.info("%s", ", ".join(f"{len(table)} {name}" for name, table in tables.items()))
    for name, path in snakemake.output.items():
        write_table(tables[name], path, declared_texts(cohort))
