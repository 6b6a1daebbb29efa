"""Rule check_identity: sex by genes, shared clones, and cells of a donor."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cell_origins import read_origins
    from immune_landscape.check_identity import check_identity
    from immune_landscape.gene_counts import read_gene_counts
    from immune_landscape.store import read_table, write_table

    inputs, study, settings = snakemake.input, snakemake.params.study, snakemake.params.settings
    genes = [*settings["female_genes"], *settings["male_genes"]]
    counts = read_gene_counts(inputs.counts, genes) if inputs.counts else None
    cells = [read_table(inputs[name], index="cell") if inputs[name] else None for name in ("labels", "clonotypes")]
    origins = read_origins(inputs.origins) if inputs.origins else None
    tables = check_identity(counts, *cells, origins, read_table(inputs.design), study, **settings)
    for name, table in zip(("samples", "clones", "donor_cells"), tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("samples: %s", tables[0]["verdict"].value_counts().to_dict())
