"""Rule derive_responses: responses by RECIST 1.1, of each assessment and of each patient."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.derive_responses import TEXTS, derive_responses
    from immune_landscape.store import read_table, write_table

    outcomes, assessments = (read_table(snakemake.input[name]) for name in ("outcomes", "assessments"))
    tables = derive_responses(outcomes, assessments, snakemake.params.study, **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path, TEXTS)
    log.info("%d assessments of %d patients", len(tables["timepoints"]), len(tables["responses"]))
