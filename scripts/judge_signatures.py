"""Rule judge_signatures: effects on signatures beside those on random gene sets of like expression."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.judge_signatures import judge_signatures
    from immune_landscape.store import read_stage, read_table, write_table

    profiles = read_stage(snakemake.input.profiles, stage="score_signatures")
    tables = [read_table(snakemake.input[name]) for name in ("registry", "contrasts", "design")]
    declared, seed = snakemake.params.study["contrasts"], snakemake.params.seed
    nulls = judge_signatures(profiles, *tables, declared, seed, **snakemake.params.settings)
    write_table(nulls, snakemake.output.nulls)
    log.info("%d effects compared with random sets", (nulls["sets"] > 0).sum())
