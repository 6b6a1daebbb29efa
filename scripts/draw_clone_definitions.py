"""Rule draw_clone_definitions: expansion under other definitions of a clonotype."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_clone_definitions import draw_clone_definitions
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    tables = [read_table(snakemake.input[name]) for name in ("definitions", "samples", "contrasts")]
    study, text = snakemake.params.study, definition_text(snakemake.params.definition)
    figures = draw_clone_definitions(*tables, text, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s", ", ".join(figures))
