"""Rule draw_repertoires: overlap, gene usage and CDR3 lengths of the bulk repertoires."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_repertoires import draw_repertoires
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("overlap", "usage", "design")]
    study = snakemake.params.study
    write_figures(draw_repertoires(*tables, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d samples", tables[1]["sample"].nunique())
