"""Rule merge_samples: the one count store."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.blocked_counts import open_counts, write_counts
    from immune_landscape.merge_samples import count_cells, merge_samples
    from immune_landscape.store import read_table, read_tables, write_table

    parts = [open_counts(path, stage="load_samples") for path in snakemake.input.counts]
    quality = read_tables(snakemake.input.quality).set_index("cell")
    doublets = read_tables(snakemake.input.doublets).set_index("cell")
    merged = merge_samples(parts, quality, doublets, **snakemake.params.settings)
    log.info("%d cells x %d genes", *merged.shape)
    samples = read_table(snakemake.input.design)["sample"]
    write_counts(merged, snakemake.output.counts)
    write_table(count_cells(quality, doublets, merged, list(samples)), snakemake.output.steps)
