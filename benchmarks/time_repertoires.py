"""Time the metrics of bulk repertoires at one depth against a loop that works as immunarch does.

python benchmarks/time_repertoires.py benchmarks/results/repertoires.json [samples] [clonotypes] [draws]

The loop draws templates from the repertoire written out template by template, counts them by clonotype, and computes
one metric after another over all clonotypes. It is timed on fewer draws, and its time per draw multiplied.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from immune_landscape.measure_repertoires import measure_repertoires
from immune_landscape.repertoire_metrics import CUTOFFS, METRICS, diversity

SEED, LOOPED = 1, 12
"""Seed of the repertoires, and draws of the loop that are timed."""


def make_counts(rng: np.random.Generator, clonotypes: int) -> np.ndarray:
    """Draw templates of clonotypes whose shares fall with their rank, each seen at least once."""
    share = (np.arange(clonotypes) + 5.0) ** -1.0
    return 1 + rng.multinomial(int(rng.uniform(1, 4) * clonotypes), share / share.sum())


def loop_metrics(counts: np.ndarray, depth: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw to the depth and compute every metric on its own, over all clonotypes."""
    templates = np.repeat(np.arange(len(counts)), counts)
    drawn = np.unique(rng.choice(templates, depth, replace=False), return_counts=True)[1]
    share = drawn / drawn.sum()
    found = {"top_clone_share": share.max(), "shannon": -(share * np.log(share)).sum(), "hill_0": len(drawn)}
    found["pielou"] = -(share * np.log(share)).sum() / np.log(len(drawn))
    found["clonality"] = 1 + (share * np.log(share)).sum() / np.log(len(drawn))
    found["hill_1"] = np.exp(-(share * np.log(share)).sum())
    found["gini_simpson"], found["hill_2"] = 1 - (share**2).sum(), 1 / (share**2).sum()
    ascending = np.sort(drawn)
    ranks = len(drawn) - np.arange(len(drawn))
    found["gini"] = (len(drawn) + 1 - 2 * (ranks * ascending).sum() / drawn.sum()) / len(drawn)
    once, twice = (drawn == 1).sum(), (drawn == 2).sum()
    found["chao1"] = len(drawn) + (depth - 1) / depth * once**2 / (2 * twice)
    found["d50"] = np.searchsorted(np.cumsum(np.sort(share)[::-1]), 0.5) + 1
    for suffix, bounds in CUTOFFS.items():
        for low, high in zip([0, *bounds], [*bounds, 1], strict=True):
            inside = (share > low) & (share <= high)
            found[f"space {suffix} {low}"], found[f"clones {suffix} {low}"] = share[inside].sum(), inside.sum()
    return found


def main(target: Path, samples: int = 40, clonotypes: int = 100_000, draws: int = 100) -> None:
    """Time both ways on the same repertoires and write seconds and their ratio."""
    rng = np.random.default_rng(SEED)
    counts = {f"s{number}": make_counts(rng, clonotypes) for number in range(samples)}
    depth = min(int(each.sum()) for each in counts.values())
    design = pd.DataFrame(
        {"sample": list(counts), "patient": list(counts), "visit": "v", "tissue": "b", "response": ""}
    )
    settings = {"draws": draws, "min_templates": 2, "equal": "depth", "compared_metrics": ["clonality"]}
    start = time.perf_counter()
    metrics, _, _ = measure_repertoires(counts.items(), design, SEED, **settings)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    names = [list(counts)[at % samples] for at in range(LOOPED)]
    found = [loop_metrics(counts[name], depth, rng) for name in names]
    per_draw = (time.perf_counter() - start) / LOOPED
    check(metrics, names, found)
    loop = per_draw * samples * draws
    facts = {
        "samples": samples,
        "clonotypes": clonotypes,
        "templates": [depth, max(int(each.sum()) for each in counts.values())],
        "draws": draws,
        "metrics": len(METRICS),
        "seconds": round(ours, 1),
        "seconds_per_draw": round(ours / samples / draws, 5),
        "loop_seconds_per_draw": round(per_draw, 5),
        "loop_seconds": round(loop, 1),
        "loop_draws_timed": LOOPED,
        "ratio": round(loop / ours, 2),
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__, "cores_used": 1}
    command = f"python benchmarks/time_repertoires.py {target} {samples} {clonotypes} {draws}"
    target.write_text(json.dumps({**facts, "machine": machine, "command": command}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=1))


def check(metrics: pd.DataFrame, names: list[str], found: list[dict[str, float]]) -> None:
    """Refuse to compare times of ways that do not agree."""
    wide = metrics[metrics["standardised"]].pivot_table(index="sample", columns="metric", values="value")
    for name, values in zip(names, found, strict=True):
        for metric in set(values) & set(diversity(np.array([2, 1]))):
            np.testing.assert_allclose(values[metric], wide.loc[name, metric], rtol=0.05, err_msg=metric)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
