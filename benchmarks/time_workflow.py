"""Time the whole workflow on a simulated cohort of 38 samples, and tell what it costs above the work of its rules.

python benchmarks/time_workflow.py 100000 benchmarks/results/workflow_100k.json

The demo cohort is copied with so many cells as are asked for, and run once with `snakemake --cores`. Snakemake's own
benchmark files tell the seconds of each job, from the start of its process on. Overhead is what the run takes above
those seconds shared out evenly to the cores: waiting for one another, Snakemake's own start and scheduling, the report.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
DEMO, SAMPLES = ROOT / "config" / "cohorts" / "demo", 38


def main(cells: int, target: Path) -> None:
    """Run the workflow on so many cells and write what its rules took."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        cohort = copied_demo(Path(name) / "demo_large", cells)
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--snakefile", str(ROOT / "Snakefile")]
        command += ["--directory", name, "--profile", str(ROOT / "profiles" / "default")]
        start = time.perf_counter()
        subprocess.run([*command, "--config", f"cohort={cohort}"], check=True)
        wall = time.perf_counter() - start
        results = Path(name) / "results" / cohort.name
        found = summary_of(results / "benchmarks", wall, cores)
        kept = pd.read_csv(results / "merge_samples" / "steps.tsv", sep="\t")["kept"].sum()
        facts = {"cells": int(kept), "samples": SAMPLES, "simulated": True}
    found = facts | found | {"python": platform.python_version(), "command": " ".join(sys.argv)}
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({name: value for name, value in found.items() if isinstance(value, int | float)})


def copied_demo(folder: Path, cells: int) -> Path:
    """Copy the demo cohort with another number of cells."""
    folder.mkdir()
    for sheet in DEMO.glob("*.tsv"):
        (folder / sheet.name).write_bytes(sheet.read_bytes())
    config = yaml.safe_load((DEMO / "cohort.yaml").read_text(encoding="utf-8"))
    config["simulate_cohort"]["cells_per_sample"] = round(cells / SAMPLES)
    (folder / "cohort.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def summary_of(folder: Path, wall: float, cores: int) -> dict[str, Any]:
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
    of_jobs, of_processor = (sum(rule[name] for rule in rules.values()) for name in ("wall", "cpu"))
    return {
        "jobs": sum(rule["jobs"] for rule in rules.values()),
        "cores": cores,
        "wall": round(wall, 1),
        "wall_of_jobs": round(of_jobs, 1),
        "cpu_of_jobs": round(of_processor, 1),
        "overhead": round(wall * cores / of_jobs - 1, 3),
        "peak_mib": max(rule["peak_mib"] for rule in rules.values()),
        "rules": rules,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
