# What this cohort holds, and so which files and figures there are.
BRANCHES = ["nk", "t"]
HAS_GEX, HAS_TCR = bool(PLAN.jobs), bool(PLAN.files("tcr"))
HAS_BULK = bool(PLAN.files("bulk_tcr"))
# Clones can be followed where there are visits to follow them over.
TRACKED = [
    source
    for source, held in (("bulk_tcr", HAS_BULK), ("tcr", HAS_TCR))
    if held and len(config["visits"]) > 1
]

# Layer compared between patients -> its numbers per sample; composition is counted in a table of its own.
COMPARED = {layer: f"<results>/{table}" for layer, table in PLAN.compared.items()}
VALUES = [layer for layer in COMPARED if layer != "composition"]
# Layers with a number at each visit, before the treatment as well.
BY_VISIT = {
    layer: table for layer, table in COMPARED.items() if not LAYERS[layer].tells_change
}
IS_SIMULATED = PLAN.data_root is not None
CONTRASTS = {contrast["name"]: contrast["name"] for contrast in config["contrasts"]}
HAS_RECOVERY = (
    IS_SIMULATED
    and HAS_GEX
    and any(
        config["simulate_cohort"][planted]
        and any(c["estimand"] == estimand for c in config["contrasts"])
        for planted, estimand in (
            ("effects", "response_by_visit"),
            ("arm_effects", "arm_by_visit"),
        )
    )
)

# Inputs that a rule takes where the cohort has the layer.
COUNTS = "<results>/merge_samples/counts.h5ad" if HAS_GEX else []
COUNTS_CHECKSUM = "<results>/merge_samples/counts.h5ad.sha256" if HAS_GEX else []
LABELS = "<results>/define_labels/cells.tsv.gz" if HAS_GEX else []
ORIGINS = PLAN.origins or []
REFERENCE = (HAS_GEX and PLAN.reference) or []
VOTES = "<results>/classify_cells/votes.tsv.gz" if REFERENCE else []
RECEPTOR_CELLS = "<results>/witness_receptors/cells.tsv.gz" if HAS_TCR else []
AGREEMENT = "<results>/compare_annotators/agreement.tsv" if HAS_GEX else []
CLUSTER_NAMES = {b: f"<results>/name_clusters/{b}.tsv" for b in BRANCHES if HAS_GEX}
ANCHORS = {b: f"<results>/annotate_subsets/{b}.anchors.tsv" for b in CLUSTER_NAMES}
HAS_CELLS = HAS_GEX or HAS_TCR
IDENTITY = "<results>/check_identity/samples.tsv" if HAS_CELLS else []
SHARED_CLONES = "<results>/share_clones/pairs.tsv" if HAS_TCR or HAS_BULK else []
DONOR_CELLS = "<results>/check_identity/donor_cells.tsv" if HAS_CELLS else []
STEPS = "<results>/merge_samples/steps.tsv" if HAS_GEX else []
CLONOTYPES = "<results>/define_clonotypes/clonotypes.tsv.gz" if HAS_TCR else []
CHAIN_QC = "<results>/define_clonotypes/chain_qc.tsv" if HAS_TCR else []
METRICS = "<results>/measure_expansion/metrics.tsv" if HAS_TCR else []
BULK_CLONES = "<results>/load_repertoires/clonotypes.tsv.gz" if HAS_BULK else []
RECEPTORS = "<results>/load_receptors/receptors.h5ad" if HAS_TCR else []
RECEPTORS_CHECKSUM = f"{RECEPTORS}.sha256" if HAS_TCR else []
BULK_DEPTHS = "<results>/load_repertoires/depths.tsv" if HAS_BULK else []
AIRR_FILES = {
    source: [
        f"<results>/export_airr/{source}/{name}.tsv"
        for name in PLAN.samples_with(source)
    ]
    for source in ("tcr", "bulk_tcr")
    if PLAN.samples_with(source)
}
# Clusters of similar clonotypes take time and are made where a metric is named.
HAS_SIMILAR = HAS_TCR and config["cluster_clonotypes"]["metric"] != "none"
# Clonotypes can be looked up where the cohort names receptors of known antigen.
HAS_ANTIGENS = bool(PLAN.antigens) and (HAS_TCR or HAS_BULK)
MERGED = "<results>/merge_contrasts/contrasts.tsv" if COMPARED and CONTRASTS else []
DEFINITIONS = "<results>/sweep_definitions/definitions.tsv" if MERGED else []
LEDGER = "<results>/judge_claims/claims.tsv" if config["claims"] else []
CONTRAST_TABLES = {
    layer: (
        "<results>/compare_composition/contrasts.tsv"
        if layer == "composition"
        else f"<results>/compare_values/{layer}/contrasts.tsv"
    )
    for layer in COMPARED
} | {f"{layer}_units": COMPARED[layer] for layer in VALUES}
NULL_RUNS = (
    [CONTRAST_TABLES[n].replace("contrasts.tsv", "null.tsv") for n in COMPARED]
    if CONTRASTS
    else []
)
CLAIM_FILES = [str(find_claims(PLAN.cohort.folder, name)) for name in config["claims"]]
EXPRESSION = "<results>/compare_expression/subsets.tsv" if HAS_GEX and MERGED else []
SWEPT_LABELS = HAS_GEX and bool(CONTRASTS)
# Stages that the sweep over labels runs again, with their settings.
RELABELLED = {
    name: config[name]
    for name in (
        "cluster_cells",
        "annotate_subsets",
        "measure_composition",
        "compare_composition",
    )
}
RECOVERY = "<results>/judge_recovery/recovery.tsv" if HAS_RECOVERY else []

# Figures by what the cohort holds: file stem -> what it shows.
PARENTS = {"all": "lineages", "nk": "NK cells", "t": "T cells", "cells": "all cells"}
MAPS = ["all", *BRANCHES]
COMPOSITION_FIGURES = {
    f"{contrast['name']}.{parent}": f"{contrast['name']}, {PARENTS[parent]}"
    for contrast in config["contrasts"]
    for parent in contrast["parents"]
} or {parent: PARENTS[parent] for parent in MAPS}
VALUE_FIGURES = {f"{{layer}}/{name}": f"{{layer}}, {name}" for name in CONTRASTS}
SIGNATURE_FIGURES = {
    f"{name}{part}": f"{name}{what}"
    for name in CONTRASTS
    for part, what in {"": "", ".patients": ", single patients"}.items()
}
CLONE_DEFINITIONS = {"definitions": "all samples", **CONTRASTS}
EXPRESSION_FIGURES = {
    f"{name}.{part}": f"{name}, {part}"
    for name in CONTRASTS
    for part in ("genes", "calibration")
}
