"""Rule draw_markers: dot plot of the marker genes of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_markers import draw_markers
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    dots, study = read_table(snakemake.input.dots), snakemake.params.study
    figure = draw_markers(dots, snakemake.wildcards.branch, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d dots", len(dots))
