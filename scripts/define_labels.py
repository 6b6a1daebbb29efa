"""Rule define_labels: one row per cell with its frozen labels."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.define_labels import define_labels
    from immune_landscape.store import read_table, write_table

    lineages = read_table(snakemake.input.lineages, index="cell")
    subsets = [read_table(path, index="cell") for path in snakemake.input.subsets]
    clusters = [read_table(path) for path in snakemake.input.clusters]
    labels = define_labels(lineages, subsets, clusters, **snakemake.params.settings)
    log.info("%s", labels["subset"].value_counts().to_dict())
    write_table(labels.reset_index(), snakemake.output.cells)
