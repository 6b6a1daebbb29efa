"""Rule draw_composition: every sample's composition, and each patient's change."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_composition import draw_composition
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    names = ("composition", "differences", "contrasts", "design")
    tables = [read_table(snakemake.input[name]) for name in names]
    study = snakemake.params.study
    figures = draw_composition(*tables, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
