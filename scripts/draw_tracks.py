"""Rule draw_tracks: the largest clones of each patient from visit to visit."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_tracks import draw_tracks
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    clones, pairs = (read_table(snakemake.input[name]) for name in ("clones", "pairs"))
    study = snakemake.params.study | {"definition": definition_text(snakemake.params.definition)}
    source = snakemake.wildcards.source
    figure = draw_tracks(clones, pairs, source, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d pairs of samples", len(pairs))
