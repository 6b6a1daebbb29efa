# Needs: the tables of a run. Promises: its figures, and the summary page that the report opens with.
rule report_cohort:
    input:
        design="<results>/check_inputs/design.tsv",
        notes="<results>/check_inputs/notes.tsv",
        steps=STEPS,
        contrasts=MERGED,
        null=NULL_RUNS,
        swept=DEFINITIONS,
        claims=LEDGER,
        expression=EXPRESSION,
        agreement=AGREEMENT,
        clusters_nk=CLUSTER_NAMES.get("nk", []),
        clusters_t=CLUSTER_NAMES.get("t", []),
        anchors_nk=ANCHORS.get("nk", []),
        anchors_t=ANCHORS.get("t", []),
        identity=IDENTITY,
        donor_cells=DONOR_CELLS,
        shared_clones=SHARED_CLONES,
        metrics=METRICS,
        chain_qc=CHAIN_QC,
        recovery=RECOVERY,
        endpoints="<results>/measure_endpoints/endpoints.tsv",
        comparisons=COMPARISONS,
        safety=SAFETY,
        mtd=DOSES,
        links=LINKS,
        marker_classes=MARKER_CLASSES,
        marker_conflicts=MARKER_CONFLICTS,
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
    output:
        figures(
            "draw_expansion",
            {"overview": "all samples"},
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
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_expansion"),
    script:
        "../../scripts/draw_expansion.py"


rule draw_values:
    input:
        differences="<results>/compare_values/{layer}/differences.tsv",
        contrasts="<results>/compare_values/{layer}/contrasts.tsv",
    output:
        figures(
            "draw_values",
            VALUE_FIGURES,
            "2 Responders and change",
            "Patients",
        ),
    log:
        "<logs>/draw_values/{layer}.log",
    benchmark:
        "<benchmarks>/draw_values/{layer}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_values", within=config),
        study=PLAN.study,
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_values"),
    script:
        "../../scripts/draw_values.py"


rule draw_signatures:
    input:
        contrasts="<results>/compare_values/signatures/contrasts.tsv",
        differences="<results>/compare_values/signatures/differences.tsv",
        nulls="<results>/judge_signatures/nulls.tsv",
        overlap="<results>/score_signatures/overlap.tsv",
    output:
        figures(
            "draw_signatures",
            SIGNATURE_FIGURES,
            "2 Responders and change",
            "Signatures",
        ),
    log:
        "<logs>/draw_signatures.log",
    benchmark:
        "<benchmarks>/draw_signatures.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_signatures", within=config),
        study=PLAN.study,
        code=code_of("draw_signatures"),
    script:
        "../../scripts/draw_signatures.py"


rule draw_expression:
    input:
        genes="<results>/compare_expression/genes.tsv.gz",
        subsets="<results>/compare_expression/subsets.tsv",
        differences="<results>/compare_expression/differences.tsv",
    output:
        figures(
            "draw_expression",
            EXPRESSION_FIGURES,
            "2 Responders and change",
            "Expression",
        ),
    log:
        "<logs>/draw_expression.log",
    benchmark:
        "<benchmarks>/draw_expression.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_expression", within=config),
        study=PLAN.study,
        code=code_of("draw_expression"),
    script:
        "../../scripts/draw_expression.py"


rule draw_robustness:
    input:
        contrasts="<results>/compare_composition/contrasts.tsv",
        references="<results>/compare_composition/references.tsv",
        models="<results>/model_composition/models.tsv",
        labels="<results>/sweep_labels/labels.tsv",
        stability="<results>/sweep_labels/stability.tsv",
        definitions="<results>/sweep_definitions/definitions.tsv",
    output:
        figures(
            "draw_robustness",
            CONTRASTS,
            "2 Responders and change",
            "Robustness of composition",
        ),
    log:
        "<logs>/draw_robustness.log",
    benchmark:
        "<benchmarks>/draw_robustness.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_robustness", within=config),
        study=PLAN.study,
        code=code_of("draw_robustness"),
    script:
        "../../scripts/draw_robustness.py"


rule draw_claims:
    input:
        claims="<results>/judge_claims/claims.tsv",
    output:
        figures(
            "draw_claims",
            {"claims": "prior claims"},
            "1 Summary",
            "Claims ledger",
        ),
    log:
        "<logs>/draw_claims.log",
    benchmark:
        "<benchmarks>/draw_claims.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_claims", within=config),
        study=PLAN.study,
        code=code_of("draw_claims"),
    script:
        "../../scripts/draw_claims.py"


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


rule draw_clusters:
    input:
        clusters="<results>/name_clusters/{branch}.tsv",
        shares="<results>/name_clusters/{branch}.shares.tsv",
    output:
        png=report(
            "<results>/draw_clusters/{branch}.png",
            caption="../report/draw_clusters.rst",
            category="5 Cells",
            labels={"Result": "Clusters by patient and batch: {branch}"},
        ),
        svg="<results>/draw_clusters/{branch}.svg",
    log:
        "<logs>/draw_clusters/{branch}.log",
    benchmark:
        "<benchmarks>/draw_clusters/{branch}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_clusters", within=config),
        study=PLAN.study,
        code=code_of("draw_clusters"),
    script:
        "../../scripts/draw_clusters.py"


rule draw_stability:
    input:
        stability="<results>/cluster_cells/{branch}.stability.tsv",
        jaccard="<results>/cluster_cells/{branch}.jaccard.tsv",
    output:
        png=report(
            "<results>/draw_stability/{branch}.png",
            caption="../report/draw_stability.rst",
            category="5 Cells",
            labels={"Result": "Stability of clusters: {branch}"},
        ),
        svg="<results>/draw_stability/{branch}.svg",
    log:
        "<logs>/draw_stability/{branch}.log",
    benchmark:
        "<benchmarks>/draw_stability/{branch}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_stability", within=config),
        study=PLAN.study | {"stages": {"cluster_cells": config["cluster_cells"]}},
        code=code_of("draw_stability"),
    script:
        "../../scripts/draw_stability.py"


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


rule draw_identity:
    input:
        samples="<results>/check_identity/samples.tsv",
        clones="<results>/check_identity/clones.tsv",
        donor_cells="<results>/check_identity/donor_cells.tsv",
    output:
        figures(
            "draw_identity",
            {"identity": "all samples"},
            "6 Quality",
            "Sex genes, shared clones, donor cells",
        ),
    log:
        "<logs>/draw_identity.log",
    benchmark:
        "<benchmarks>/draw_identity.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_identity", within=config),
        study=PLAN.study,
        definition=lookup("check_identity", within=config),
        code=code_of("draw_identity"),
    script:
        "../../scripts/draw_identity.py"


rule draw_annotators:
    input:
        confusion="<results>/compare_annotators/confusion.tsv",
        agreement="<results>/compare_annotators/agreement.tsv",
    output:
        png=report(
            "<results>/draw_annotators/annotators.png",
            caption="../report/draw_annotators.rst",
            category="5 Cells",
            labels={"Result": "Agreement of annotators"},
        ),
        svg="<results>/draw_annotators/annotators.svg",
    log:
        "<logs>/draw_annotators.log",
    benchmark:
        "<benchmarks>/draw_annotators.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_annotators", within=config),
        study=PLAN.study,
        code=code_of("draw_annotators"),
    script:
        "../../scripts/draw_annotators.py"


rule draw_tracks:
    input:
        clones="<results>/track_clones/{source}/clones.tsv.gz",
        pairs="<results>/track_clones/{source}/pairs.tsv",
    output:
        figures(
            "draw_tracks",
            {"{source}": "{source}"},
            "4 T-cell clones",
            "Clones from visit to visit",
        ),
    log:
        "<logs>/draw_tracks/{source}.log",
    benchmark:
        "<benchmarks>/draw_tracks/{source}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_tracks", within=config),
        study=PLAN.study,
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_tracks"),
    script:
        "../../scripts/draw_tracks.py"


rule draw_clone_definitions:
    input:
        definitions="<results>/sweep_clonotypes/definitions.tsv",
        samples="<results>/sweep_clonotypes/samples.tsv",
        contrasts="<results>/sweep_clonotypes/contrasts.tsv",
    output:
        figures(
            "draw_clone_definitions",
            CLONE_DEFINITIONS,
            "4 T-cell clones",
            "Other definitions of a clonotype",
        ),
    log:
        "<logs>/draw_clone_definitions.log",
    benchmark:
        "<benchmarks>/draw_clone_definitions.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_clone_definitions", within=config),
        study=PLAN.study,
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_clone_definitions"),
    script:
        "../../scripts/draw_clone_definitions.py"


rule draw_links:
    input:
        subsets="<results>/link_clones/subsets.tsv",
        summary="<results>/measure_transitions/summary.tsv",
    output:
        figures(
            "draw_links",
            {"subsets": "expanded share by subset", "transitions": "transitions"},
            "4 T-cell clones",
            "Clones and subsets",
        ),
    log:
        "<logs>/draw_links.log",
    benchmark:
        "<benchmarks>/draw_links.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_links", within=config),
        study=PLAN.study,
        definition=lookup("define_clonotypes", within=config),
        code=code_of("draw_links"),
    script:
        "../../scripts/draw_links.py"


rule draw_repertoires:
    input:
        overlap="<results>/measure_overlap/overlap.tsv",
        usage="<results>/measure_usage/usage.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_repertoires",
            {
                "overlap_usage": "overlap and genes of all samples",
                "gene_usage": "genes and CDR3 lengths by response",
            },
            "4 T-cell clones",
            "Bulk repertoires",
        ),
    log:
        "<logs>/draw_repertoires.log",
    benchmark:
        "<benchmarks>/draw_repertoires.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_repertoires", within=config),
        study=PLAN.study,
        code=code_of("draw_repertoires"),
    script:
        "../../scripts/draw_repertoires.py"


rule draw_microenvironment:
    input:
        patients="<results>/measure_microenvironment/patients.tsv",
        samples="<results>/measure_microenvironment/samples.tsv",
    output:
        figures(
            "draw_microenvironment",
            {"microenvironment": "tissue by visit"},
            "3 Composition",
            "Immune microenvironment",
        ),
    log:
        "<logs>/draw_microenvironment.log",
    benchmark:
        "<benchmarks>/draw_microenvironment.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_microenvironment", within=config),
        study=PLAN.study,
        code=code_of("draw_microenvironment"),
    script:
        "../../scripts/draw_microenvironment.py"


rule draw_antigens:
    input:
        background="<results>/match_antigens/background.tsv",
    output:
        figures(
            "draw_antigens",
            {"antigens": "single cells and bulk"},
            "4 T-cell clones",
            "Predicted antigens beside chance",
        ),
    log:
        "<logs>/draw_antigens.log",
    benchmark:
        "<benchmarks>/draw_antigens.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_antigens", within=config),
        study=PLAN.study,
        code=code_of("draw_antigens"),
    script:
        "../../scripts/draw_antigens.py"


rule draw_bridge:
    input:
        subsets="<results>/bridge_repertoires/subsets.tsv",
        agreement="<results>/bridge_repertoires/agreement.tsv",
        capture="<results>/bridge_repertoires/capture.tsv",
        clones="<results>/bridge_repertoires/clones.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        figures(
            "draw_bridge",
            {"frequencies": "frequencies", "subsets": "subsets"},
            "4 T-cell clones",
            "Single cells and bulk repertoires",
        ),
    log:
        "<logs>/draw_bridge.log",
    benchmark:
        "<benchmarks>/draw_bridge.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_bridge", within=config),
        study=PLAN.study,
        code=code_of("draw_bridge"),
    script:
        "../../scripts/draw_bridge.py"


rule draw_sharing:
    input:
        pairs="<results>/share_clones/pairs.tsv",
    output:
        figures(
            "draw_sharing",
            {"sharing": "all patients"},
            "6 Quality",
            "Clones that patients share",
        ),
    log:
        "<logs>/draw_sharing.log",
    benchmark:
        "<benchmarks>/draw_sharing.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=4000,
    params:
        settings=lookup("draw_sharing", within=config),
        study=PLAN.study,
        code=code_of("draw_sharing"),
    script:
        "../../scripts/draw_sharing.py"


TARGETS = [
    rules.report_cohort.output,
    rules.draw_cohort.output,
    CLINICAL_TARGETS,
]
if HAS_GEX:
    TARGETS += [
        rules.draw_quality.output,
        rules.draw_composition.output,
        rules.export_h5ad.output,
        expand(
            [
                rules.draw_cells.output.png,
                rules.draw_markers.output.png,
                rules.draw_stability.output.png,
            ],
            branch=MAPS,
        ),
        expand(rules.draw_clusters.output.png, branch=BRANCHES),
        rules.draw_annotators.output,
        rules.rank_markers.output,
    ]
if HAS_GEX and gpus_of("compare_devices", **DEVICES):
    TARGETS += [rules.compare_devices.output]
if HAS_BULK:
    TARGETS += [rules.draw_repertoires.output, rules.measure_usage.output]
if HAS_TCR or HAS_BULK:
    TARGETS += [rules.draw_sharing.output]
if HAS_TCR and HAS_BULK:
    TARGETS += [rules.draw_bridge.output]
if TRACKED:
    TARGETS += [expand(rules.draw_tracks.output, source=TRACKED)]
if HAS_CELLS:
    TARGETS += [rules.draw_identity.output]
if HAS_TCR:
    TARGETS += [
        rules.draw_clonotypes.output,
        rules.draw_expansion.output,
        rules.draw_clone_definitions.output,
    ]
if HAS_SIMILAR:
    TARGETS += [rules.cluster_clonotypes.output]
if HAS_GEX and HAS_TCR:
    TARGETS += [rules.check_receptors.output]
if HAS_GEX and HAS_TCR:
    TARGETS += [rules.draw_links.output]
if HAS_TCR or HAS_BULK:
    TARGETS += [rules.export_airr.output]
if "microenvironment" in COMPARED:
    TARGETS += [rules.draw_microenvironment.output]
if HAS_ANTIGENS:
    TARGETS += [rules.draw_antigens.output]
if CONTRASTS:
    TARGETS += [
        expand(rules.draw_values.output, layer=[n for n in VALUES if n != "signatures"])
    ]
if MERGED:
    TARGETS += [rules.model_visits.output]
if HAS_GEX and CONTRASTS:
    TARGETS += [
        rules.draw_contrasts.output,
        rules.draw_signatures.output,
        rules.draw_expression.output,
        rules.draw_robustness.output,
        rules.model_expression.output.agreement,
    ]
if config["claims"]:
    TARGETS += [rules.draw_claims.output]
if HAS_RECOVERY:
    TARGETS += [rules.draw_recovery.output]
