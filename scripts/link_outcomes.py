"""Rule link_outcomes: immune features related to progression and death."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.link_outcomes import TEXTS, link_outcomes
    from immune_landscape.store import read_table, write_table

    study, given = snakemake.params.study, snakemake.input
    layers = {name: read_table(given[name]) for name in study["layers"]}
    facts = read_table(given.design), read_table(given.outcomes), study, snakemake.params.seed
    tables = link_outcomes(layers, *facts, **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path, TEXTS)
    log.info("%d rows, %d of them estimated", len(tables["links"]), tables["links"]["hazard_ratio"].notna().sum())
