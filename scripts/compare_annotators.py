"""Rule compare_annotators: how far markers, clusters, reference and receptors agree on each cell."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.compare_annotators import compare_annotators
    from immune_landscape.store import read_table, write_table

    lineages = read_table(snakemake.input.lineages, index="cell")
    subsets = [read_table(path, index="cell") for path in snakemake.input.subsets]
    tables = compare_annotators(lineages, *subsets, **snakemake.params.settings)
    for table, name in zip(tables, ("confusion", "agreement", "disagreements"), strict=True):
        write_table(table, snakemake.output[name])
    log.info("\n%s", tables[1].to_string())
