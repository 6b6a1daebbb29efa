# Needs: raw counts by job. Promises: one immutable count store of kept, single cells, and why each other cell left.
rule filter_cells:
    input:
        counts="<results>/load_samples/{job}.h5ad",
        checksum="<results>/load_samples/{job}.h5ad.sha256",
    output:
        cells="<results>/filter_cells/{job}.tsv.gz",
    log:
        "<logs>/filter_cells/{job}.log",
    benchmark:
        "<benchmarks>/filter_cells/{job}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
        gpu=gpus_of("filter_cells", **DEVICES),
    params:
        settings=lookup("filter_cells", within=config),
        devices=DEVICES,
        code=code_of("filter_cells"),
    script:
        "../../scripts/filter_cells.py"


rule find_doublets:
    input:
        counts="<results>/load_samples/{job}.h5ad",
        checksum="<results>/load_samples/{job}.h5ad.sha256",
        quality="<results>/filter_cells/{job}.tsv.gz",
    output:
        cells="<results>/find_doublets/{job}.tsv.gz",
    log:
        "<logs>/find_doublets/{job}.log",
    benchmark:
        "<benchmarks>/find_doublets/{job}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    threads: MOST_THREADS
    resources:
        mem_mb=memory(8000),
        gpu=gpus_of("find_doublets", **DEVICES),
    params:
        settings=lookup("find_doublets", within=config),
        devices=DEVICES,
        seed=seed_of(config["seed"], "find_doublets"),
        code=code_of("find_doublets"),
    script:
        "../../scripts/find_doublets.py"


rule merge_samples:
    input:
        counts=expand("<results>/load_samples/{job}.h5ad", job=PLAN.jobs),
        checksums=expand("<results>/load_samples/{job}.h5ad.sha256", job=PLAN.jobs),
        quality=expand("<results>/filter_cells/{job}.tsv.gz", job=PLAN.jobs),
        doublets=expand("<results>/find_doublets/{job}.tsv.gz", job=PLAN.jobs),
        design="<results>/check_inputs/design.tsv",
    output:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        steps=report(
            "<results>/merge_samples/steps.tsv",
            caption="../report/merge_samples.rst",
            category="6 Quality",
            labels={"Result": "Cells kept at each step (table)"},
        ),
    log:
        "<logs>/merge_samples.log",
    benchmark:
        "<benchmarks>/merge_samples.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(16000),
    params:
        settings=lookup("merge_samples", within=config),
        code=code_of("merge_samples"),
    script:
        "../../scripts/merge_samples.py"
