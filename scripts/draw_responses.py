"""Rule draw_responses: waterfall, spider and swimmer."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_responses import draw_responses
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    paths = [snakemake.input[name] for name in ("outcomes", "timepoints", "responses")]
    tables = [read_table(path) if path else None for path in paths]
    study = snakemake.params.study
    write_figures(draw_responses(*tables, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%d patients", len(tables[0]))
