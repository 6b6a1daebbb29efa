"""Rule measure_safety: patients with adverse events by term and grade."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_safety import TEXTS, measure_safety
    from immune_landscape.store import read_table, write_table

    patients, events = (read_table(snakemake.input[name]) for name in ("patients", "events"))
    table = measure_safety(patients, events, snakemake.params.study, **snakemake.params.settings)
    write_table(table, snakemake.output.events, TEXTS)
    log.info("%d events, %d rows", len(events), len(table))
