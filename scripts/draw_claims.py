"""Rule draw_claims: the claims ledger on one page."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.draw_claims import draw_claims
    from immune_landscape.figures import write_figures
    from immune_landscape.store import read_table

    ledger, study = read_table(snakemake.input.claims), snakemake.params.study
    write_figures(draw_claims(ledger, study, **snakemake.params.settings), snakemake.output, study)
    log.info("%s", ledger["verdict"].value_counts().to_dict())
