# Needs: counts and labels. Promises: sums and scores per sample and subset, and what changes in them.
rule measure_expression:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        sums="<results>/measure_expression/sums.h5ad",
        checksum="<results>/measure_expression/sums.h5ad.sha256",
    log:
        "<logs>/measure_expression.log",
    benchmark:
        "<benchmarks>/measure_expression.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        scheduler=config["scheduler"],
        mem_mb=memory(8000),
    params:
        settings=lookup("measure_expression", within=config),
        code=code_of("measure_expression"),
    script:
        "../../scripts/measure_expression.py"


rule compare_expression:
    input:
        sums="<results>/measure_expression/sums.h5ad",
        checksum="<results>/measure_expression/sums.h5ad.sha256",
        design="<results>/check_inputs/design.tsv",
    output:
        genes="<results>/compare_expression/genes.tsv.gz",
        subsets=report(
            "<results>/compare_expression/subsets.tsv",
            caption="../report/compare_expression.rst",
            category="2 Responders and change",
            labels={"Result": "Expression by subset, with calibration (table)"},
        ),
        differences="<results>/compare_expression/differences.tsv",
        gene_sets=report(
            "<results>/compare_expression/gene_sets.tsv",
            caption="../report/compare_expression.rst",
            category="2 Responders and change",
            labels={"Result": "Gene sets by subset, patients permuted (table)"},
        ),
        ambient=report(
            "<results>/compare_expression/ambient.tsv",
            caption="../report/compare_expression.rst",
            category="2 Responders and change",
            labels={"Result": "Genes reported, without ambient RNA (table)"},
        ),
    log:
        "<logs>/compare_expression.log",
    benchmark:
        "<benchmarks>/compare_expression.tsv"
    priority: LONG
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("compare_expression", within=config),
        study={k: config[k] for k in ("contrasts", "testing")},
        seed=seed_of(config["seed"], "compare_expression"),
        code=code_of("compare_expression"),
    script:
        "../../scripts/compare_expression.py"


rule model_expression:
    input:
        sums="<results>/measure_expression/sums.h5ad",
        checksum="<results>/measure_expression/sums.h5ad.sha256",
        genes="<results>/compare_expression/genes.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        models="<results>/model_expression/models.tsv",
        agreement=report(
            "<results>/model_expression/agreement.tsv",
            caption="../report/model_expression.rst",
            category="2 Responders and change",
            labels={"Result": "Expression, agreement with count models (table)"},
        ),
    log:
        "<logs>/model_expression.log",
    benchmark:
        "<benchmarks>/model_expression.tsv"
    priority: LONG
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("model_expression", within=config),
        study={"contrasts": config["contrasts"]},
        code=code_of("model_expression"),
    script:
        "../../scripts/model_expression.py"


rule score_signatures:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        reductions=expand("<results>/reduce_cells/{branch}.h5ad", branch=BRANCHES),
        reduction_checksums=expand(
            "<results>/reduce_cells/{branch}.h5ad.sha256", branch=BRANCHES
        ),
    output:
        values="<results>/score_signatures/values.tsv",
        registry=report(
            "<results>/score_signatures/registry.tsv",
            caption="../report/score_signatures.rst",
            category="5 Cells",
            labels={"Result": "Signatures: genes found and missing (table)"},
        ),
        overlap="<results>/score_signatures/overlap.tsv",
        scopes="<results>/score_signatures/scopes.tsv",
        profiles="<results>/score_signatures/profiles.h5ad",
        checksum="<results>/score_signatures/profiles.h5ad.sha256",
    log:
        "<logs>/score_signatures.log",
    benchmark:
        "<benchmarks>/score_signatures.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("score_signatures", within=config),
        code=code_of("score_signatures"),
    script:
        "../../scripts/score_signatures.py"


rule judge_signatures:
    input:
        profiles="<results>/score_signatures/profiles.h5ad",
        checksum="<results>/score_signatures/profiles.h5ad.sha256",
        registry="<results>/score_signatures/registry.tsv",
        contrasts="<results>/compare_values/signatures/contrasts.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        nulls=report(
            "<results>/judge_signatures/nulls.tsv",
            caption="../report/judge_signatures.rst",
            category="2 Responders and change",
            labels={"Result": "Signatures beside random gene sets (table)"},
        ),
    log:
        "<logs>/judge_signatures.log",
    benchmark:
        "<benchmarks>/judge_signatures.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("judge_signatures", within=config),
        study={"contrasts": config["contrasts"]},
        seed=seed_of(config["seed"], "judge_signatures"),
        code=code_of("judge_signatures"),
    script:
        "../../scripts/judge_signatures.py"
