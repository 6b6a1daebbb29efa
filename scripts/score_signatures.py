"""Rule score_signatures: gene signatures in the cells of each sample and scope."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts
    from immune_landscape.scope_profiles import BRANCHES
    from immune_landscape.score_signatures import score_signatures
    from immune_landscape.store import read_stage, read_table, write_stage, write_table

    counts, labels = open_counts(snakemake.input.counts), read_table(snakemake.input.labels, index="cell")
    reduced = [read_stage(path, stage="reduce_cells") for path in snakemake.input.reductions]
    variable = {name: list(each.uns["reduction"]["genes"]) for name, each in zip(BRANCHES, reduced, strict=True)}
    tables, profiles = score_signatures(counts, labels, variable, **snakemake.params.settings)
    for name, table in tables.items():
        write_table(table, snakemake.output[name])
    write_stage(profiles, snakemake.output.profiles, stage="score_signatures")
    log.info("%d scores, %d overlaps to heed", len(tables["values"]), tables["overlap"]["warning"].sum())
