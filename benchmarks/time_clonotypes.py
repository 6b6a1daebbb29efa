"""Time clonotypes and expansion of single cells against plain scirpy, and hold both partitions together.

python benchmarks/time_clonotypes.py benchmarks/results/clonotypes_200k.json [cells] [patients] [draws]

Each way runs in a process of its own on the same simulated receptors: the chains of each cell (by scirpy in both ways;
here they are also read out as columns), the clonotypes under two definitions, and expansion and diversity at one depth.
Seconds are processor time, the compiling of scirpy's loops included, which both ways need once. scirpy has no draws to
one depth: its diversity is computed in a loop of draws, timed on a few of them, and its time per draw multiplied.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

SEED, LOOPED, MIN_CELLS = 1, 3, 50
"""Seed of the receptors, draws of the loop that are timed, and cells that a sample needs."""

DEFINITION = {"receptor_arms": "all", "sequence": "nt", "same_v_gene": True, "same_j_gene": True}
DUAL = ("primary_only", "any")
KEPT = {"paired_only": False, "remove_multichain": False}
METRICS = ("normalized_shannon_entropy", "D50")
"""Those of scirpy that need no further library."""


def simulate(cells: int, patients: int):
    """Draw clones whose shares fall with rank; 15 % of cells lack alpha, 5 % beta, 7 % have a second alpha."""
    import anndata

    from immune_landscape.receptors_io import to_awkward

    rng, each = np.random.default_rng(SEED), cells // patients
    frames, sheets = [], []
    for number in range(patients):
        clones = each // 2
        share = (np.arange(clones) + 3.0) ** -1.0
        clone, visit = rng.choice(clones, each, p=share / share.sum()), rng.integers(0, 2, each)
        names = np.array([f"P{number:03d}_{at}:{row:07d}" for row, at in enumerate(visit)])
        has_alpha = rng.random(each) < 0.85
        chains = {
            "TRA": (has_alpha, draw_sequences(rng, clones, 36), 9),
            "TRB": ((rng.random(each) < 0.95) | ~has_alpha, draw_sequences(rng, clones, 42), 20),
            "second": (has_alpha & (clone % 10 == 0) & (rng.random(each) < 0.7), draw_sequences(rng, clones, 36), 9),
        }
        for kind, (kept, junctions, most) in chains.items():
            locus = "TRB" if kind == "TRB" else "TRA"
            own = clone[kept]
            frame = pd.DataFrame({"cell_id": names[kept], "locus": locus, "junction": junctions[own]})
            frame["junction_aa"] = frame["junction"].str.slice(step=3)
            frame["v_call"] = [f"{locus}V{at}" for at in own * 7 % 45]
            frame["j_call"] = [f"{locus}J{at}" for at in own * 5 % 12]
            frames.append(frame.assign(umi_count=rng.integers(1, most, len(frame)).astype(float)))
        sample = [name.split(":")[0] for name in names]
        sheet = {"sample": sample, "patient": f"P{number:03d}", "visit": np.where(visit, "after", "before")}
        sheets.append(pd.DataFrame(sheet, index=names))
    table = pd.concat(frames, ignore_index=True).assign(productive=True, consensus_count=np.nan)
    obs = pd.concat(sheets)
    return anndata.AnnData(obs=obs, obsm={"airr": to_awkward(table, obs.index)})


def draw_sequences(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Draw sequences of nucleotides."""
    letters = np.array(list("ACGT"))[rng.integers(0, 4, (count, length))]
    return np.array(["".join(row) for row in letters], dtype=object)


def run_ours(receptors, draws: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Return seconds and clonotypes of each definition."""
    import scirpy  # noqa: F401  imported before the clock starts, as in the other way

    from immune_landscape.define_clonotypes import assign_clonotypes
    from immune_landscape.measure_expansion import measure_expansion
    from immune_landscape.receptor_chains import read_chains

    start = time.process_time()
    chains = read_chains(receptors)
    seconds, found = {"chains": time.process_time() - start}, {}
    for dual in reversed(DUAL):
        start = time.process_time()
        table = assign_clonotypes(chains, **DEFINITION, dual_ir=dual, **KEPT)
        seconds[f"define_{dual}"] = time.process_time() - start
        found[dual] = table["clonotype"]
    del chains
    design = table.drop_duplicates("sample")[["sample", "patient", "visit"]].assign(tissue="blood", response="")
    settings = {"draws": draws, "min_cells": MIN_CELLS, "min_subset_cells": 20, "expanded_from": 2}
    compared = {"t_cells_only": False, "compared_metrics": ["clonality"], "compared_scopes": ["all"]}
    start = time.process_time()
    measure_expansion(table, None, design.reset_index(drop=True), SEED, **settings, **compared)
    seconds["expansion"] = time.process_time() - start
    return seconds, pd.DataFrame(found)


def run_scirpy(receptors, draws: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Return seconds and clonotypes of each definition; the loop of draws has a time per draw."""
    import anndata
    import scirpy

    within = ["patient", "receptor_subtype"]
    start = time.process_time()
    scirpy.pp.index_chains(receptors)
    scirpy.tl.chain_qc(receptors)
    seconds = {"chains": time.process_time() - start}
    start = time.process_time()
    scirpy.pp.ir_dist(receptors, metric="identity", sequence="nt")
    distances = time.process_time() - start
    for dual in DUAL:
        start = time.process_time()
        scirpy.tl.define_clonotype_clusters(
            receptors, metric="identity", **DEFINITION, dual_ir=dual, within_group=within, key_added=dual
        )
        seconds[f"define_{dual}"] = time.process_time() - start
        seconds[f"define_{dual}"] += distances
    start, rng = time.process_time(), np.random.default_rng(SEED)
    cells = receptors.obs[["sample", "primary_only"]].astype(str)
    depth = int(cells.groupby("sample").size().min())
    for _ in range(LOOPED):
        drawn = anndata.AnnData(obs=cells.groupby("sample").sample(depth, random_state=rng))
        scirpy.tl.clonal_expansion(drawn, target_col="primary_only", expanded_in="sample")
        for metric in METRICS:
            scirpy.tl.alpha_diversity(drawn, "sample", target_col="primary_only", metric=metric)
    seconds["expansion"] = (time.process_time() - start) / LOOPED * draws
    return seconds, receptors.obs[list(DUAL)].astype(str)


WAYS = {"ours": run_ours, "scirpy": run_scirpy}


def run_way(way: str, folder: Path, cells: int, patients: int, draws: int) -> None:
    """Run one way and leave its times, memory and clonotypes in a folder."""
    warnings.filterwarnings("ignore")
    receptors = simulate(cells, patients)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, clonotypes = WAYS[way](receptors, draws)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"seconds": seconds, "peak_mb": peak / 1024, "peak_mb_of_the_receptors_alone": before / 1024}
    (folder / f"{way}.json").write_text(json.dumps(facts), encoding="utf-8")
    clonotypes.to_csv(folder / f"{way}.tsv", sep="\t")


def main(target: Path, cells: int = 200_000, patients: int = 20, draws: int = 200) -> None:
    """Run both ways, refuse to compare times of partitions that differ, and write seconds and ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), [str(cells), str(patients), str(draws)]
        for way in WAYS:
            subprocess.run([sys.executable, __file__, "--way", way, name, *numbers], check=True)
        found = {way: json.loads((folder / f"{way}.json").read_text(encoding="utf-8")) for way in WAYS}
        labels = {way: pd.read_csv(folder / f"{way}.tsv", sep="\t", index_col=0, dtype=str) for way in WAYS}
    for dual in DUAL:
        check(labels["ours"][dual], labels["scirpy"][dual])
    for facts in found.values():
        took = facts["seconds"]
        took["chains_and_define_primary_only"] = took["chains"] + took["define_primary_only"]
    ours, scirpy = (found[way]["seconds"] for way in ("ours", "scirpy"))
    facts = {
        "cells": cells,
        "samples": 2 * patients,
        "clonotypes": {dual: int(labels["ours"][dual].nunique()) for dual in DUAL},
        "same_partition": True,
        "draws": draws,
        "processor_seconds": {
            way: {part: round(took, 2) for part, took in found[way]["seconds"].items()} for way in WAYS
        },
        "ratio": {part: round(scirpy[part] / ours[part], 2) for part in ours},
        "peak_mb": {way: round(found[way]["peak_mb"]) for way in WAYS},
        "peak_mb_of_the_receptors_alone": round(found["ours"]["peak_mb_of_the_receptors_alone"]),
        "scirpy_draws_timed": LOOPED,
        "scirpy_metrics_per_draw": len(METRICS) + 1,
        "metrics_per_draw": metrics_per_draw(),
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    machine |= {"scirpy": scirpy_version(), "load": round(os.getloadavg()[0], 1)}
    command = f"python benchmarks/time_clonotypes.py {target} {cells} {patients} {draws}"
    target.write_text(json.dumps({**facts, "machine": machine, "command": command}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=1))


def check(ours: pd.Series, scirpy: pd.Series) -> None:
    """Refuse partitions that differ."""
    pairs = pd.DataFrame({"ours": ours, "scirpy": scirpy.loc[ours.index]}).dropna().drop_duplicates()
    if not len(pairs) == pairs["ours"].nunique() == pairs["scirpy"].nunique() == ours.nunique():
        raise SystemExit("the clonotypes are not scirpy's: no times")


def metrics_per_draw() -> int:
    """Return how many metrics a draw has here."""
    from immune_landscape.measure_expansion import DIVERSITY_METRICS

    return len(DIVERSITY_METRICS)


def scirpy_version() -> str:
    """Return the version that was timed."""
    from importlib.metadata import version

    return version("scirpy")


if __name__ == "__main__":
    if sys.argv[1] == "--way":
        run_way(sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:]))
    else:
        main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
