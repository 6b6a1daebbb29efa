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
