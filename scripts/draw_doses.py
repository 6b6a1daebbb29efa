"""Rule draw_doses: dose-limiting toxicities by dose level."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_doses import draw_doses
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    doses, mtd = (read_table(snakemake.input[name]) for name in ("doses", "mtd"))
    study = snakemake.params.study
    figure = draw_doses(doses, mtd, study, snakemake.params.definition["level"], **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d dose levels", len(doses))
