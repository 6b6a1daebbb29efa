"""Rule judge_recovery: which planted effects of a simulated cohort were found."""

import json
from pathlib import Path

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.judge_recovery import judge_recovery
    from immune_landscape.store import read_table, write_table

    truth = json.loads(Path(snakemake.input.truth).read_text(encoding="utf-8"))
    contrasts, study = read_table(snakemake.input.contrasts), snakemake.params.study
    table = judge_recovery(contrasts, truth, study, **snakemake.params.settings)
    log.info("verdicts: %s", table["verdict"].value_counts().to_dict())
    write_table(table, snakemake.output.recovery)
