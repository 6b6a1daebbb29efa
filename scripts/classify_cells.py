"""Rule classify_cells: what a reference would call each cell."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.classify_cells import classify_cells
    from immune_landscape.references import reference_of
    from immune_landscape.store import read_stage, write_table

    reference = reference_of(snakemake.params.study["reference"], snakemake.input.reference)
    counts = open_counts(snakemake.input.counts)
    clusters = read_stage(snakemake.input.clusters, stage="cluster_cells")
    votes = classify_cells(counts, clusters, reference, snakemake.params.seed, **snakemake.params.settings)
    log.info("%s", votes["label"].value_counts().to_dict())
    write_table(votes.reset_index(), snakemake.output.votes)
