# Needs: tables at patient level. Promises: prior claims, or planted effects, held against them.
rule judge_claims:
    input:
        claims=CLAIM_FILES,
        contrasts=MERGED,
        endpoints="<results>/measure_endpoints/endpoints.tsv",
        references="<results>/compare_composition/references.tsv" if HAS_GEX else [],
        labels="<results>/sweep_labels/stability.tsv" if SWEPT_LABELS else [],
        definitions=DEFINITIONS,
    output:
        claims=report(
            "<results>/judge_claims/claims.tsv",
            caption="../report/judge_claims.rst",
            category="1 Summary",
            labels={"Result": "Claims ledger (table)"},
        ),
    log:
        "<logs>/judge_claims.log",
    benchmark:
        "<benchmarks>/judge_claims.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("judge_claims", within=config),
        study=PLAN.study,
        code=code_of("judge_claims"),
    script:
        "../../scripts/judge_claims.py"


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
        study={"testing": config["testing"]},
        code=code_of("judge_recovery"),
    script:
        "../../scripts/judge_recovery.py"
