# Needs: numbers per sample and the design. Promises: tables at patient level, compared between groups of patients.
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


rule measure_quality:
    input:
        cells=expand("<results>/filter_cells/{job}.tsv.gz", job=PLAN.jobs),
        steps="<results>/merge_samples/steps.tsv",
    output:
        table="<results>/measure_quality/values.tsv",
    log:
        "<logs>/measure_quality.log",
    benchmark:
        "<benchmarks>/measure_quality.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_quality", within=config),
        code=code_of("measure_quality"),
    script:
        "../../scripts/measure_quality.py"


rule measure_microenvironment:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        registry="<results>/score_signatures/registry.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        values="<results>/measure_microenvironment/values.tsv",
        samples="<results>/measure_microenvironment/samples.tsv",
        patients=report(
            "<results>/measure_microenvironment/patients.tsv",
            caption="../report/measure_microenvironment.rst",
            category="3 Composition",
            labels={"Result": "Immune microenvironment by patient (table)"},
        ),
    log:
        "<logs>/measure_microenvironment.log",
    benchmark:
        "<benchmarks>/measure_microenvironment.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("measure_microenvironment", within=config),
        definition=lookup("score_signatures", within=config),
        code=code_of("measure_microenvironment"),
    script:
        "../../scripts/measure_microenvironment.py"


rule measure_populations:
    input:
        populations="<results>/check_inputs/populations.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        table="<results>/measure_populations/values.tsv",
    log:
        "<logs>/measure_populations.log",
    benchmark:
        "<benchmarks>/measure_populations.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("measure_populations", within=config),
        code=code_of("measure_populations"),
    script:
        "../../scripts/measure_populations.py"


rule load_measures:
    input:
        measures="<results>/check_inputs/measures.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        table="<results>/load_measures/values.tsv",
    log:
        "<logs>/load_measures.log",
    benchmark:
        "<benchmarks>/load_measures.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("load_measures", within=config),
        code=code_of("load_measures"),
    script:
        "../../scripts/load_measures.py"


rule compare_composition:
    input:
        composition="<results>/measure_composition/composition.tsv",
        design="<results>/check_inputs/design.tsv",
        measures="<results>/check_inputs/measures.tsv",
    output:
        contrasts=report(
            "<results>/compare_composition/contrasts.tsv",
            caption="../report/compare_composition.rst",
            category="2 Responders and change",
            labels={"Result": "Composition contrasts (table)"},
        ),
        differences="<results>/compare_composition/differences.tsv",
        references="<results>/compare_composition/references.tsv",
        influence="<results>/compare_composition/influence.tsv",
        null="<results>/compare_composition/null.tsv",
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
        study={k: config[k] for k in ("contrasts", "testing", "absolute_counts")},
        seed=seed_of(config["seed"], "compare_composition"),
        code=code_of("compare_composition"),
    script:
        "../../scripts/compare_composition.py"


rule compare_values:
    input:
        table=values_of,
        design="<results>/check_inputs/design.tsv",
    output:
        contrasts=report(
            "<results>/compare_values/{layer}/contrasts.tsv",
            caption="../report/compare_values.rst",
            category="2 Responders and change",
            labels={"Result": "Contrasts of {layer} (table)"},
        ),
        differences="<results>/compare_values/{layer}/differences.tsv",
        influence="<results>/compare_values/{layer}/influence.tsv",
        null="<results>/compare_values/{layer}/null.tsv",
    log:
        "<logs>/compare_values/{layer}.log",
    benchmark:
        "<benchmarks>/compare_values/{layer}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("compare_values", within=config),
        study={k: config[k] for k in ("contrasts", "testing")},
        seed=seed_of(config["seed"], "compare_values"),
        code=code_of("compare_values"),
    script:
        "../../scripts/compare_values.py"


rule merge_contrasts:
    input:
        **CONTRAST_TABLES,
    output:
        contrasts=report(
            "<results>/merge_contrasts/contrasts.tsv",
            caption="../report/merge_contrasts.rst",
            category="1 Summary",
            labels={"Result": "All contrasts of all layers (table)"},
        ),
    log:
        "<logs>/merge_contrasts.log",
    benchmark:
        "<benchmarks>/merge_contrasts.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("merge_contrasts", within=config),
        study={"contrasts": config["contrasts"]},
        code=code_of("merge_contrasts"),
    script:
        "../../scripts/merge_contrasts.py"


rule model_composition:
    input:
        composition="<results>/measure_composition/composition.tsv",
        contrasts="<results>/compare_composition/contrasts.tsv",
        differences="<results>/compare_composition/differences.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        models=report(
            "<results>/model_composition/models.tsv",
            caption="../report/model_composition.rst",
            category="2 Responders and change",
            labels={"Result": "Composition by other models (table)"},
        ),
    log:
        "<logs>/model_composition.log",
    benchmark:
        "<benchmarks>/model_composition.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("model_composition", within=config),
        study={k: config[k] for k in ("contrasts", "testing")},
        code=code_of("model_composition"),
    script:
        "../../scripts/model_composition.py"


rule sweep_labels:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        lineages="<results>/annotate_lineages/cells.tsv.gz",
        reductions=expand("<results>/reduce_cells/{branch}.h5ad", branch=BRANCHES),
        reduction_checksums=expand(
            "<results>/reduce_cells/{branch}.h5ad.sha256", branch=BRANCHES
        ),
        clusters=expand("<results>/cluster_cells/{branch}.h5ad", branch=BRANCHES),
        cluster_checksums=expand(
            "<results>/cluster_cells/{branch}.h5ad.sha256", branch=BRANCHES
        ),
        cells="<results>/define_labels/cells.tsv.gz",
        contrasts="<results>/compare_composition/contrasts.tsv",
        markers=MARKERS,
        design="<results>/check_inputs/design.tsv",
    output:
        labels="<results>/sweep_labels/labels.tsv",
        stability=report(
            "<results>/sweep_labels/stability.tsv",
            caption="../report/sweep_labels.rst",
            category="2 Responders and change",
            labels={
                "Result": "Composition under other labellings of the cells (table)"
            },
        ),
        runs="<results>/sweep_labels/runs.tsv",
    log:
        "<logs>/sweep_labels.log",
    benchmark:
        "<benchmarks>/sweep_labels.tsv"
    priority: LONG
    conda:
        "../../envs/core.yaml"
    threads: MOST_THREADS
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("sweep_labels", within=config),
        study={k: config[k] for k in ("contrasts", "testing", "tissues", "batch_key")}
        | {"branches": BRANCHES, "stages": RELABELLED},
        seed=seed_of(config["seed"], "sweep_labels"),
        code=code_of("sweep_labels"),
    script:
        "../../scripts/sweep_labels.py"


rule sweep_definitions:
    input:
        **COMPARED,
        design="<results>/check_inputs/design.tsv",
    output:
        definitions=report(
            "<results>/sweep_definitions/definitions.tsv",
            caption="../report/sweep_definitions.rst",
            category="2 Responders and change",
            labels={"Result": "Other definitions of a responder (table)"},
        ),
    log:
        "<logs>/sweep_definitions.log",
    benchmark:
        "<benchmarks>/sweep_definitions.tsv"
    priority: LONG
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("sweep_definitions", within=config),
        study={k: config[k] for k in ("contrasts", "testing", "responders")}
        | {
            "layers": list(COMPARED),
            "second_sources": PLAN.second_sources,
            "floors": config["compare_composition"],
        },
        seed=seed_of(config["seed"], "sweep_definitions"),
        code=code_of("sweep_definitions"),
    script:
        "../../scripts/sweep_definitions.py"


rule model_visits:
    input:
        **BY_VISIT,
        contrasts=MERGED,
        design="<results>/check_inputs/design.tsv",
    output:
        models=report(
            "<results>/model_visits/models.tsv",
            caption="../report/model_visits.rst",
            category="2 Responders and change",
            labels={"Result": "All visits in one mixed model (table)"},
        ),
    log:
        "<logs>/model_visits.log",
    benchmark:
        "<benchmarks>/model_visits.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=2000,
    params:
        settings=lookup("model_visits", within=config),
        study={k: config[k] for k in ("contrasts", "testing")}
        | {
            "layers": list(BY_VISIT),
            "pseudo_count": config["compare_composition"]["pseudo_count"],
        },
        code=code_of("model_visits"),
    script:
        "../../scripts/model_visits.py"
