"""Rule cluster_clonotypes: clonotypes whose receptors are alike."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.cluster_clonotypes import cluster_clonotypes
    from immune_landscape.store import read_stage, read_table, write_table

    receptors = read_stage(snakemake.input.receptors, stage="load_receptors")
    clonotypes = read_table(snakemake.input.clonotypes, index="cell")
    tables = cluster_clonotypes(receptors, clonotypes, snakemake.threads, **snakemake.params.settings)
    for name, table in zip(("clusters", "members"), tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("%d clusters of two or more clonotypes", len(tables[0]))
