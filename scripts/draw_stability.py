"""Rule draw_stability: how stable the clusters of all cells or of one branch are at each resolution."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_stability import draw_stability
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables, study = snakemake.input, snakemake.params.study
    stability, jaccard = read_table(tables.stability), read_table(tables.jaccard)
    figure = draw_stability(stability, jaccard, snakemake.wildcards.branch, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d resolutions, %d clusters", len(stability), len(jaccard))
