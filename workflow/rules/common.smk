# What the other files share: the cohort, what it holds, and what its rules may know.
import sys
from pathlib import Path

SCRIPTS = (
    Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
    .resolve()
    .parents[1]
    / "scripts"
)
sys.path.insert(0, str(SCRIPTS))

from immune_landscape.biomarker_checks import told_eligibility
from immune_landscape.claim_files import find_claims
from immune_landscape.clinical_plan import (
    clinical_figures,
    held_clinical,
    linked_tables,
)
from immune_landscape.device import gpus_of
from immune_landscape.errors import ProblemsError
from immune_landscape.layers import LAYERS
from immune_landscape.plan import make_plan
from immune_landscape.provenance import code_of
from immune_landscape.report_after_run import write_report
from immune_landscape.seeds import seed_of
from immune_landscape.simulate_profiles import BIOLOGY_FILES
from snakemake.exceptions import WorkflowError
from snakemake.io import report as in_report

COMMAND_LINE = workflow.config_settings.overwrite_config
try:
    PLAN = make_plan(config, COMMAND_LINE)
except ProblemsError as error:
    # Every mistake in words; a traceback would bury them.
    raise WorkflowError(str(error)) from None
config.update(PLAN.cohort.config)


wildcard_constraints:
    job=r"\d+",
    branch="all|nk|t",
    layer="|".join(LAYERS),
    source="bulk_tcr|tcr",


pathvars:
    results=f"results/{PLAN.name}",
    logs=f"logs/{PLAN.name}",
    benchmarks=f"results/{PLAN.name}/benchmarks",


RESOURCES = SCRIPTS.parent / "workflow" / "resources"
MARKERS = [
    str(RESOURCES / name)
    for name in ("markers.yaml", "cell_types.tsv", "marker_levels.tsv")
]
SIMULATION = [str(RESOURCES / name) for name in BIOLOGY_FILES]
REPORT = f"results/{PLAN.name}/report.html"
DATA_FILES = [
    path for layer in ("gex", "tcr", "bulk_tcr") for path in PLAN.files(layer)
]
# What it takes to read the cohort again inside a job. The contract stands for cohort.yaml, which is no input of a rule:
# another figure size in it must not make everything run again.
FOLDER = {
    "cohort": {
        "folder": str(PLAN.cohort.folder),
        "overrides": PLAN.overrides,
        "base": PLAN.base,
        "data_root": PLAN.data_root,
    },
    "contract": PLAN.contract,
}


DEVICES = {
    "requested": config["device"],
    "of_steps": dict(config["device_of_steps"]),
}


LONG = 10
# Priority of rules that take long and that little waits for: begun last, they would run on alone.


MOST_THREADS = 4
# Of one job; others run beside it.


def branch_threads(wildcards):
    """Return threads by branch: nothing runs beside all cells, the branches run side by side and share the cores."""
    cores = workflow.resource_settings.cores or MOST_THREADS
    return (
        MOST_THREADS
        if wildcards.branch == "all"
        else max(1, min(MOST_THREADS, cores // 2))
    )


def memory(megabytes):
    """Return a resource that grows with each attempt."""

    def grown(wildcards, attempt):
        return megabytes * attempt

    return grown


def gex_files(wildcards):
    """Return the count files of a job's samples."""
    return PLAN.files("gex", PLAN.jobs[wildcards.job])


def job_study(wildcards):
    """Return what load_samples may know: its samples, and how their files are to be read."""
    return {
        "samples": PLAN.jobs[wildcards.job],
        "species": config["species"],
        "inputs": config["inputs"],
    }


def values_of(wildcards):
    """Return the numbers per sample of a layer."""
    return COMPARED[wildcards.layer]


def tracked_clones(wildcards):
    """Return the table of clones of a source."""
    return {
        "bulk_tcr": "<results>/load_repertoires/clonotypes.tsv.gz",
        "tcr": "<results>/define_clonotypes/clonotypes.tsv.gz",
    }[wildcards.source]


def branch_cells(wildcards):
    """Return the file that tells a branch's cells; all cells need none."""
    return [] if wildcards.branch == "all" else rules.annotate_lineages.output.cells


def figures(rule, stems, category, what):
    """Return the figures of a rule: a PNG each for the report, with its label, and an SVG each for a paper.

    One label an item: Snakemake's report makes a switch of a second label that has two values, and fails on it.
    """
    caption = workflow.current_basedir.join(f"../report/{rule}.rst")
    shown = [
        in_report(
            f"<results>/{rule}/{stem}.png",
            caption=caption,
            category=category,
            labels={"Result": f"{what}: {of}"},
        )
        for stem, of in stems.items()
    ]
    return shown + [f"<results>/{rule}/{stem}.svg" for stem in stems]
