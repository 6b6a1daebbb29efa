"""Rule draw_recovery: planted against found effects of a simulated cohort."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_recovery import draw_recovery
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    recovery, study = read_table(snakemake.input.recovery), snakemake.params.study
    write_figures(draw_recovery(recovery, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%s", recovery["verdict"].value_counts().to_dict())
