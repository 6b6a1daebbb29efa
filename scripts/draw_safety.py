"""Rule draw_safety: adverse events by worst grade."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_safety import draw_safety
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    events, study = read_table(snakemake.input.events), snakemake.params.study
    figure = draw_safety(events, study, snakemake.params.definition["level"], **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d rows", len(events))
