"""Rule define_clonotypes: chain category and patient-scoped clonotype of every barcode."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.define_clonotypes import define_clonotypes, definition_text, find_shared_clonotypes
    from immune_landscape.receptor_chains import read_chains
    from immune_landscape.store import read_stage, write_table

    receptors = read_stage(snakemake.input.receptors, stage="load_receptors")
    chains = read_chains(receptors)
    clonotypes, chain_qc = define_clonotypes(receptors, chains, **snakemake.params.settings)
    log.info("%s", definition_text(snakemake.params.settings))
    log.info("%d of %d barcodes have a usable TCR", clonotypes["has_receptor"].sum(), len(clonotypes))
    write_table(clonotypes.reset_index(), snakemake.output.clonotypes)
    write_table(chains.reset_index(), snakemake.output.chains, ["cell", *chains.columns.drop("is_tcr")])
    write_table(chain_qc, snakemake.output.chain_qc)
    write_table(find_shared_clonotypes(clonotypes), snakemake.output.shared)
