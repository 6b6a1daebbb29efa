"""Rule share_clones: clones that every two patients share, and the alarm where they are too many."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.clone_store import stream_clonotypes
    from immune_landscape.share_clones import BULK_COLUMNS, share_clones
    from immune_landscape.store import read_table, write_table

    given = snakemake.input
    clonotypes = read_table(given.clonotypes, index="cell") if given.clonotypes else None
    bulk = stream_clonotypes(given.bulk, BULK_COLUMNS) if given.bulk else []
    pairs, clones = share_clones(clonotypes, bulk, read_table(given.design), **snakemake.params.settings)
    write_table(pairs, snakemake.output.pairs)
    write_table(clones, snakemake.output.clones)
    log.info("pairs of patients: %s", pairs.groupby("source")["verdict"].value_counts().to_dict())
