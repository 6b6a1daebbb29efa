# Needs: labels, clonotypes and the design. Promises: tables at patient level, compared between groups of patients.
rule measure_composition:
    input:
        cells="<results>/define_labels/cells.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        composition=report(
            "<results>/measure_composition/composition.tsv",
            caption="../report/measure_composition.rst",
            category="3 Composition",
            labels={
                "Result": "Cells and proportions of each subset and sample (table)"
            },
        ),
    log:
        "<logs>/measure_composition.log",
    benchmark:
        "<benchmarks>/measure_composition.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_composition", within=config),
        code=code_of("measure_composition"),
    script:
        "../../scripts/measure_composition.py"


rule compare_composition:
    input:
        composition="<results>/measure_composition/composition.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        contrasts=report(
            "<results>/compare_composition/contrasts.tsv",
            caption="../report/compare_composition.rst",
            category="2 Responders and change",
            labels={"Result": "Composition contrasts (table)"},
        ),
        differences="<results>/compare_composition/differences.tsv",
        references="<results>/compare_composition/references.tsv",
    log:
        "<logs>/compare_composition.log",
    benchmark:
        "<benchmarks>/compare_composition.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("compare_composition", within=config),
        study={"contrasts": config["contrasts"]},
        seed=seed_of(config["seed"], "compare_composition"),
        code=code_of("compare_composition"),
    script:
        "../../scripts/compare_composition.py"


rule compare_expansion:
    input:
        metrics="<results>/measure_expansion/metrics.tsv",
        by_subset="<results>/measure_expansion/by_subset.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        contrasts=report(
            "<results>/compare_expansion/contrasts.tsv",
            caption="../report/compare_expansion.rst",
            category="2 Responders and change",
            labels={"Result": "Clonal expansion contrasts (table)"},
        ),
        differences="<results>/compare_expansion/differences.tsv",
    log:
        "<logs>/compare_expansion.log",
    benchmark:
        "<benchmarks>/compare_expansion.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("compare_expansion", within=config),
        study={"contrasts": config["contrasts"]},
        seed=seed_of(config["seed"], "compare_expansion"),
        code=code_of("compare_expansion"),
    script:
        "../../scripts/compare_expansion.py"


rule judge_recovery:
    input:
        contrasts="<results>/compare_composition/contrasts.tsv",
        truth="<results>/simulate_cohort/truth.json",
    output:
        recovery=report(
            "<results>/judge_recovery/recovery.tsv",
            caption="../report/judge_recovery.rst",
            category="1 Summary",
            labels={"Result": "Planted and found effects (table)"},
        ),
    log:
        "<logs>/judge_recovery.log",
    benchmark:
        "<benchmarks>/judge_recovery.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("judge_recovery", within=config),
        code=code_of("judge_recovery"),
    script:
        "../../scripts/judge_recovery.py"
