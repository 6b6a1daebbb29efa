"""Rule measure_overlap: clonotypes that any two bulk repertoires share, at one depth."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.clone_store import stream_clonotypes
    from immune_landscape.measure_overlap import measure_overlap
    from immune_landscape.store import read_table, write_table

    clones = stream_clonotypes(snakemake.input.clonotypes, ["clonotype", "count"])
    table = measure_overlap(clones, read_table(snakemake.input.design), **snakemake.params.settings)
    write_table(table, snakemake.output.overlap)
    log.info("%d pairs of samples, %d within patients", len(table), table["same_patient"].sum())
