"""Rule draw_microenvironment: immune cells of tissue by visit."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_microenvironment import draw_microenvironment
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    study = snakemake.params.study
    patients, samples = (read_table(snakemake.input[name]) for name in ("patients", "samples"))
    figure = draw_microenvironment(patients, samples, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d numbers of patients", len(patients))
