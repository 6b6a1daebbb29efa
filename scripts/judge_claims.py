"""Rule judge_claims: prior claims held against this cohort."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.claim_files import read_claims
    from immune_landscape.judge_claims import judge_claims
    from immune_landscape.merge_contrasts import merge_contrasts
    from immune_landscape.store import read_table, write_table

    claims = [read_claims(path) for path in snakemake.input.claims]
    path, endpoints = snakemake.input.get("contrasts"), read_table(snakemake.input.endpoints)
    contrasts = read_table(path) if path else merge_contrasts({}, {}, [])
    swept = {name: snakemake.input.get(name) for name in ("references", "labels", "definitions")}
    sweeps = {name: read_table(path) for name, path in swept.items() if path}
    study, settings = snakemake.params.study, snakemake.params.settings
    ledger = judge_claims(claims, contrasts, endpoints, sweeps, study, **settings)
    write_table(ledger, snakemake.output.claims)
    log.info("verdicts: %s", ledger["verdict"].value_counts().to_dict())
