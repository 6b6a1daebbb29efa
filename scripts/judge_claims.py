"""Rule judge_claims: prior claims held against this cohort."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.claim_files import read_claims
    from immune_landscape.judge_claims import judge_claims
    from immune_landscape.merge_contrasts import merge_contrasts
    from immune_landscape.store import read_table, write_table

    claims = [read_claims(path) for path in snakemake.input.claims]
    endpoints, path = read_table(snakemake.input.endpoints), snakemake.input.get("contrasts")
    contrasts = read_table(path) if path else merge_contrasts({}, {}, [])
    wanted = [name for name in ("references", "labels", "definitions") if snakemake.input.get(name)]
    sweeps = {name: read_table(snakemake.input[name]) for name in wanted}
    ledger = judge_claims(claims, contrasts, endpoints, sweeps, snakemake.params.study, **snakemake.params.settings)
    write_table(ledger, snakemake.output.claims)
    log.info("verdicts: %s", ledger["verdict"].value_counts().to_dict())
