# Needs: counts and clusters. Promises: one row per cell with lineage, branch and subset, frozen for every later table.
rule classify_cells:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        clusters="<results>/cluster_cells/all.h5ad",
        clusters_checksum="<results>/cluster_cells/all.h5ad.sha256",
        reference=REFERENCE,
        types=[*MARKERS, str(RESOURCES / "celltypist_labels.tsv")],
    output:
        votes="<results>/classify_cells/votes.tsv.gz",
    log:
        "<logs>/classify_cells.log",
    benchmark:
        "<benchmarks>/classify_cells.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("classify_cells", within=config),
        study={"reference": config.get("reference", {})},
        seed=seed_of(config["seed"], "classify_cells"),
        code=code_of("classify_cells"),
    script:
        "../../scripts/classify_cells.py"


rule annotate_lineages:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        reduction="<results>/reduce_cells/all.h5ad",
        reduction_checksum="<results>/reduce_cells/all.h5ad.sha256",
        clusters="<results>/cluster_cells/all.h5ad",
        clusters_checksum="<results>/cluster_cells/all.h5ad.sha256",
        votes=VOTES,
        receptors=RECEPTOR_CELLS,
        markers=MARKERS,
    output:
        cells="<results>/annotate_lineages/cells.tsv.gz",
        markers="<results>/annotate_lineages/markers.tsv",
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
        study={"tissues": config["tissues"]},
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
        votes=VOTES,
        receptors=RECEPTOR_CELLS,
        markers=MARKERS,
    output:
        cells="<results>/annotate_subsets/{branch}.tsv.gz",
        anchors=report(
            "<results>/annotate_subsets/{branch}.anchors.tsv",
            caption="../report/annotate_subsets.rst",
            category="5 Cells",
            labels={"Result": "Clusters named by an anchor gene ({branch}) (table)"},
        ),
        markers="<results>/annotate_subsets/{branch}.markers.tsv",
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


rule name_clusters:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        counts_checksum="<results>/merge_samples/counts.h5ad.sha256",
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        subsets="<results>/annotate_subsets/{branch}.tsv.gz",
        anchors="<results>/annotate_subsets/{branch}.anchors.tsv",
        doublets=expand("<results>/find_doublets/{job}.tsv.gz", job=PLAN.jobs),
        design="<results>/check_inputs/design.tsv",
        markers=MARKERS,
    output:
        clusters=report(
            "<results>/name_clusters/{branch}.tsv",
            caption="../report/name_clusters.rst",
            category="5 Cells",
            labels={
                "Result": "Clusters and their nearest published states ({branch}) (table)"
            },
        ),
        shares="<results>/name_clusters/{branch}.shares.tsv",
    log:
        "<logs>/name_clusters/{branch}.log",
    benchmark:
        "<benchmarks>/name_clusters/{branch}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("name_clusters", within=config),
        study={"tissues": config["tissues"], "batch_key": config["batch_key"]},
        code=code_of("name_clusters"),
    script:
        "../../scripts/name_clusters.py"


rule define_labels:
    input:
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        subsets=expand("<results>/annotate_subsets/{branch}.tsv.gz", branch=BRANCHES),
        clusters=expand("<results>/name_clusters/{branch}.tsv", branch=BRANCHES),
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


rule rank_markers:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
    output:
        markers=report(
            "<results>/rank_markers/markers.tsv",
            caption="../report/rank_markers.rst",
            category="5 Cells",
            labels={
                "Result": "Genes that mark lineages, subsets and clusters (table)"
            },
        ),
    log:
        "<logs>/rank_markers.log",
    benchmark:
        "<benchmarks>/rank_markers.tsv"
    priority: LONG
    retries: 2
    conda:
        "../../envs/core.yaml"
    threads: MOST_THREADS
    resources:
        scheduler=config["scheduler"],
        mem_mb=memory(16000),
        gpu=gpus_of("rank_markers", **DEVICES),
    params:
        settings=lookup("rank_markers", within=config),
        devices=DEVICES,
        code=code_of("rank_markers"),
    script:
        "../../scripts/rank_markers.py"


rule compare_annotators:
    input:
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        subsets=expand("<results>/annotate_subsets/{branch}.tsv.gz", branch=BRANCHES),
        types=MARKERS,
    output:
        confusion="<results>/compare_annotators/confusion.tsv",
        agreement=report(
            "<results>/compare_annotators/agreement.tsv",
            caption="../report/compare_annotators.rst",
            category="5 Cells",
            labels={"Result": "Agreement of annotators (table)"},
        ),
        disagreements="<results>/compare_annotators/disagreements.tsv",
    log:
        "<logs>/compare_annotators.log",
    benchmark:
        "<benchmarks>/compare_annotators.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("compare_annotators", within=config),
        code=code_of("compare_annotators"),
    script:
        "../../scripts/compare_annotators.py"


rule check_identity:
    input:
        counts=COUNTS,
        counts_checksum=COUNTS_CHECKSUM,
        labels=LABELS,
        clonotypes=CLONOTYPES,
        origins=ORIGINS,
        design="<results>/check_inputs/design.tsv",
    output:
        samples=report(
            "<results>/check_identity/samples.tsv",
            caption="../report/check_identity.rst",
            category="6 Quality",
            labels={"Result": "Identity of the samples (table)"},
        ),
        clones="<results>/check_identity/clones.tsv",
        donor_cells=report(
            "<results>/check_identity/donor_cells.tsv",
            caption="../report/check_identity.rst",
            category="6 Quality",
            labels={"Result": "Donor cells per patient and visit (table)"},
        ),
    log:
        "<logs>/check_identity.log",
    benchmark:
        "<benchmarks>/check_identity.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("check_identity", within=config),
        study={"visits": config["visits"], "unblinded": config["unblinded"]},
        code=code_of("check_identity"),
    script:
        "../../scripts/check_identity.py"
