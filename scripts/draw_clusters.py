"""Rule draw_clusters: names of the clusters of a branch, and the patients and batches they are made of."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_clusters import draw_clusters
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    clusters, shares = read_table(snakemake.input.clusters), read_table(snakemake.input.shares)
    branch, study = snakemake.wildcards.branch, snakemake.params.study
    write_figures(draw_clusters(clusters, shares, branch, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d clusters", len(clusters))
