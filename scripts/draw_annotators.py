"""Rule draw_annotators: confusion of two annotators."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_annotators import draw_annotators
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    confusion, agreement = read_table(snakemake.input.confusion), read_table(snakemake.input.agreement)
    study = snakemake.params.study
    write_figures(draw_annotators(confusion, agreement, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d pairs of labels", len(confusion))
