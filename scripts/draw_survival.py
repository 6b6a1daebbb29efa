"""Rule draw_survival: survival curves and a forest of subgroups."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_survival import draw_survival
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = {name: read_table(path) if path else None for name, path in snakemake.input.items()}
    study, level = snakemake.params.study, snakemake.params.definition["level"]
    write_figures(draw_survival(tables, study, level, **snakemake.params.settings), snakemake.output, study)
    log.info("%d rows of curves", len(tables["curves"]))
