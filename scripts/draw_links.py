"""Rule draw_links: expanded shares by subset, and transitions between subsets."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_links import draw_links
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    study, text = snakemake.params.study, definition_text(snakemake.params.definition)
    subsets, summary = (read_table(snakemake.input[name]) for name in ("subsets", "summary"))
    figures = draw_links(subsets, summary, text, study, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%d rows of subsets, %d of transitions", len(subsets), len(summary))
