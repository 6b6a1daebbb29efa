"""Rule load_repertoires: productive clonotypes of every bulk repertoire, parsed once."""

from immune_landscape.job import running

with running(snakemake) as log:
    from immune_landscape.bulk_io import read_repertoires
    from immune_landscape.clone_store import write_clonotypes
    from immune_landscape.load_repertoires import load_repertoires
    from immune_landscape.store import read_table, write_table

    loaded = load_repertoires(read_repertoires(read_table(snakemake.input.design)), **snakemake.params.settings)
    depths = write_clonotypes(loaded, snakemake.output.clonotypes)
    write_table(depths, snakemake.output.depths)
    low, high = depths["templates"].min(), depths["templates"].max()
    log.info("productive templates: %d to %d; counted: %s", low, high, depths["counted"].value_counts().to_dict())
