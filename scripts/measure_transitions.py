"""Rule measure_transitions: expansion, transition and migration of each patient's clones."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_transitions import measure_transitions
    from immune_landscape.store import read_table, write_table

    given, params = snakemake.input, snakemake.params
    tables = {name: read_table(given[name], index="cell") for name in ("clonotypes", "cells", "receptors")}
    tables["design"] = read_table(given.design)
    found = measure_transitions(tables, params.seed, **params.settings)
    for name, table in found.items():
        write_table(table, snakemake.output[name])
    log.info("%d indices, %d pairs of tissues by subset", len(found["indices"]), len(found["sharing"]))
