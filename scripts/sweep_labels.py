"""Rule sweep_labels: composition compared again under many other labellings of the cells."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_branch
    from immune_landscape.store import batch_of, read_stage, read_table, write_table
    from immune_landscape.sweep_labels import BranchData, sweep_labels

    given, study = snakemake.input, snakemake.params.study
    design, branches = read_table(given.design), {}
    for name, reduction, clusters in zip(study["branches"], given.reductions, given.clusters, strict=True):
        counts = open_branch(given.counts, given.lineages, name)
        parts = read_stage(reduction, stage="reduce_cells"), read_stage(clusters, stage="cluster_cells")
        branches[name] = BranchData(counts, *parts, batch_of(counts, design, study["batch_key"]))
    facts = read_table(given.cells, index="cell"), design, read_table(given.contrasts), study, snakemake.params.seed
    for name, table in sweep_labels(branches, *facts, **snakemake.params.settings).items():
        write_table(table, snakemake.output[name])
