"""Rule draw_robustness: the headline effects of composition under other analysis choices."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_robustness import draw_robustness
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    names = ("contrasts", "references", "models", "labels", "stability", "definitions")
    tables, study = [read_table(snakemake.input[name]) for name in names], snakemake.params.study
    figures = draw_robustness(*tables, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
