"""Time the whole workflow on a simulated cohort of 38 samples, and tell what it costs above the work of its rules.

python benchmarks/time_workflow.py 100000 benchmarks/results/workflow_100k.json

The demo cohort is copied with so many cells as are asked for, and run once with `snakemake --cores`. Snakemake's own
benchmark files tell the seconds of each job, from the start of its process on, and its log the threads. Overhead is
what the run takes above the jobs' seconds times threads, shared out evenly to the cores: waiting for one another,
Snakemake's own start and scheduling, the report. Each job tells what it imported (`job_meter`); the same imports in a
process that does nothing else are the processor seconds of its start. The seconds in which jobs read and wrote stored
files are added up in the jobs themselves.
"""

import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEMO, SAMPLES = ROOT / "config" / "cohorts" / "demo", 38
JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.MULTILINE)
THREADS = re.compile(r"^    threads: (\d+)$", re.MULTILINE)
REPLAY = """
import gc, importlib, sys
names = sys.stdin.read().split()
if "awkward" not in names:
    sys.modules["awkward"] = None
for name in names:
    try:
        importlib.import_module(name)
    except Exception:
        pass
gc.freeze()
"""
"""Imports again what a job imported, in its order, and ends as it does (`immune_landscape.job`); a module that another
made at run time is not found."""


def main(cells: int, target: Path) -> None:
    """Run the workflow on so many cells and write what its rules took."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "results", "logs", "tests"))
        cohort = copied_demo(tree / "config" / "cohorts" / "demo_large", cells)
        wall, processor, log = run_workflow(cohort, tree, cores)
        results = tree / "results" / cohort.name
        found = summary_of(results / "benchmarks", wall, cores, threads_of(log))
        meters = read_meters(tree / "meters")
        starts = starts_of(meters)
        found |= costs_of(meters, starts, processor, found["wall_of_jobs"])
        for rule, seconds in starts.items():
            found["rules"][rule]["cpu_of_starts"] = round(seconds, 2)
        kept = pd.read_csv(results / "merge_samples" / "steps.tsv", sep="\t")["kept"].sum()
        facts = {"cells": int(kept), "samples": SAMPLES, "simulated": True}
    command = f"python benchmarks/time_workflow.py {cells} {target}"
    found = facts | found | {"python": platform.python_version(), "command": command}
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({name: value for name, value in found.items() if isinstance(value, int | float)})


def run_workflow(cohort: Path, tree: Path, cores: int) -> tuple[float, float, str]:
    """Run the workflow in a checkout; return seconds of the clock, of the processor, and Snakemake's log."""
    meters = tree / "meters"
    meters.mkdir()
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--config", f"cohort={cohort}"]
    metered = os.environ | {"PYTHONPATH": str(HERE / "job_meter"), "JOB_METER": str(meters)}
    start, before = time.perf_counter(), processor_of_children()
    done = subprocess.run(command, check=False, cwd=tree, env=metered, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start, processor_of_children() - before, done.stderr


def processor_of_children() -> float:
    """Return the processor seconds of all processes that this one started and that ended, and of theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def threads_of(log: str) -> dict[str, int]:
    """Return the threads of each rule, as Snakemake's log tells them; 1 where it tells none."""
    _, *blocks = JOB.split(log)
    told = zip(blocks[::2], blocks[1::2], strict=True)
    return {rule: int(found[1]) if (found := THREADS.search(block)) else 1 for rule, block in told}


def read_meters(folder: Path) -> list[dict[str, Any]]:
    """Return what the processes of rules told; not Snakemake's own."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return [each for each in found if "immune_landscape.job" in each["modules"]]


def starts_of(meters: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the processor seconds that the jobs of each rule need to start and import their libraries."""
    found: dict[str, float] = defaultdict(float)
    for each in meters:
        found[rule_of(each["script"])] += start_seconds(each["modules"])
    return found


def rule_of(script: str) -> str:
    """Return the rule of a script that Snakemake runs under a name of its own, tmpa1b2c3.draw_values.py."""
    return Path(script).stem.rpartition(".")[2]


def costs_of(
    meters: Sequence[Mapping[str, Any]], starts: Mapping[str, float], processor: float, wall_of_jobs: float
) -> dict[str, float]:
    """Return the processor seconds of jobs, of their starts and of Snakemake, and the share of time of stored files."""
    of_jobs, stored = (sum(each[name] for each in meters) for name in ("cpu", "stored"))
    of_starts = sum(starts.values())
    return {
        "starts": len(meters),
        "cpu_of_jobs": round(of_jobs, 1),
        "cpu_of_starts": round(of_starts, 1),
        "cpu_of_snakemake": round(processor - of_jobs, 1),
        "cpu_fixed": round(of_starts + processor - of_jobs, 1),
        "seconds_stored_files": round(stored, 1),
        "share_stored_files": round(stored / wall_of_jobs, 3),
    }


def start_seconds(modules: Sequence[str]) -> float:
    """Return the processor seconds of a process that imports these modules and ends."""
    before = processor_of_children()
    path = os.pathsep.join((str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")))
    names = " ".join(name for name in modules if name not in ("__main__", "sitecustomize"))
    quiet = {"env": os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg"}, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", REPLAY], input=names, text=True, check=True, **quiet)
    return processor_of_children() - before


def copied_demo(folder: Path, cells: int) -> Path:
    """Copy the demo cohort with another number of cells."""
    folder.mkdir()
    for sheet in DEMO.glob("*.tsv"):
        (folder / sheet.name).write_bytes(sheet.read_bytes())
    config = yaml.safe_load((DEMO / "cohort.yaml").read_text(encoding="utf-8"))
    config["simulate_cohort"]["cells_per_sample"] = round(cells / SAMPLES)
    (folder / "cohort.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def summary_of(folder: Path, wall: float, cores: int, threads: Mapping[str, int]) -> dict[str, Any]:
    """Add up Snakemake's benchmark files by rule."""
    seconds: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        row = pd.read_csv(path, sep="\t", na_values="NA").iloc[0]
        total = seconds[rule]
        total[0] += 1
        total[1] += float(row["s"])
        total[2] += float(row["cpu_time"])
        total[3] = max(total[3], float(row["max_rss"]))
    names = ("jobs", "wall", "cpu", "peak_mib")
    rules = {rule: dict(zip(names, total, strict=True)) for rule, total in sorted(seconds.items())}
    of_jobs = sum(rule["wall"] for rule in rules.values())
    claimed = sum(row["wall"] * threads.get(rule, 1) for rule, row in rules.items())
    return {
        "jobs": sum(rule["jobs"] for rule in rules.values()),
        "cores": cores,
        "wall": round(wall, 1),
        "wall_of_jobs": round(of_jobs, 1),
        "overhead": round(wall * cores / claimed - 1, 3),
        "peak_mib": max(rule["peak_mib"] for rule in rules.values()),
        "rules": rules,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
