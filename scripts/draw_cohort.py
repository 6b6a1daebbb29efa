"""Rule draw_cohort: patients, visits and layers of data."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_cohort import draw_cohort
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    design, study = read_table(snakemake.input.design), snakemake.params.study
    figure = draw_cohort(design, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d samples", len(design))
