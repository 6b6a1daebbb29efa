"""Rule export_airr: receptors as AIRR rearrangement tables, one per sample."""

from immune_landscape.job import running

with running(snakemake, airr=True) as log:
    from immune_landscape.airr_files import write_rearrangements
    from immune_landscape.clone_store import CLONE_COLUMNS, stream_clonotypes
    from immune_landscape.export_airr import export_airr
    from immune_landscape.store import read_stage, read_table, write_table

    given, paths = snakemake.input, [path for path in snakemake.output if path != snakemake.output.files]
    receptors = read_stage(given.receptors, stage="load_receptors") if given.receptors else None
    clonotypes = read_table(given.clonotypes, index="cell") if given.clonotypes else None
    bulk = stream_clonotypes(given.bulk, CLONE_COLUMNS[1:]) if given.bulk else []
    depths = read_table(given.depths) if given.depths else None
    tables = export_airr(receptors, clonotypes, bulk, depths, **snakemake.params.settings)
    files = write_rearrangements(tables, paths, read_table(given.design))
    write_table(files, snakemake.output.files)
