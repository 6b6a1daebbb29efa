"""Rule model_visits: every feature at all visits of a patient in one mixed model."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.model_visits import model_visits
    from immune_landscape.store import read_table, write_table

    study, given = snakemake.params.study, snakemake.input
    layers = {name: read_table(given[name]) for name in study["layers"]}
    facts = [read_table(given.design), study["contrasts"], read_table(given.contrasts)]
    levels = study["testing"]["alpha"], study["pseudo_count"]
    models = model_visits(layers, *facts, *levels, **snakemake.params.settings)
    write_table(models, snakemake.output.models)
    log.info("%d rows, %d of them fitted, of %d contrasts", len(models), models["p"].notna().sum(), len(facts[1]))
