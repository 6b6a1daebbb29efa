"""Rule check_identity: sex by genes, shared clones, and cells of a donor."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.cell_origins import read_origins
    from immune_landscape.check_identity import check_identity
    from immune_landscape.gene_counts import read_gene_counts
    from immune_landscape.store import read_table, write_table

    given, chosen = snakemake.input, snakemake.params.settings
    counts = read_gene_counts(given.counts, chosen["female_genes"] + chosen["male_genes"]) if given.counts else None
    cells = [read_table(given[name], index="cell") if given[name] else None for name in ("labels", "clonotypes")]
    facts = read_origins(given.origins) if given.origins else None, read_table(given.design), snakemake.params.study
    tables = check_identity(counts, *cells, *facts, **chosen)
    for name, table in zip(("samples", "clones", "donor_cells"), tables, strict=True):
        write_table(table, snakemake.output[name])
    log.info("samples: %s", tables[0]["verdict"].value_counts().to_dict())
