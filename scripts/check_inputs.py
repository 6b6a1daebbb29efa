"""Rule check_inputs: sheets, data files and contrasts checked before any heavy job."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.check_inputs import check_inputs
    from immune_landscape.cohort import read_cohort
    from immune_landscape.store import write_table

    tables = check_inputs(read_cohort(**snakemake.params.study["cohort"]), **snakemake.params.settings)
    log.info("%d samples, %d files, %d notes", *(len(tables[name]) for name in ("design", "inputs", "notes")))
    for name in ("design", "inputs", "notes"):
        write_table(tables[name], snakemake.output[name])
