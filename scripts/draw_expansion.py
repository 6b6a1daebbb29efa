"""Rule draw_expansion: repertoire metrics of each patient at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_expansion import draw_expansion
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    metrics = read_table(snakemake.input.metrics)
    study, text = snakemake.params.study, definition_text(snakemake.params.definition)
    figure = draw_expansion(metrics, text, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d rows", len(metrics))
