# Needs: counts and clusters. Promises: one row per cell with lineage, branch and subset, frozen for every later table.
rule annotate_lineages:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        reduction="<results>/reduce_cells/all.h5ad",
        reduction_checksum="<results>/reduce_cells/all.h5ad.sha256",
        clusters="<results>/cluster_cells/all.h5ad",
        clusters_checksum="<results>/cluster_cells/all.h5ad.sha256",
        markers=MARKERS,
    output:
        cells="<results>/annotate_lineages/cells.tsv.gz",
    log:
        "<logs>/annotate_lineages.log",
    benchmark:
        "<benchmarks>/annotate_lineages.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("annotate_lineages", within=config),
        code=code_of("annotate_lineages"),
    script:
        "../../scripts/annotate_lineages.py"


rule annotate_subsets:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        reduction="<results>/reduce_cells/{branch}.h5ad",
        reduction_checksum="<results>/reduce_cells/{branch}.h5ad.sha256",
        clusters="<results>/cluster_cells/{branch}.h5ad",
        clusters_checksum="<results>/cluster_cells/{branch}.h5ad.sha256",
        markers=MARKERS,
    output:
        cells="<results>/annotate_subsets/{branch}.tsv.gz",
        anchors=report(
            "<results>/annotate_subsets/{branch}.anchors.tsv",
            caption="../report/annotate_subsets.rst",
            category="5 Cells",
            labels={"Result": "Clusters named by an anchor gene ({branch}) (table)"},
        ),
    log:
        "<logs>/annotate_subsets/{branch}.log",
    benchmark:
        "<benchmarks>/annotate_subsets/{branch}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("annotate_subsets", within=config),
        study={"tissues": config["tissues"]},
        code=code_of("annotate_subsets"),
    script:
        "../../scripts/annotate_subsets.py"


rule define_labels:
    input:
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        subsets=expand("<results>/annotate_subsets/{branch}.tsv.gz", branch=BRANCHES),
    output:
        cells="<results>/define_labels/cells.tsv.gz",
    log:
        "<logs>/define_labels.log",
    benchmark:
        "<benchmarks>/define_labels.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("define_labels", within=config),
        code=code_of("define_labels"),
    script:
        "../../scripts/define_labels.py"
