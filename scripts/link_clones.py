"""Rule link_clones: which subsets hold the expanded clones, and what their cells express."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.link_clones import link_clones
    from immune_landscape.store import read_stage, read_table, write_table

    given, params = snakemake.input, snakemake.params
    tables = {name: read_table(given[name], index="cell") for name in ("clonotypes", "cells", "receptors")}
    tables |= {name: read_table(given[name]) for name in ("registry", "design")}
    counts = open_counts(given.counts)
    profiles = read_stage(given.profiles, stage="score_signatures")
    found = link_clones(tables, counts, profiles, params.study, params.seed, **params.settings)
    for name, table in found.items():
        write_table(table, snakemake.output[name])
    log.info("programmes by status: %s", found["programmes"]["status"].value_counts().to_dict())
