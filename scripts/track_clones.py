"""Rule track_clones: clones of each patient from visit to visit, and those that changed beyond noise."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.clone_sources import read_clones
    from immune_landscape.store import read_table, write_table
    from immune_landscape.track_clones import track_clones

    source, params = snakemake.wildcards.source, snakemake.params
    clones, design = read_clones(snakemake.input.clonotypes, source), read_table(snakemake.input.design)
    tables = track_clones(clones, design, params.study["visits"], source, params.seed, **params.settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("%d pairs of samples; %s", len(tables["pairs"]), tables["clones"]["change"].value_counts().to_dict())
