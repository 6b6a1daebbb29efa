# Needs: the tables of a run. Promises: its figures, and the summary page that the report opens with.
rule report_cohort:
    input:
        design="<results>/check_inputs/design.tsv",
        notes="<results>/check_inputs/notes.tsv",
        steps=STEPS,
        contrasts=COMPOSITION_CONTRASTS,
        expansion_contrasts=EXPANSION_CONTRASTS,
        metrics=METRICS,
        chain_qc=CHAIN_QC,
        recovery=RECOVERY,
    output:
        html=report(
            "<results>/report_cohort/summary.html",
            caption="../report/report_cohort.rst",
            category="1 Summary",
            labels={"Result": "Summary of the cohort"},
        ),
    log:
        "<logs>/report_cohort.log",
    benchmark:
        "<benchmarks>/report_cohort.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("report_cohort", within=config),
        study=PLAN.study,
        code=code_of("report_cohort"),
    script:
        "../../scripts/report_cohort.py"


rule draw_cohort:
    input:
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_cohort",
            {"cohort": "the cohort"},
            "1 Summary",
            "Patients, visits and layers",
        ),
    log:
        "<logs>/draw_cohort.log",
    benchmark:
        "<benchmarks>/draw_cohort.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_cohort", within=config),
        study=PLAN.study,
        code=code_of("draw_cohort"),
    script:
        "../../scripts/draw_cohort.py"


rule draw_recovery:
    input:
        recovery="<results>/judge_recovery/recovery.tsv",
    output:
        figures(
            "draw_recovery",
            {"recovery": "simulated effects"},
            "1 Summary",
            "Planted and found effects",
        ),
    log:
        "<logs>/draw_recovery.log",
    benchmark:
        "<benchmarks>/draw_recovery.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_recovery", within=config),
        study=PLAN.study,
        code=code_of("draw_recovery"),
    script:
        "../../scripts/draw_recovery.py"


rule draw_contrasts:
    input:
        contrasts="<results>/compare_composition/contrasts.tsv",
    output:
        figures(
            "draw_contrasts",
            CONTRASTS,
            "2 Responders and change",
            "Composition contrast",
        ),
    log:
        "<logs>/draw_contrasts.log",
    benchmark:
        "<benchmarks>/draw_contrasts.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_contrasts", within=config),
        study=PLAN.study,
        code=code_of("draw_contrasts"),
    script:
        "../../scripts/draw_contrasts.py"


rule draw_composition:
    input:
        composition="<results>/measure_composition/composition.tsv",
        differences="<results>/compare_composition/differences.tsv",
        contrasts="<results>/compare_composition/contrasts.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_composition",
            COMPOSITION_FIGURES,
            "3 Composition",
            "Composition by patient",
        ),
    log:
        "<logs>/draw_composition.log",
    benchmark:
        "<benchmarks>/draw_composition.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_composition", within=config),
        study=PLAN.study,
        code=code_of("draw_composition"),
    script:
        "../../scripts/draw_composition.py"


rule draw_clonotypes:
    input:
        chain_qc="<results>/define_clonotypes/chain_qc.tsv",
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        labels=LABELS,
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_clonotypes",
            {"clonotypes": "all samples"},
            "4 T-cell clones",
            "Receptor chains and clone sizes",
        ),
    log:
        "<logs>/draw_clonotypes.log",
    benchmark:
        "<benchmarks>/draw_clonotypes.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_clonotypes", within=config),
        study=PLAN.study,
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_clonotypes"),
    script:
        "../../scripts/draw_clonotypes.py"


rule draw_expansion:
    input:
        metrics="<results>/measure_expansion/metrics.tsv",
        differences="<results>/compare_expansion/differences.tsv",
        contrasts="<results>/compare_expansion/contrasts.tsv",
    output:
        figures(
            "draw_expansion",
            EXPANSION_FIGURES,
            "4 T-cell clones",
            "Clonal expansion by patient",
        ),
    log:
        "<logs>/draw_expansion.log",
    benchmark:
        "<benchmarks>/draw_expansion.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_expansion", within=config),
        study=PLAN.study,
        code=code_of("draw_expansion"),
    script:
        "../../scripts/draw_expansion.py"


rule draw_cells:
    input:
        clusters="<results>/cluster_cells/{branch}.h5ad",
        checksum="<results>/cluster_cells/{branch}.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        png=report(
            "<results>/draw_cells/{branch}.png",
            caption="../report/draw_cells.rst",
            category="5 Cells",
            labels={"Result": "Map of the cells: {branch}"},
        ),
        svg="<results>/draw_cells/{branch}.svg",
    log:
        "<logs>/draw_cells/{branch}.log",
    benchmark:
        "<benchmarks>/draw_cells/{branch}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_cells", within=config),
        study=PLAN.study,
        code=code_of("draw_cells"),
    script:
        "../../scripts/draw_cells.py"


rule measure_markers:
    input:
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        labels="<results>/define_labels/cells.tsv.gz",
        markers=MARKERS,
    output:
        dots="<results>/measure_markers/{branch}.tsv",
    log:
        "<logs>/measure_markers/{branch}.log",
    benchmark:
        "<benchmarks>/measure_markers/{branch}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("measure_markers", within=config),
        code=code_of("measure_markers"),
    script:
        "../../scripts/measure_markers.py"


rule draw_markers:
    input:
        dots="<results>/measure_markers/{branch}.tsv",
    output:
        png=report(
            "<results>/draw_markers/{branch}.png",
            caption="../report/draw_markers.rst",
            category="5 Cells",
            labels={"Result": "Markers of the labels: {branch}"},
        ),
        svg="<results>/draw_markers/{branch}.svg",
    log:
        "<logs>/draw_markers/{branch}.log",
    benchmark:
        "<benchmarks>/draw_markers/{branch}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_markers", within=config),
        study=PLAN.study,
        code=code_of("draw_markers"),
    script:
        "../../scripts/draw_markers.py"


rule draw_quality:
    input:
        cells=expand("<results>/filter_cells/{job}.tsv.gz", job=PLAN.jobs),
        doublets=expand("<results>/find_doublets/{job}.tsv.gz", job=PLAN.jobs),
        steps="<results>/merge_samples/steps.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_quality", {"quality": "all samples"}, "6 Quality", "Quality control"
        ),
    log:
        "<logs>/draw_quality.log",
    benchmark:
        "<benchmarks>/draw_quality.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_quality", within=config),
        study=PLAN.study,
        code=code_of("draw_quality"),
    script:
        "../../scripts/draw_quality.py"


TARGETS = [rules.report_cohort.output, rules.draw_cohort.output]
if HAS_GEX:
    TARGETS += [
        rules.draw_quality.output,
        rules.draw_composition.output,
        rules.export_h5ad.output,
        expand(
            [rules.draw_cells.output.png, rules.draw_markers.output.png], branch=MAPS
        ),
    ]
if HAS_TCR:
    TARGETS += [rules.draw_clonotypes.output, rules.draw_expansion.output]
if HAS_GEX and CONTRASTS:
    TARGETS += [rules.draw_contrasts.output]
if HAS_RECOVERY:
    TARGETS += [rules.draw_recovery.output]
