"""Rule witness_receptors: what the receptor of each cell says of its type."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.store import read_stage, write_table
    from immune_landscape.witness_receptors import witness_receptors

    receptors = read_stage(snakemake.input.receptors, stage="load_receptors")
    cells = witness_receptors(receptors, **snakemake.params.settings)
    log.info("%s", cells["receptor"].value_counts().to_dict())
    write_table(cells.reset_index(), snakemake.output.cells)
