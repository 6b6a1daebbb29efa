"""Rule draw_expansion: repertoire metrics of each patient at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_expansion import draw_expansion
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("metrics", "differences", "contrasts")]
    study = snakemake.params.study
    figures = draw_expansion(*tables, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
