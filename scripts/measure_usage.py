"""Rule measure_usage: gene usage, CDR3 lengths and convergence of bulk repertoires."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.clone_store import stream_clonotypes
    from immune_landscape.measure_usage import measure_usage
    from immune_landscape.store import read_table, write_table

    columns = ["junction", "junction_aa", "v_call", "j_call", "count"]
    clones = stream_clonotypes(snakemake.input.clonotypes, columns)
    depths, design = (read_table(snakemake.input[name]) for name in ("depths", "design"))
    tables = measure_usage(clones, depths, design, **snakemake.params.settings)
    for name, table in zip(("usage", "convergence", "values"), tables, strict=True):
        write_table(table, snakemake.output[name], texts=["item"] if name == "usage" else [])
    log.info("%d samples", len(tables[1]))
