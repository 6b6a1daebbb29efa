"""Rule compare_outcomes: endpoints compared between randomised arms and other groups."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_outcomes import TEXTS, compare_outcomes
    from immune_landscape.store import read_table, write_table

    points = read_table(snakemake.input.timepoints) if snakemake.input.timepoints else None
    outcomes, study = read_table(snakemake.input.outcomes), snakemake.params.study
    tables = compare_outcomes(outcomes, points, study, **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path, TEXTS)
    log.info("%d comparisons, %d rows of subgroups", len(tables["comparisons"]), len(tables["subgroups"]))
