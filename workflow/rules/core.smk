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
    resources:
        mem_mb=memory(16000),
    params:
        settings=lookup("reduce_cells", within=config),
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
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("cluster_cells", within=config),
        seed=seed_of(config["seed"], "cluster_cells"),
        code=code_of("cluster_cells"),
    script:
        "../../scripts/cluster_cells.py"
