"""Rule draw_antigens: predicted antigens as multiples of what chance gives."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_antigens import draw_antigens
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    background, study = read_table(snakemake.input.background), snakemake.params.study
    write_figures(draw_antigens(background, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d rows", len(background))
