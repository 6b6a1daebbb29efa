# Needs: TCR files (and labels, where there are counts). Promises: chain quality, clonotypes, expansion and diversity per sample.
rule load_receptors:
    input:
        design="<results>/check_inputs/design.tsv",
        files=PLAN.files("tcr"),
        counts=COUNTS,
        checksum=COUNTS_CHECKSUM,
    output:
        receptors="<results>/load_receptors/receptors.h5ad",
        checksum="<results>/load_receptors/receptors.h5ad.sha256",
        samples=report(
            "<results>/load_receptors/samples.tsv",
            caption="../report/load_receptors.rst",
            category="6 Quality",
            labels={"Result": "Receptors per sample (table)"},
        ),
    log:
        "<logs>/load_receptors.log",
    benchmark:
        "<benchmarks>/load_receptors.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("load_receptors", within=config),
        study={"inputs": config["inputs"]},
        code=code_of("load_receptors"),
    script:
        "../../scripts/load_receptors.py"


rule define_clonotypes:
    input:
        receptors="<results>/load_receptors/receptors.h5ad",
        checksum="<results>/load_receptors/receptors.h5ad.sha256",
    output:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        chain_qc=report(
            "<results>/define_clonotypes/chain_qc.tsv",
            caption="../report/define_clonotypes.rst",
            category="4 T-cell clones",
            labels={"Result": "Receptor chain categories (table)"},
        ),
        shared="<results>/define_clonotypes/shared.tsv",
    log:
        "<logs>/define_clonotypes.log",
    benchmark:
        "<benchmarks>/define_clonotypes.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("define_clonotypes", within=config),
        code=code_of("define_clonotypes"),
    script:
        "../../scripts/define_clonotypes.py"


rule measure_expansion:
    input:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        cells=LABELS,
        design="<results>/check_inputs/design.tsv",
    output:
        metrics="<results>/measure_expansion/metrics.tsv",
        by_subset="<results>/measure_expansion/by_subset.tsv",
        values="<results>/measure_expansion/values.tsv",
    log:
        "<logs>/measure_expansion.log",
    benchmark:
        "<benchmarks>/measure_expansion.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("measure_expansion", within=config),
        seed=seed_of(config["seed"], "measure_expansion"),
        code=code_of("measure_expansion"),
    script:
        "../../scripts/measure_expansion.py"


rule measure_repertoires:
    input:
        files=PLAN.files("bulk_tcr"),
        design="<results>/check_inputs/design.tsv",
    output:
        metrics="<results>/measure_repertoires/metrics.tsv",
        depths=report(
            "<results>/measure_repertoires/depths.tsv",
            caption="../report/measure_repertoires.rst",
            category="6 Quality",
            labels={"Result": "Depth of the bulk repertoires (table)"},
        ),
        values="<results>/measure_repertoires/values.tsv",
    log:
        "<logs>/measure_repertoires.log",
    benchmark:
        "<benchmarks>/measure_repertoires.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("measure_repertoires", within=config),
        seed=seed_of(config["seed"], "measure_repertoires"),
        code=code_of("measure_repertoires"),
    script:
        "../../scripts/measure_repertoires.py"
