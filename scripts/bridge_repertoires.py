"""Rule bridge_repertoires: clones of single cells in the bulk repertoire of the same blood."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.bridge_repertoires import BULK_COLUMNS, bridge_repertoires
    from immune_landscape.clone_store import stream_clonotypes
    from immune_landscape.store import read_table, write_table

    given, params = snakemake.input, snakemake.params
    clonotypes = read_table(given.clonotypes, index="cell")
    cells = read_table(given.cells, index="cell") if given.cells else None
    bulk = stream_clonotypes(given.bulk, BULK_COLUMNS)
    tables = bridge_repertoires(clonotypes, cells, bulk, read_table(given.design), params.seed, **params.settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    log.info("bulk samples: %s", tables["agreement"]["verdict"].value_counts().to_dict())
