# Needs: the cohort folder. Promises: a checked design, and the raw counts of the samples in a handful of jobs.
if IS_SIMULATED:

    rule simulate_cohort:
        input:
            sheets=PLAN.sheets(),
            biology=SIMULATION,
        output:
            files=DATA_FILES,
            truth="<results>/simulate_cohort/truth.json",
            cells="<results>/simulate_cohort/truth_cells.tsv.gz",
        log:
            "<logs>/simulate_cohort.log",
        benchmark:
            "<benchmarks>/simulate_cohort.tsv"
        conda:
            "../../envs/core.yaml"
        threads: MOST_THREADS
        resources:
            mem_mb=4000,
        params:
            settings=lookup("simulate_cohort", within=config),
            study=FOLDER,
            seed=seed_of(config["seed"], "simulate_cohort"),
            code=code_of("simulate_cohort"),
        script:
            "../../scripts/simulate_cohort.py"


rule check_inputs:
    input:
        sheets=PLAN.sheets(),
        files=DATA_FILES,
    output:
        design="<results>/check_inputs/design.tsv",
        patients="<results>/check_inputs/patients.tsv",
        inputs="<results>/check_inputs/inputs.tsv",
        populations="<results>/check_inputs/populations.tsv",
        measures="<results>/check_inputs/measures.tsv",
        outcomes="<results>/check_inputs/outcomes.tsv",
        assessments="<results>/check_inputs/assessments.tsv",
        adverse_events="<results>/check_inputs/adverse_events.tsv",
        biomarkers="<results>/check_inputs/biomarkers.tsv",
        notes=report(
            "<results>/check_inputs/notes.tsv",
            caption="../report/check_inputs.rst",
            category="6 Quality",
            labels={"Result": "Notes on the inputs (table)"},
        ),
    log:
        "<logs>/check_inputs.log",
    benchmark:
        "<benchmarks>/check_inputs.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("check_inputs", within=config),
        study=FOLDER,
        code=code_of("check_inputs"),
    script:
        "../../scripts/check_inputs.py"


rule load_samples:
    input:
        design="<results>/check_inputs/design.tsv",
        files=gex_files,
    output:
        counts=temp("<results>/load_samples/{job}.h5ad"),
        checksum=temp("<results>/load_samples/{job}.h5ad.sha256"),
        notes="<results>/load_samples/{job}.notes.tsv",
    log:
        "<logs>/load_samples/{job}.log",
    benchmark:
        "<benchmarks>/load_samples/{job}.tsv"
    retries: 2
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("load_samples", within=config),
        study=job_study,
        code=code_of("load_samples"),
    script:
        "../../scripts/load_samples.py"
