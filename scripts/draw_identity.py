"""Rule draw_identity: sex genes, shared clones and donor cells."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_identity import draw_identity
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("samples", "clones", "donor_cells")]
    study = snakemake.params.study
    figure = draw_identity(*tables, snakemake.params.definition, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
    log.info("%d samples", len(tables[0]))
