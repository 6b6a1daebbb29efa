# Needs: the clinical sheets. Promises: endpoints with intervals, comparisons of arms, safety and doses, and their figures.
CLINIC = "7 Clinical endpoints"
HELD_CLINICAL = held_clinical(PLAN.cohort)
# Layers whose features are related to outcome.
LINKED = linked_tables(HELD_CLINICAL, config, COMPARED)
HELD_CLINICAL |= {"links"} if LINKED else set()
LINKS = "<results>/link_outcomes/links.tsv" if LINKED else []
CLINICAL_FIGURES = clinical_figures(HELD_CLINICAL, unblinded=config["unblinded"])
# A masked cohort names no arm, not even to its rules.
CLINICAL_STUDY = PLAN.study | {
    "randomisation": config["randomisation"] if config["unblinded"] else {},
    "extra_columns": config["extra_columns"],
    "recist": config["recist"],
    "eligibility": told_eligibility(config),
}
HAS_RESPONSES, HAS_ARMS = "responses" in HELD_CLINICAL, "arms" in HELD_CLINICAL
TIMEPOINTS = "<results>/derive_responses/timepoints.tsv" if HAS_RESPONSES else []
RESPONSES = "<results>/derive_responses/responses.tsv" if HAS_RESPONSES else []
COMPARISONS = "<results>/compare_outcomes/comparisons.tsv" if HAS_ARMS else []
SAFETY = "<results>/measure_safety/events.tsv" if "events" in HELD_CLINICAL else []
DOSES = "<results>/measure_doses/mtd.tsv" if "doses" in HELD_CLINICAL else []
MARKER_CLASSES = (
    "<results>/measure_biomarkers/summary.tsv" if "biomarkers" in HELD_CLINICAL else []
)
MARKER_CONFLICTS = (
    "<results>/measure_biomarkers/conflicts.tsv"
    if "biomarkers" in HELD_CLINICAL
    else []
)
SUBGROUPS = "<results>/compare_outcomes/subgroups.tsv" if HAS_ARMS else []


rule derive_responses:
    input:
        outcomes="<results>/check_inputs/outcomes.tsv",
        assessments="<results>/check_inputs/assessments.tsv",
    output:
        timepoints="<results>/derive_responses/timepoints.tsv",
        responses=report(
            "<results>/derive_responses/responses.tsv",
            caption="../report/derive_responses.rst",
            category=CLINIC,
            labels={"Result": "Best responses by RECIST 1.1 (table)"},
        ),
    log:
        "<logs>/derive_responses.log",
    benchmark:
        "<benchmarks>/derive_responses.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("derive_responses", within=config),
        study=CLINICAL_STUDY,
        code=code_of("derive_responses"),
    script:
        "../../scripts/derive_responses.py"


rule measure_endpoints:
    input:
        outcomes="<results>/check_inputs/outcomes.tsv",
    output:
        endpoints=report(
            "<results>/measure_endpoints/endpoints.tsv",
            caption="../report/measure_endpoints.rst",
            category=CLINIC,
            labels={"Result": "Clinical endpoints (table)"},
        ),
        curves="<results>/measure_endpoints/curves.tsv",
        at_risk="<results>/measure_endpoints/at_risk.tsv",
    log:
        "<logs>/measure_endpoints.log",
    benchmark:
        "<benchmarks>/measure_endpoints.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_endpoints", within=config),
        study=CLINICAL_STUDY,
        code=code_of("measure_endpoints"),
    script:
        "../../scripts/measure_endpoints.py"


rule compare_outcomes:
    input:
        outcomes="<results>/check_inputs/outcomes.tsv",
        timepoints=TIMEPOINTS,
    output:
        comparisons=report(
            "<results>/compare_outcomes/comparisons.tsv",
            caption="../report/compare_outcomes.rst",
            category=CLINIC,
            labels={"Result": "Comparisons of endpoints (table)"},
        ),
        subgroups=report(
            "<results>/compare_outcomes/subgroups.tsv",
            caption="../report/compare_outcomes.rst",
            category=CLINIC,
            labels={"Result": "Hazard ratios by subgroup (table)"},
        ),
    log:
        "<logs>/compare_outcomes.log",
    benchmark:
        "<benchmarks>/compare_outcomes.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("compare_outcomes", within=config),
        study=CLINICAL_STUDY,
        code=code_of("compare_outcomes"),
    script:
        "../../scripts/compare_outcomes.py"


rule measure_safety:
    input:
        patients="<results>/check_inputs/patients.tsv",
        events="<results>/check_inputs/adverse_events.tsv",
    output:
        events=report(
            "<results>/measure_safety/events.tsv",
            caption="../report/measure_safety.rst",
            category=CLINIC,
            labels={"Result": "Adverse events (table)"},
        ),
    log:
        "<logs>/measure_safety.log",
    benchmark:
        "<benchmarks>/measure_safety.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_safety", within=config),
        study=CLINICAL_STUDY,
        code=code_of("measure_safety"),
    script:
        "../../scripts/measure_safety.py"


rule measure_doses:
    input:
        patients="<results>/check_inputs/patients.tsv",
    output:
        doses=report(
            "<results>/measure_doses/doses.tsv",
            caption="../report/measure_doses.rst",
            category=CLINIC,
            labels={"Result": "Dose-limiting toxicities (table)"},
        ),
        mtd=report(
            "<results>/measure_doses/mtd.tsv",
            caption="../report/measure_doses.rst",
            category=CLINIC,
            labels={"Result": "Maximum tolerated dose (table)"},
        ),
    log:
        "<logs>/measure_doses.log",
    benchmark:
        "<benchmarks>/measure_doses.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_doses", within=config),
        code=code_of("measure_doses"),
    script:
        "../../scripts/measure_doses.py"


rule measure_biomarkers:
    input:
        patients="<results>/check_inputs/patients.tsv",
        sheet="<results>/check_inputs/biomarkers.tsv",
    output:
        biomarkers=report(
            "<results>/measure_biomarkers/biomarkers.tsv",
            caption="../report/measure_biomarkers.rst",
            category=CLINIC,
            labels={"Result": "Biomarkers by patient (table)"},
        ),
        summary=report(
            "<results>/measure_biomarkers/summary.tsv",
            caption="../report/measure_biomarkers.rst",
            category=CLINIC,
            labels={"Result": "Classes of biomarkers (table)"},
        ),
        conflicts=report(
            "<results>/measure_biomarkers/conflicts.tsv",
            caption="../report/measure_biomarkers.rst",
            category=CLINIC,
            labels={"Result": "Biomarkers on which sources disagree (table)"},
        ),
        measurements="<results>/measure_biomarkers/measurements.tsv",
    log:
        "<logs>/measure_biomarkers.log",
    benchmark:
        "<benchmarks>/measure_biomarkers.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_biomarkers", within=config),
        study=CLINICAL_STUDY,
        code=code_of("measure_biomarkers"),
    script:
        "../../scripts/measure_biomarkers.py"


rule link_outcomes:
    input:
        **LINKED,
        design="<results>/check_inputs/design.tsv",
        outcomes="<results>/check_inputs/outcomes.tsv",
    output:
        links=report(
            "<results>/link_outcomes/links.tsv",
            caption="../report/link_outcomes.rst",
            category=CLINIC,
            labels={"Result": "Immune features and outcome (table)"},
        ),
        curves="<results>/link_outcomes/curves.tsv",
        at_risk="<results>/link_outcomes/at_risk.tsv",
    log:
        "<logs>/link_outcomes.log",
    benchmark:
        "<benchmarks>/link_outcomes.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("link_outcomes", within=config),
        study={
            k: config[k]
            for k in ("visits", "tissues", "contrasts", "time_unit", "randomisation")
        }
        | {"layers": list(LINKED), "floors": config["compare_composition"]},
        seed=seed_of(config["seed"], "link_outcomes"),
        code=code_of("link_outcomes"),
    script:
        "../../scripts/link_outcomes.py"


rule draw_survival:
    input:
        curves="<results>/measure_endpoints/curves.tsv",
        at_risk="<results>/measure_endpoints/at_risk.tsv",
        endpoints="<results>/measure_endpoints/endpoints.tsv",
        comparisons=COMPARISONS,
        subgroups=SUBGROUPS,
    output:
        figures(
            "draw_survival",
            CLINICAL_FIGURES.get("draw_survival", {}),
            CLINIC,
            "Survival",
        ),
    log:
        "<logs>/draw_survival.log",
    benchmark:
        "<benchmarks>/draw_survival.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_survival", within=config),
        study=CLINICAL_STUDY,
        definition=lookup("measure_endpoints", within=config),
        code=code_of("draw_survival"),
    script:
        "../../scripts/draw_survival.py"


rule draw_outcomes:
    input:
        links="<results>/link_outcomes/links.tsv",
        curves="<results>/link_outcomes/curves.tsv",
        at_risk="<results>/link_outcomes/at_risk.tsv",
    output:
        figures(
            "draw_outcomes",
            CLINICAL_FIGURES.get("draw_outcomes", {}),
            CLINIC,
            "Immune features and outcome",
        ),
    log:
        "<logs>/draw_outcomes.log",
    benchmark:
        "<benchmarks>/draw_outcomes.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_outcomes", within=config),
        study=CLINICAL_STUDY,
        definition=lookup("link_outcomes", within=config),
        code=code_of("draw_outcomes"),
    script:
        "../../scripts/draw_outcomes.py"


rule draw_responses:
    input:
        outcomes="<results>/check_inputs/outcomes.tsv",
        timepoints=TIMEPOINTS,
        responses=RESPONSES,
    output:
        figures(
            "draw_responses",
            CLINICAL_FIGURES.get("draw_responses", {}),
            CLINIC,
            "Patients",
        ),
    log:
        "<logs>/draw_responses.log",
    benchmark:
        "<benchmarks>/draw_responses.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_responses", within=config),
        study=CLINICAL_STUDY,
        code=code_of("draw_responses"),
    script:
        "../../scripts/draw_responses.py"


rule draw_safety:
    input:
        events="<results>/measure_safety/events.tsv",
    output:
        figures(
            "draw_safety",
            CLINICAL_FIGURES.get("draw_safety", {}),
            CLINIC,
            "Adverse events",
        ),
    log:
        "<logs>/draw_safety.log",
    benchmark:
        "<benchmarks>/draw_safety.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_safety", within=config),
        study=CLINICAL_STUDY,
        definition=lookup("measure_safety", within=config),
        code=code_of("draw_safety"),
    script:
        "../../scripts/draw_safety.py"


rule draw_biomarkers:
    input:
        biomarkers="<results>/measure_biomarkers/biomarkers.tsv",
    output:
        figures(
            "draw_biomarkers",
            CLINICAL_FIGURES.get("draw_biomarkers", {}),
            CLINIC,
            "Biomarkers",
        ),
    log:
        "<logs>/draw_biomarkers.log",
    benchmark:
        "<benchmarks>/draw_biomarkers.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_biomarkers", within=config),
        study=CLINICAL_STUDY,
        definition=lookup("measure_biomarkers", within=config),
        code=code_of("draw_biomarkers"),
    script:
        "../../scripts/draw_biomarkers.py"


rule draw_doses:
    input:
        doses="<results>/measure_doses/doses.tsv",
        mtd="<results>/measure_doses/mtd.tsv",
    output:
        figures(
            "draw_doses",
            CLINICAL_FIGURES.get("draw_doses", {}),
            CLINIC,
            "Dose-limiting toxicity",
        ),
    log:
        "<logs>/draw_doses.log",
    benchmark:
        "<benchmarks>/draw_doses.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_doses", within=config),
        study=CLINICAL_STUDY,
        definition=lookup("measure_doses", within=config),
        code=code_of("draw_doses"),
    script:
        "../../scripts/draw_doses.py"


CLINICAL_TARGETS = [
    rules.measure_endpoints.output.endpoints,
    [getattr(rules, name).output for name in CLINICAL_FIGURES],
]
if HAS_ARMS:
    CLINICAL_TARGETS += [rules.compare_outcomes.output]
