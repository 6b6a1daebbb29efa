"""Rule draw_contrasts: forest plot of each composition contrast."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_contrasts import draw_contrasts
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    study = snakemake.params.study
    figures = draw_contrasts(read_table(snakemake.input.contrasts), study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
