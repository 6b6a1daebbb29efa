"""Time a full contrast run on the tables of a finished run: all layers, null cohorts and sweeps included.

python benchmarks/time_contrasts.py results/demo config/cohorts/demo benchmarks/results/contrasts_demo.json
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from immune_landscape.cohort import read_cohort
from immune_landscape.compare_composition import absolute_counts, compare_composition
from immune_landscape.compare_expression import compare_expression
from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.plan import LAYER_TABLES
from immune_landscape.pseudobulk import pseudobulk_of
from immune_landscape.store import read_stage, read_table
from immune_landscape.sweep_definitions import sweep_definitions

SEED = 1


def main(results: Path, folder: Path, target: Path) -> None:
    """Run every contrast of the cohort on its tables and write the seconds of each part."""
    config = read_cohort(folder, data_root=results / "simulate_cohort").config
    testing, contrasts = ContrastSettings(**config["testing"]), config["contrasts"]
    design = read_table(results / "check_inputs" / "design.tsv")
    layers = {name: read_table(results / path) for name, (_, path) in LAYER_TABLES.items() if (results / path).exists()}
    measures = read_table(results / "check_inputs" / "measures.tsv")
    floors, absolute = config["compare_composition"], absolute_counts(measures, config["absolute_counts"])
    sums = pseudobulk_of(read_stage(results / "measure_expression" / "sums.h5ad", stage="measure_expression"))
    parts = {
        "composition": lambda: compare_composition(
            layers["composition"], design, contrasts, testing, SEED, absolute, **floors
        ),
        "expression": lambda: compare_expression(
            sums, design, contrasts, testing, SEED, **config["compare_expression"]
        ),
        "definitions": lambda: sweep_definitions(
            layers, design, contrasts, config["responders"], [], floors, testing, SEED, **config["sweep_definitions"]
        ),
    }
    for layer in layers.keys() - {"composition"}:
        parts[layer] = lambda layer=layer: compare_values(layers[layer], design, contrasts, layer, testing, SEED)
    seconds = {}
    for name, run in parts.items():
        start = time.perf_counter()
        run()
        seconds[name] = round(time.perf_counter() - start, 2)
        print(f"{name:12} {seconds[name]:8.2f} s", flush=True)
    facts = {"seconds": seconds, "total_seconds": round(sum(seconds.values()), 2), "null_draws": testing.null_draws}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "cores_used": 1}
    command = f"python benchmarks/time_contrasts.py {results} {folder} {target}"
    target.write_text(json.dumps({**facts, "machine": machine, "command": command}, indent=1) + "\n", encoding="utf-8")
    print(f"total        {facts['total_seconds']:8.2f} s")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
