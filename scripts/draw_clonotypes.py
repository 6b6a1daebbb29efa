"""Rule draw_clonotypes: receptor chains and clonotype sizes."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_clonotypes import draw_clonotypes
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    study, text = snakemake.params.study, definition_text(snakemake.params.definition)
    path = snakemake.input.get("labels")
    labels = read_table(path, index="cell") if path else None
    chain_qc, design = (read_table(snakemake.input[name]) for name in ("chain_qc", "design"))
    clonotypes = read_table(snakemake.input.clonotypes, index="cell")
    figure = draw_clonotypes(chain_qc, clonotypes, labels, design, text, study, **snakemake.params.settings)
    write_figures(figure, snakemake.output, study)
