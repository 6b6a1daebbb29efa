"""Rule draw_quality: cells per step, distributions and doublet calls of every sample."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_quality import draw_quality
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table, read_tables

    cells, doublets = read_tables(snakemake.input.cells), read_tables(snakemake.input.doublets)
    steps, design = read_table(snakemake.input.steps), read_table(snakemake.input.design)
    study = snakemake.params.study
    figure = draw_quality(cells, steps, doublets, design, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d samples, %d cells", len(steps), len(cells))
