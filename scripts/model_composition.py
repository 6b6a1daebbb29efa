"""Rule model_composition: other models of composition beside the permutation test."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.model_composition import model_composition
    from immune_landscape.store import read_table, write_table

    given, study = snakemake.input, snakemake.params.study
    composition, design, tested, differences = map(
        read_table, (given.composition, given.design, given.contrasts, given.differences)
    )
    alpha, settings = study["testing"]["alpha"], snakemake.params.settings
    models = model_composition(composition, design, study["contrasts"], tested, differences, alpha, **settings)
    write_table(models, snakemake.output.models)
    log.info("same sign as the primary test: %s", models.groupby("model")["same_sign"].mean().round(3).to_dict())
