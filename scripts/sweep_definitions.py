"""Rule sweep_definitions: the comparisons under other definitions of a responder."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.contrast_tests import ContrastSettings
    from immune_landscape.store import read_table, write_table
    from immune_landscape.sweep_definitions import sweep_definitions

    study, design = snakemake.params.study, read_table(snakemake.input.design)
    layers = {name: read_table(snakemake.input[name]) for name in study["layers"]}
    facts = [study[name] for name in ("contrasts", "responders", "second_sources", "floors")]
    testing = ContrastSettings(**study["testing"])
    swept = sweep_definitions(layers, design, *facts, testing, snakemake.params.seed, **snakemake.params.settings)
    write_table(swept, snakemake.output.definitions)
    log.info("%d definitions of a responder", swept["definition"].nunique())
