"""Rule draw_values: each patient's numbers behind the contrasts of a layer."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_clonotypes import definition_text
    from immune_landscape.draw_values import draw_values
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    differences, contrasts = (read_table(snakemake.input[name]) for name in ("differences", "contrasts"))
    study = snakemake.params.study | {"definition": definition_text(snakemake.params.definition)}
    layer = snakemake.wildcards.layer
    figures = draw_values(differences, contrasts, study, layer, **snakemake.params.settings)
    write_figures(figures, snakemake.output, study)
    log.info("%s: %s", layer, ", ".join(figures))
