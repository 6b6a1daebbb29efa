"""Rule draw_signatures: effects on signatures, what random gene sets show, and single patients."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_signatures import draw_signatures
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("contrasts", "differences", "nulls", "overlap")]
    study = snakemake.params.study
    figures = draw_signatures(*tables, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
