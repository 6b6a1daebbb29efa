"""Rule annotate_lineages: the broad lineage of each cell."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.annotate_lineages import annotate_lineages, coverage_of_lineages
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.store import read_stage, read_table, write_table

    given, tissues = snakemake.input, tuple(snakemake.params.study["tissues"])
    counts = open_counts(given.counts)
    maps = read_stage(given.reduction, stage="reduce_cells"), read_stage(given.clusters, stage="cluster_cells")
    said = [read_table(path, index="cell") if path else None for path in (given.votes, given.receptors)]
    lineages = annotate_lineages(counts, *maps, tissues, *said, **snakemake.params.settings)
    log.info("%s", lineages["lineage"].value_counts().to_dict())
    write_table(lineages.reset_index(), snakemake.output.cells)
    write_table(coverage_of_lineages(tissues, counts.var_names), snakemake.output.markers)
