"""Rule draw_bridge: clones of single cells and of bulk repertoires beside each other."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_bridge import draw_bridge
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    names = ("subsets", "agreement", "capture", "clones", "design")
    study = snakemake.params.study
    drawn = draw_bridge(*(read_table(snakemake.input[name]) for name in names), study, **snakemake.params.settings)
    write_figures(drawn, snakemake.output, study)
    log.info("%d figures", len(drawn))
