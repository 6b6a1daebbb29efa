"""Time the metrics of bulk repertoires at one depth against a loop that works as immunarch does.

python benchmarks/time_repertoires.py benchmarks/results/repertoires.json [samples] [clonotypes] [draws]

The loop is that of a careful user: each repertoire written out template by template once, a random subset of the
templates, counted by clonotype, then one metric after another over all clonotypes. It is timed on fewer draws, half of
them before ours and half after, and its time per draw multiplied. Seconds of the processor are given beside those of
the clock, with the load of the machine, which others may use.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from immune_landscape.measure_repertoires import measure_repertoires
from immune_landscape.repertoire_metrics import CUTOFFS, METRICS, diversity

T = TypeVar("T")
SEED, LOOPED = 1, 20
"""Seed of the repertoires, and draws of the loop that are timed."""


def make_counts(rng: np.random.Generator, clonotypes: int) -> np.ndarray:
    """Draw templates of clonotypes whose shares fall with their rank, each seen at least once."""
    share = (np.arange(clonotypes) + 5.0) ** -1.0
    return 1 + rng.multinomial(int(rng.uniform(1, 4) * clonotypes), share / share.sum())


def loop_metrics(templates: np.ndarray, depth: int, rng: np.random.Generator) -> dict[str, float]:
    """Draw to the depth and compute every metric on its own, over all clonotypes."""
    drawn = np.bincount(rng.choice(templates, depth, replace=False, shuffle=False))
    drawn = drawn[drawn > 0]
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
    loads = [os.getloadavg()[0]]
    written = {name: np.repeat(np.arange(len(each)), each) for name, each in list(counts.items())[:LOOPED]}
    names = [list(written)[at % len(written)] for at in range(LOOPED)]
    found, loop = timed(lambda: [loop_metrics(written[name], depth, rng) for name in names[::2]])
    (metrics, _, _), ours = timed(lambda: measure_repertoires(counts.items(), design, SEED, **settings))
    rest, again = timed(lambda: [loop_metrics(written[name], depth, rng) for name in names[1::2]])
    loads.append(os.getloadavg()[0])
    names, found = [*names[::2], *names[1::2]], [*found, *rest]
    per_draw = {clock: (loop[clock] + again[clock]) / LOOPED for clock in loop}
    check(metrics, names, found)
    facts = {
        "samples": samples,
        "clonotypes": clonotypes,
        "templates": [depth, max(int(each.sum()) for each in counts.values())],
        "draws": draws,
        "metrics": len(METRICS),
        "loop_draws_timed": LOOPED,
        **{f"seconds_{clock}": round(took, 2) for clock, took in ours.items()},
        **{f"loop_seconds_{clock}": round(took * samples * draws, 1) for clock, took in per_draw.items()},
        **{f"ratio_{clock}": round(per_draw[clock] * samples * draws / ours[clock], 1) for clock in ours},
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__, "cores_used": 1}
    machine |= {"load_average": [round(each, 2) for each in loads]}
    command = f"python benchmarks/time_repertoires.py {target} {samples} {clonotypes} {draws}"
    target.write_text(json.dumps({**facts, "machine": machine, "command": command}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=1))


def timed(run: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Return a result, with the seconds of the clock and of the processor that it took."""
    start = time.perf_counter(), time.process_time()
    result = run()
    return result, {"clock": time.perf_counter() - start[0], "cpu": time.process_time() - start[1]}


def check(metrics: pd.DataFrame, names: list[str], found: list[dict[str, float]]) -> None:
    """Refuse to compare times of ways that do not agree."""
    wide = metrics[metrics["standardised"]].pivot_table(index="sample", columns="metric", values="value")
    for name, values in zip(names, found, strict=True):
        for metric in set(values) & set(diversity(np.array([2, 1]))):
            np.testing.assert_allclose(values[metric], wide.loc[name, metric], rtol=0.05, err_msg=metric)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
