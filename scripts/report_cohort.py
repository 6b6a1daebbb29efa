"""Rule report_cohort: the summary page."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.report_cohort import report_cohort, software_versions
    from immune_landscape.store import read_table, whole

    tables = {name: read_table(path) if path else None for name, path in snakemake.input.items()}
    tables.setdefault("versions", software_versions())
    page = report_cohort(tables, snakemake.params.study, **snakemake.params.settings)
    with whole(snakemake.output.html) as part:
        part.write_text(page, encoding="utf-8")
    log.info("%d characters", len(page))
