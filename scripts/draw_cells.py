"""Rule draw_cells: the map of all cells or of one branch."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_cells import draw_cells, umap_table
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_stage, read_table

    branch, study = snakemake.wildcards.branch, snakemake.params.study
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    labels, design = read_table(snakemake.input.labels, index="cell"), read_table(snakemake.input.design)
    table = umap_table(clusters, labels, design, branch)
    write_figures(draw_cells(table, branch, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d cells", len(table))
