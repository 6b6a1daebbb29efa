"""Rule draw_sharing: clones that patients share."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_sharing import draw_sharing
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    pairs, study = read_table(snakemake.input.pairs), snakemake.params.study
    write_figures(draw_sharing(pairs, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d pairs of patients", len(pairs))
