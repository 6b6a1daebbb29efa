"""Rule report_cohort: the summary page."""

from immune_landscape.job import running

with running(snakemake) as log:
    import pandas as pd

    from immune_landscape.report_cohort import report_cohort, software_versions
    from immune_landscape.store import read_table, whole

    study = snakemake.params.study
    single = {name: path for name, path in snakemake.input.items() if name != "null"}
    tables = {name: read_table(path) if path else None for name, path in single.items()}
    nulls = [read_table(path).assign(layer=name) for name, path in zip(study["layers"], snakemake.input.null)]  # noqa: B905 - no runs without contrasts
    tables["null"] = pd.concat([table for table in nulls if len(table)] or nulls) if nulls else None
    page = report_cohort(tables | {"versions": software_versions()}, study, **snakemake.params.settings)
    with whole(snakemake.output.html) as part:
        part.write_text(page, encoding="utf-8")
    log.info("%d characters", len(page))
