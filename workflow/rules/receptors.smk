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


rule witness_receptors:
    input:
        receptors="<results>/load_receptors/receptors.h5ad",
        checksum="<results>/load_receptors/receptors.h5ad.sha256",
    output:
        cells="<results>/witness_receptors/cells.tsv.gz",
    log:
        "<logs>/witness_receptors.log",
    benchmark:
        "<benchmarks>/witness_receptors.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("witness_receptors", within=config),
        code=code_of("witness_receptors"),
    script:
        "../../scripts/witness_receptors.py"


rule define_clonotypes:
    input:
        receptors="<results>/load_receptors/receptors.h5ad",
        checksum="<results>/load_receptors/receptors.h5ad.sha256",
    output:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        chains="<results>/define_clonotypes/chains.tsv.gz",
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


rule check_receptors:
    input:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        doublets=expand("<results>/find_doublets/{job}.tsv.gz", job=PLAN.jobs),
        cells="<results>/define_labels/cells.tsv.gz",
        samples="<results>/load_receptors/samples.tsv",
    output:
        doublets=report(
            "<results>/check_receptors/doublets.tsv",
            caption="../report/check_receptors.rst",
            category="6 Quality",
            labels={"Result": "Receptor chains against doublet calls (table)"},
        ),
        lineages=report(
            "<results>/check_receptors/lineages.tsv",
            caption="../report/check_receptors.rst",
            category="6 Quality",
            labels={"Result": "T-cell receptors by lineage (table)"},
        ),
    log:
        "<logs>/check_receptors.log",
    benchmark:
        "<benchmarks>/check_receptors.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(2000),
    params:
        settings=lookup("check_receptors", within=config),
        code=code_of("check_receptors"),
    script:
        "../../scripts/check_receptors.py"


rule sweep_clonotypes:
    input:
        chains="<results>/define_clonotypes/chains.tsv.gz",
        cells=LABELS,
        design="<results>/check_inputs/design.tsv",
    output:
        definitions=report(
            "<results>/sweep_clonotypes/definitions.tsv",
            caption="../report/sweep_clonotypes.rst",
            category="4 T-cell clones",
            labels={"Result": "Other definitions of a clonotype (table)"},
        ),
        samples="<results>/sweep_clonotypes/samples.tsv",
        contrasts=report(
            "<results>/sweep_clonotypes/contrasts.tsv",
            caption="../report/sweep_clonotypes.rst",
            category="2 Responders and change",
            labels={"Result": "Expansion under other clonotypes (table)"},
        ),
    log:
        "<logs>/sweep_clonotypes.log",
    benchmark:
        "<benchmarks>/sweep_clonotypes.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("sweep_clonotypes", within=config),
        study={k: config[k] for k in ("contrasts", "testing")}
        | {
            "stages": {
                k: config[k] for k in ("define_clonotypes", "measure_expansion")
            }
        },
        # The seed of the declared definition, which must give the same numbers here.
        seed=seed_of(config["seed"], "measure_expansion"),
        code=code_of("sweep_clonotypes"),
    script:
        "../../scripts/sweep_clonotypes.py"


rule cluster_clonotypes:
    input:
        receptors="<results>/load_receptors/receptors.h5ad",
        checksum="<results>/load_receptors/receptors.h5ad.sha256",
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
    output:
        clusters=report(
            "<results>/cluster_clonotypes/clusters.tsv",
            caption="../report/cluster_clonotypes.rst",
            category="4 T-cell clones",
            labels={"Result": "Clusters of similar clonotypes (table)"},
        ),
        members="<results>/cluster_clonotypes/members.tsv.gz",
    log:
        "<logs>/cluster_clonotypes.log",
    benchmark:
        "<benchmarks>/cluster_clonotypes.tsv"
    conda:
        "../../envs/receptors.yaml"
    threads: MOST_THREADS
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("cluster_clonotypes", within=config),
        code=code_of("cluster_clonotypes"),
    script:
        "../../scripts/cluster_clonotypes.py"


rule load_repertoires:
    input:
        files=PLAN.files("bulk_tcr"),
        design="<results>/check_inputs/design.tsv",
    output:
        clonotypes="<results>/load_repertoires/clonotypes.tsv.gz",
        depths=report(
            "<results>/load_repertoires/depths.tsv",
            caption="../report/load_repertoires.rst",
            category="6 Quality",
            labels={"Result": "Bulk repertoires as read (table)"},
        ),
    log:
        "<logs>/load_repertoires.log",
    benchmark:
        "<benchmarks>/load_repertoires.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("load_repertoires", within=config),
        code=code_of("load_repertoires"),
    script:
        "../../scripts/load_repertoires.py"


rule measure_repertoires:
    input:
        clonotypes="<results>/load_repertoires/clonotypes.tsv.gz",
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
        mem_mb=memory(4000),
    params:
        settings=lookup("measure_repertoires", within=config),
        seed=seed_of(config["seed"], "measure_repertoires"),
        code=code_of("measure_repertoires"),
    script:
        "../../scripts/measure_repertoires.py"


rule measure_overlap:
    input:
        clonotypes="<results>/load_repertoires/clonotypes.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        overlap=report(
            "<results>/measure_overlap/overlap.tsv",
            caption="../report/measure_overlap.rst",
            category="4 T-cell clones",
            labels={"Result": "Clonotypes shared by bulk repertoires (table)"},
        ),
    log:
        "<logs>/measure_overlap.log",
    benchmark:
        "<benchmarks>/measure_overlap.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("measure_overlap", within=config),
        code=code_of("measure_overlap"),
    script:
        "../../scripts/measure_overlap.py"


rule measure_usage:
    input:
        clonotypes="<results>/load_repertoires/clonotypes.tsv.gz",
        depths="<results>/load_repertoires/depths.tsv",
        design="<results>/check_inputs/design.tsv",
    output:
        usage="<results>/measure_usage/usage.tsv",
        convergence=report(
            "<results>/measure_usage/convergence.tsv",
            caption="../report/measure_usage.rst",
            category="4 T-cell clones",
            labels={"Result": "Convergence of the bulk repertoires (table)"},
        ),
        values="<results>/measure_usage/values.tsv",
    log:
        "<logs>/measure_usage.log",
    benchmark:
        "<benchmarks>/measure_usage.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("measure_usage", within=config),
        code=code_of("measure_usage"),
    script:
        "../../scripts/measure_usage.py"


rule track_clones:
    input:
        clonotypes=tracked_clones,
        design="<results>/check_inputs/design.tsv",
    output:
        clones="<results>/track_clones/{source}/clones.tsv.gz",
        pairs=report(
            "<results>/track_clones/{source}/pairs.tsv",
            caption="../report/track_clones.rst",
            category="4 T-cell clones",
            labels={
                "Result": "Pairs of visits compared clone by clone, {source} (table)"
            },
        ),
        summary="<results>/track_clones/{source}/summary.tsv",
        values="<results>/track_clones/{source}/values.tsv",
    log:
        "<logs>/track_clones/{source}.log",
    benchmark:
        "<benchmarks>/track_clones/{source}.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(6000),
    params:
        settings=lookup("track_clones", within=config),
        study=PLAN.study,
        seed=seed_of(config["seed"], "track_clones"),
        code=code_of("track_clones"),
    script:
        "../../scripts/track_clones.py"


rule link_clones:
    input:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        cells="<results>/define_labels/cells.tsv.gz",
        receptors="<results>/witness_receptors/cells.tsv.gz",
        design="<results>/check_inputs/design.tsv",
        counts="<results>/merge_samples/counts.h5ad",
        checksum="<results>/merge_samples/counts.h5ad.sha256",
        profiles="<results>/score_signatures/profiles.h5ad",
        profiles_checksum="<results>/score_signatures/profiles.h5ad.sha256",
        registry="<results>/score_signatures/registry.tsv",
    output:
        subsets=report(
            "<results>/link_clones/subsets.tsv",
            caption="../report/link_clones.rst",
            category="4 T-cell clones",
            labels={"Result": "Expanded clones by subset (table)"},
        ),
        values="<results>/link_clones/values.tsv",
        top_clones=report(
            "<results>/link_clones/top_clones.tsv",
            caption="../report/link_clones.rst",
            category="4 T-cell clones",
            labels={"Result": "Largest clones of each patient (table)"},
        ),
        differences="<results>/link_clones/differences.tsv",
        programmes=report(
            "<results>/link_clones/programmes.tsv",
            caption="../report/link_clones.rst",
            category="4 T-cell clones",
            labels={"Result": "Signatures of expanded cells and singletons (table)"},
        ),
    log:
        "<logs>/link_clones.log",
    benchmark:
        "<benchmarks>/link_clones.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(6000),
    params:
        settings=lookup("link_clones", within=config),
        study={k: config[k] for k in ("visits", "testing")},
        seed=seed_of(config["seed"], "link_clones"),
        code=code_of("link_clones"),
    script:
        "../../scripts/link_clones.py"


rule measure_transitions:
    input:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        cells="<results>/define_labels/cells.tsv.gz",
        receptors="<results>/witness_receptors/cells.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        indices="<results>/measure_transitions/indices.tsv",
        summary=report(
            "<results>/measure_transitions/summary.tsv",
            caption="../report/measure_transitions.rst",
            category="4 T-cell clones",
            labels={"Result": "Expansion, transition and migration (table)"},
        ),
        sharing="<results>/measure_transitions/sharing.tsv",
    log:
        "<logs>/measure_transitions.log",
    benchmark:
        "<benchmarks>/measure_transitions.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("measure_transitions", within=config),
        seed=seed_of(config["seed"], "measure_transitions"),
        code=code_of("measure_transitions"),
    script:
        "../../scripts/measure_transitions.py"


rule match_antigens:
    input:
        antigens=PLAN.antigens,
        tcr=CLONOTYPES,
        bulk_tcr=BULK_CLONES,
        design="<results>/check_inputs/design.tsv",
    output:
        matches="<results>/match_antigens/matches.tsv.gz",
        background=report(
            "<results>/match_antigens/background.tsv",
            caption="../report/match_antigens.rst",
            category="4 T-cell clones",
            labels={"Result": "Predicted antigens beside chance (table)"},
        ),
        snapshots="<results>/match_antigens/snapshots.tsv",
        values="<results>/match_antigens/values.tsv",
    log:
        "<logs>/match_antigens.log",
    benchmark:
        "<benchmarks>/match_antigens.tsv"
    conda:
        "../../envs/receptors.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("match_antigens", within=config),
        study={"antigens": config["antigens"]},
        seed=seed_of(config["seed"], "match_antigens"),
        code=code_of("match_antigens"),
    script:
        "../../scripts/match_antigens.py"


rule bridge_repertoires:
    input:
        clonotypes="<results>/define_clonotypes/clonotypes.tsv.gz",
        cells=LABELS,
        bulk="<results>/load_repertoires/clonotypes.tsv.gz",
        design="<results>/check_inputs/design.tsv",
    output:
        subsets=report(
            "<results>/bridge_repertoires/subsets.tsv",
            caption="../report/bridge_repertoires.rst",
            category="4 T-cell clones",
            labels={"Result": "Bulk repertoires by subset (table)"},
        ),
        agreement=report(
            "<results>/bridge_repertoires/agreement.tsv",
            caption="../report/bridge_repertoires.rst",
            category="6 Quality",
            labels={"Result": "Single cells against bulk repertoires (table)"},
        ),
        capture="<results>/bridge_repertoires/capture.tsv",
        clones="<results>/bridge_repertoires/clones.tsv.gz",
        values="<results>/bridge_repertoires/values.tsv",
    log:
        "<logs>/bridge_repertoires.log",
    benchmark:
        "<benchmarks>/bridge_repertoires.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(4000),
    params:
        settings=lookup("bridge_repertoires", within=config),
        seed=seed_of(config["seed"], "bridge_repertoires"),
        code=code_of("bridge_repertoires"),
    script:
        "../../scripts/bridge_repertoires.py"


rule share_clones:
    input:
        clonotypes=CLONOTYPES,
        bulk=BULK_CLONES,
        design="<results>/check_inputs/design.tsv",
    output:
        pairs=report(
            "<results>/share_clones/pairs.tsv",
            caption="../report/share_clones.rst",
            category="6 Quality",
            labels={"Result": "Clones that patients share (table)"},
        ),
        clones="<results>/share_clones/clones.tsv",
    log:
        "<logs>/share_clones.log",
    benchmark:
        "<benchmarks>/share_clones.tsv"
    conda:
        "../../envs/core.yaml"
    resources:
        mem_mb=memory(8000),
    params:
        settings=lookup("share_clones", within=config),
        code=code_of("share_clones"),
    script:
        "../../scripts/share_clones.py"
