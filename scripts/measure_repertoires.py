"""Rule measure_repertoires: diversity and homeostasis of each sample's bulk repertoire at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.bulk_io import read_repertoires
    from immune_landscape.measure_repertoires import measure_repertoires
    from immune_landscape.store import read_table, write_table

    design = read_table(snakemake.input.design)
    repertoires = read_repertoires(design)
    tables = measure_repertoires(repertoires, design, snakemake.params.seed, **snakemake.params.settings)
    for name, table in zip(("metrics", "depths", "values"), tables, strict=True):
        write_table(table, snakemake.output[name])
    templates = tables[1]["templates"]
    log.info("productive templates: %d to %d in %d samples", templates.min(), templates.max(), len(templates))
    log.info("common depth: %s; counted: %s", tables[1]["depth"].min(), sorted(set(tables[1]["count_column"])))
