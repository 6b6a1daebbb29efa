"""Time the heavy steps of this project against the plain scanpy recipe and against brisc, on the same counts.

python benchmarks/time_core.py benchmarks/results 20000 100000 [--ways core brisc]

Each way runs in a process of its own, ours and brisc before and after the plain recipe, so that a machine that slows
down slows all of them. Totals are from reading the file to the last written byte, start of libraries included; that of
the plain recipe holds the default ranking of markers, and a second one that corrected for ties, which is what ours
computes. A way that would not fit into memory, or that `--ways` does not name, is left out and the file says so; this
project alone runs once. brisc is installed into `.venv-brisc` on the first run; where it cannot be had, its column says
why.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import h5py

HERE = Path(__file__).resolve().parent
ORDER = ("core", "brisc", "plain", "brisc", "core")
BRISC, BRISC_VENV = "brisc==0.2.3", HERE.parent / ".venv-brisc"
MULTIPLES = {"plain": 4.5, "brisc": 2.3}
"""Memory that a way takes, in multiples of the stored counts; 4.1 and 2.1 were seen at 100,000 cells."""
TIED, DEFAULT = "markers_ties", "markers"
GIB = 1024**3

Rows = list[dict[str, Any]]


def main(folder: Path, sizes: Sequence[int], ways: Sequence[str]) -> None:
    """Time the ways at each size, the smallest first, and write one file a size."""
    for cells in sorted(sizes):
        with tempfile.TemporaryDirectory() as name:
            counts = Path(name) / "counts.h5ad"
            subprocess.run([sys.executable, HERE / "simulate_counts.py", str(cells), counts], check=True)
            time_size(folder, cells, counts, ways)


def time_size(folder: Path, cells: int, counts: Path, ways: Sequence[str]) -> None:
    """Time the ways on simulated counts and write what was found."""
    facts = shape_of(counts)
    pythons = {"core": sys.executable, "plain": sys.executable} | (brisc_python() if "brisc" in ways else {})
    skipped = left_out(ways, facts["matrix_gib"], pythons)
    runs, failed = run_ways(counts, pythons, [way for way in ORDER if way not in skipped])
    found = {"cells": cells, **facts, **summarise(runs), **exponents(folder, cells, runs), "skipped": skipped | failed}
    command = f"python benchmarks/time_core.py benchmarks/results {cells}"
    asked = "" if set(ways) == set(ORDER) else " ".join((" --ways", *ways))
    found |= {"machine": machine(), "command": command + asked}
    target = folder / f"core_{short(cells)}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(target, {key: value for key, value in found.items() if isinstance(value, float)}, flush=True)


def short(cells: int) -> str:
    """Return a number of cells as it is spoken: 20k, 1M."""
    return f"{cells // 10**6}M" if cells % 10**6 == 0 else f"{cells // 1000}k"


def brisc_python() -> dict[str, str]:
    """Return the Python that has brisc, made on the first call; none where it cannot be had."""
    python = BRISC_VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", BRISC_VENV], check=True)
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", BRISC], capture_output=True, text=True)
    return {"brisc": str(python)} if installed.returncode == 0 else {}


def shape_of(counts: Path) -> dict[str, Any]:
    """Return the size of the simulated matrix."""
    with h5py.File(counts) as file:
        matrix = file["X"]
        held = sum(matrix[part].size * matrix[part].dtype.itemsize for part in ("data", "indices", "indptr"))
        genes, nonzero = int(matrix.attrs["shape"][1]), int(matrix["data"].shape[0])
    return {"genes": genes, "nonzero": nonzero, "matrix_gib": round(held / GIB, 2)}


def left_out(ways: Sequence[str], matrix_gib: float, pythons: dict[str, str]) -> dict[str, str]:
    """Return why a way cannot be run, or was not asked for."""
    skipped = {way: "not asked for" for way in ORDER if way not in ways}
    if "brisc" in ways and "brisc" not in pythons:
        skipped["brisc"] = f"{BRISC} could not be installed"
    for way, multiple in MULTIPLES.items():
        if way not in skipped and (needed := multiple * matrix_gib) > memory_gib():
            skipped[way] = f"needs about {needed:.0f} GiB of memory, {memory_gib():.0f} are there"
    return skipped


def run_ways(
    counts: Path, pythons: dict[str, str], order: Sequence[str]
) -> tuple[dict[str, list[Rows]], dict[str, str]]:
    """Run the ways in their order; return the steps of each run, and why a way failed."""
    runs: dict[str, list[Rows]] = {}
    failed: dict[str, str] = {}
    for way in order if len(set(order)) > 1 else order[:1]:
        if way not in failed:
            try:
                runs.setdefault(way, []).append(run_way(way, counts, pythons[way]))
            except subprocess.CalledProcessError as error:
                failed[way] = f"ended with code {error.returncode}"
                runs.pop(way, None)
    return runs, failed


def run_way(way: str, counts: Path, python: str) -> Rows:
    """Run one way in a process of its own and return its steps."""
    with tempfile.TemporaryDirectory(dir=counts.parent) as folder:
        command = [python, HERE / f"{way}_recipe.py", counts, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"step"')]
    print(way, {row["step"]: row["wall"] for row in rows}, flush=True)
    return rows


def summarise(runs: dict[str, list[Rows]]) -> dict[str, Any]:
    """Return ratios, qualities, totals and a row per step; of several runs the mean, of memory the highest."""
    steps = {way: step_means(found) for way, found in runs.items()}
    totals = {way: total(found) for way, found in steps.items()}
    peaks = {way: max(row["peak_mib"] for row in found.values()) for way, found in steps.items()}
    facts: dict[str, Any] = {"peak_gib": round(peaks["core"] / 1024, 3)} if "core" in peaks else {}
    if {"core", "plain"} <= set(steps):
        core = totals["core"]["wall"]
        facts |= {
            "time_ratio": round(totals["plain"]["wall"] / core, 2),
            "time_ratio_ties": round(total(steps["plain"], ties=True)["wall"] / core, 2),
            "cpu_ratio": round(totals["plain"]["cpu"] / totals["core"]["cpu"], 2),
            "peak_ratio": round(peaks["core"] / peaks["plain"], 3),
        }
    for way, found in steps.items():
        facts |= {f"ari_{way}": round(found["leiden"]["ari"], 4), f"auc_{way}": round(found["doublets"]["auc"], 4)}
        facts[f"clusters_{way}"] = found["leiden"]["clusters"]
        facts |= {f"recall_{way}": found["leiden"]["recall"]} if "recall" in found["leiden"] else {}
    facts["totals"] = {way: {**totals[way], "peak_mib": peaks[way], "walls": walls(runs[way])} for way in runs}
    names = dict.fromkeys(name for found in steps.values() for name in found)
    measured = ("wall", "cpu", "peak_mib")
    facts["steps"] = []
    for name in names:
        own = {way: {key: found[name][key] for key in measured} for way, found in steps.items() if name in found}
        facts["steps"].append({"step": name, **own})
    return facts


def step_means(runs: Iterable[Rows]) -> dict[str, dict[str, Any]]:
    """Return each step's numbers over the runs of a way."""
    found: dict[str, dict[str, Any]] = {}
    every = [{row["step"]: row for row in rows} for rows in runs]
    for name in every[0]:
        rows = [each[name] for each in every]
        clocks = {key: round(fmean(row[key] for row in rows), 3) for key in ("wall", "cpu")}
        found[name] = {**rows[0], **clocks, "peak_mib": max(row["peak_mib"] for row in rows)}
    return found


def total(steps: dict[str, dict[str, Any]], *, ties: bool = False) -> dict[str, float]:
    """Return seconds from start to end, with one of the two rankings of markers."""
    left_out = DEFAULT if ties and TIED in steps else TIED
    counted = [row for name, row in steps.items() if name != left_out]
    return {key: round(sum(row[key] for row in counted), 2) for key in ("wall", "cpu")}


def walls(runs: Iterable[Rows]) -> list[float]:
    """Return the seconds of each run, which show how steady the machine was."""
    return [round(sum(row["wall"] for row in rows if row["step"] != TIED), 2) for rows in runs]


def exponents(folder: Path, cells: int, runs: dict[str, list[Rows]]) -> dict[str, Any]:
    """Return how time grows from each smaller size that was measured, and from the next one: 1 is as the cells do."""
    measured = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("core_*.json")]
    now = {way: total(step_means(found))["wall"] for way, found in runs.items()}
    grown = {}
    for before in sorted((found for found in measured if found["cells"] < cells), key=cells_of):
        times = {way: math.log(now[way] / before["totals"][way]["wall"]) for way in now if way in before["totals"]}
        grown[before["cells"]] = {way: round(t / math.log(cells / before["cells"]), 3) for way, t in times.items()}
    return {"scaling_exponent": grown[max(grown)].get("core"), "scaling_from": grown} if grown else {}


def cells_of(found: dict[str, Any]) -> int:
    """Return the cells of a result."""
    return int(found["cells"])


def memory_gib() -> float:
    """Return the memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def machine() -> dict[str, Any]:
    """Return what the machine is, without its name."""
    from importlib.metadata import version

    model = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    libraries = ("scanpy", "anndata", "numpy", "scipy", "numba", "igraph", "harmonypy")
    return {
        "cpus": os.cpu_count(),
        "processor": model[0].split(": ")[1] if model else platform.machine(),
        "memory_gib": round(memory_gib(), 1),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in libraries} | {"brisc": BRISC.split("==")[1]},
        "load_average": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("cells", type=int, nargs="+")
    parser.add_argument("--ways", nargs="+", choices=sorted(set(ORDER)), default=sorted(set(ORDER)))
    asked = parser.parse_args()
    main(asked.folder, asked.cells, asked.ways)
