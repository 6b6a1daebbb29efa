"""Rule draw_outcomes: hazard ratios of immune features, and survival on both sides of the median."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_outcomes import draw_outcomes
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = {name: read_table(path) for name, path in snakemake.input.items()}
    study, level = snakemake.params.study, snakemake.params.definition["level"]
    write_figures(draw_outcomes(tables, study, level, **snakemake.params.settings), snakemake.output, study)
    log.info("%d links", len(tables["links"]))
