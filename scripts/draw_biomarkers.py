"""Rule draw_biomarkers: biomarkers of single patients by arm."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_biomarkers import draw_biomarkers
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    table, study = read_table(snakemake.input.biomarkers), snakemake.params.study
    figure = draw_biomarkers(table, study, snakemake.params.definition, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d rows", len(table))
