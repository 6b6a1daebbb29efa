"""Snakemake run in a copy of the checkout, as a user would run it, and its outputs told by their sha256."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "scripts", "config", "envs", "profiles", "tests/cohorts")
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache")
# What a run writes that tells of time and machine, or that only lives while it runs.
VOLATILE = ("benchmarks/", "report.html", "load_samples/")
TINY_PATIENTS = ("P06", "P07", "P08", "P09", "P01", "P02", "P10", "P11")


@dataclass(frozen=True)
class Run:
    """A finished call of Snakemake."""

    tree: Path
    cohort: str
    code: int
    text: str
    seconds: float

    @property
    def results(self) -> Path:
        return self.tree / "results" / Path(self.cohort).name

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.results / name, sep="\t", keep_default_na=False)

    def jobs(self) -> Counter[str]:
        """Count the jobs of each rule that the run, or the dry run, lists."""
        listed = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", self.text, re.M)
        rows = [line.split() for line in listed[1].splitlines()] if listed else []
        return Counter({rule: int(count) for rule, count in rows if rule not in ("total", "all", "default")})


def copy_checkout(tree: Path, source: Path = ROOT) -> Path:
    """Copy what the workflow consists of, and nothing that a run has made."""
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, tree / part, ignore=SKIPPED)
        else:
            tree.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / part, tree / part)
    return tree


def command(cohort: str | Path, *arguments: str, config: dict[str, str] | None = None) -> list[str]:
    pairs = {"cohort": str(cohort), **(config or {})}
    given = [f"{key}={value}" for key, value in pairs.items()]
    return [sys.executable, "-m", "snakemake", *arguments, "--config", *given]


def run_snakemake(tree: Path, cohort: str | Path, *arguments: str, config: dict[str, str] | None = None) -> Run:
    """Run Snakemake in a copied checkout until it ends."""
    start = time.monotonic()
    done = subprocess.run(
        command(cohort, *arguments, config=config),
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )
    return Run(tree, str(cohort), done.returncode, done.stdout, time.monotonic() - start)


def dry_run(tree: Path, cohort: str | Path, *arguments: str, config: dict[str, str] | None = None) -> Run:
    return run_snakemake(tree, cohort, "--dry-run", "--cores", "1", *arguments, config=config)


def kill_after(tree: Path, cohort: str, jobs: int, seconds: float) -> bool:
    """Start a run and kill its process group some seconds after so many jobs; say whether it was still at work."""
    with subprocess.Popen(
        command(cohort, "--cores", "1", "--rerun-incomplete"),
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        finished = 0
        while finished < jobs and (line := process.stdout.readline()):
            finished += line.startswith("Finished jobid")
        time.sleep(seconds)
        at_work = process.poll() is None
        if at_work:
            os.killpg(process.pid, signal.SIGKILL)
    return at_work


def unlock(tree: Path, cohort: str) -> Run:
    return run_snakemake(tree, cohort, "--unlock", "--cores", "1")


def write_tiny(folder: Path, **changes: object) -> Path:
    """Cut the demo cohort to four responders and four others, with few cells; keys of cohort.yaml may be changed."""
    demo = ROOT / "config" / "cohorts" / "demo"
    folder.mkdir(parents=True)
    config = yaml.safe_load((demo / "cohort.yaml").read_text(encoding="utf-8"))
    config |= {"title": "Tiny cohort (simulated)", "samples_per_job": 8}
    config["simulate_cohort"]["cells_per_sample"] = 120
    # What the sweep over labels and the null run repeat by default is for a real cohort.
    config |= {"sweep_labels": {"seeds": 2, "resolution_factors": [1.0]}, "testing": {"null_draws": 200}}
    (folder / "cohort.yaml").write_text(yaml.safe_dump(config | changes, sort_keys=False), encoding="utf-8")
    sheets = {path.name: pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in demo.glob("*.tsv")}
    samples = sheets["samples.tsv"]
    kept = {"patient": set(TINY_PATIENTS), "sample": set(samples.loc[samples["patient"].isin(TINY_PATIENTS), "sample"])}
    for name, table in sheets.items():
        key = "patient" if "patient" in table else "sample"
        table[table[key].isin(kept[key])].to_csv(folder / name, sep="\t", index=False)
    return folder


def sha256s(results: Path) -> dict[str, str]:
    """Return the sha256 of every file that a run promises to make the same again."""
    files = sorted(path for path in results.rglob("*") if path.is_file())
    names = [str(path.relative_to(results)) for path in files]
    kept = [name for name in names if not name.startswith(VOLATILE) or name.endswith(".notes.tsv")]
    return {name: hashlib.sha256((results / name).read_bytes()).hexdigest() for name in kept}


def leftovers(results: Path) -> list[str]:
    """Name the files that a killed job left half-written, none of them under its final name."""
    return sorted(str(path.relative_to(results)) for path in results.rglob(".*.part"))
