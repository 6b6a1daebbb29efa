"""Rule measure_repertoires: diversity and homeostasis of each sample's bulk repertoire at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.clone_store import stream_counts
    from immune_landscape.measure_repertoires import measure_repertoires
    from immune_landscape.store import read_table, write_table

    design, counts = read_table(snakemake.input.design), stream_counts(snakemake.input.clonotypes)
    tables = measure_repertoires(counts, design, snakemake.params.seed, **snakemake.params.settings)
    for name, table in zip(("metrics", "depths", "values"), tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("brought to %s templates", sorted(set(tables[1]["depth"].dropna().tolist())))
