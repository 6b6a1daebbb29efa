# Needs: the count store (and lineages, for a branch). Promises: coordinates, clusters and a map of the cells.
rule reduce_cells:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        design="<results>/check_inputs/design.tsv",
        lineages=branch_cells,
    output:
        reduction="<results>/reduce_cells/{branch}.h5ad",
        checksum="<results>/reduce_cells/{branch}.h5ad.sha256",
    log:
        "<logs>/reduce_cells/{branch}.log",
    benchmark:
        "<benchmarks>/reduce_cells/{branch}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    threads: branch_threads
    resources:
        scheduler=config["scheduler"],
        mem_mb=memory(16000),
        gpu=gpus_of("reduce_cells", **DEVICES),
    params:
        settings=lookup("reduce_cells", within=config),
        devices=DEVICES,
        study={"batch_key": config["batch_key"]},
        seed=seed_of(config["seed"], "reduce_cells"),
        code=code_of("reduce_cells"),
    script:
        "../../scripts/reduce_cells.py"


rule cluster_cells:
    input:
        reduction="<results>/reduce_cells/{branch}.h5ad",
        checksum="<results>/reduce_cells/{branch}.h5ad.sha256",
        earlier=PLAN.earlier_labels or [],
    output:
        clusters="<results>/cluster_cells/{branch}.h5ad",
        checksum="<results>/cluster_cells/{branch}.h5ad.sha256",
        stability="<results>/cluster_cells/{branch}.stability.tsv",
        jaccard="<results>/cluster_cells/{branch}.jaccard.tsv",
    log:
        "<logs>/cluster_cells/{branch}.log",
    benchmark:
        "<benchmarks>/cluster_cells/{branch}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    threads: branch_threads
    resources:
        mem_mb=memory(8000),
        gpu=gpus_of("cluster_cells", **DEVICES),
    params:
        settings=lookup("cluster_cells", within=config),
        devices=DEVICES,
        seed=seed_of(config["seed"], "cluster_cells"),
        code=code_of("cluster_cells"),
    script:
        "../../scripts/cluster_cells.py"


rule compare_devices:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        design="<results>/check_inputs/design.tsv",
    output:
        agreement=report(
            "<results>/compare_devices/agreement.tsv",
            caption="../report/compare_devices.rst",
            category="6 Quality",
            labels={"Result": "Agreement of the heavy steps on two devices (table)"},
        ),
    log:
        "<logs>/compare_devices.log",
    benchmark:
        "<benchmarks>/compare_devices.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(16000),
        gpu=gpus_of("compare_devices", **DEVICES),
    params:
        settings=lookup("compare_devices", within=config),
        devices=DEVICES,
        study={
            "batch_key": config["batch_key"],
            "reduce_cells": config["reduce_cells"],
            "cluster_cells": config["cluster_cells"],
        },
        seed=seed_of(config["seed"], "compare_devices"),
        code=code_of("compare_devices"),
    script:
        "../../scripts/compare_devices.py"
