# Needs: a finished run. Promises: one AnnData of it for work in scanpy and scirpy.
rule export_h5ad:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        reduction="<results>/reduce_cells/all.h5ad",
        reduction_checksum="<results>/reduce_cells/all.h5ad.sha256",
        clusters="<results>/cluster_cells/all.h5ad",
        clusters_checksum="<results>/cluster_cells/all.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        clonotypes=CLONOTYPES,
        design="<results>/check_inputs/design.tsv",
    output:
        adata="<results>/export_h5ad/cells.h5ad",
    log:
        "<logs>/export_h5ad.log",
    benchmark:
        "<benchmarks>/export_h5ad.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(16000),
    params:
        settings=lookup("export_h5ad", within=config),
        code=code_of("export_h5ad"),
    script:
        "../../scripts/export_h5ad.py"


rule export_airr:
    input:
        receptors=RECEPTORS,
        checksum=RECEPTORS_CHECKSUM,
        clonotypes=CLONOTYPES,
        bulk=BULK_CLONES,
        depths=BULK_DEPTHS,
        design="<results>/check_inputs/design.tsv",
    output:
        **AIRR_FILES,
        files=report(
            "<results>/export_airr/files.tsv",
            caption="../report/export_airr.rst",
            category="4 T-cell clones",
            labels={"Result": "Receptors written as AIRR rearrangements (table)"},
        ),
    log:
        "<logs>/export_airr.log",
    benchmark:
        "<benchmarks>/export_airr.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("export_airr", within=config),
        code=code_of("export_airr"),
    script:
        "../../scripts/export_airr.py"
