"""Rule draw_expression: the genes that differ most, patient by patient, and their calibration."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_expression import draw_expression
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("genes", "subsets", "differences")]
    study = snakemake.params.study
    figures = draw_expression(*tables, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
