"""Rule measure_biomarkers: classes of biomarkers by patient, and how many are in each."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.measure_biomarkers import measure_biomarkers
    from immune_landscape.patient_markers import TEXTS
    from immune_landscape.store import read_table, write_table

    patients, sheet = (read_table(snakemake.input[name]) for name in ("patients", "sheet"))
    tables = measure_biomarkers(patients, sheet, snakemake.params.study, **snakemake.params.settings)
    for name, path in snakemake.output.items():
        write_table(tables[name], path, TEXTS)
    log.info("%d measurements, %d conflicts", len(tables["measurements"]), len(tables["conflicts"]))
