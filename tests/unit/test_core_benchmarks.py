"""The benchmark of the heavy steps: what it writes, and that the README says the same."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results"
PROMISED = {"cells", "peak_gib", "ari_core", "auc_core", "steps", "totals", "machine", "command", "skipped"}
PROMISED_BESIDE_PLAIN = {"time_ratio", "time_ratio_ties", "peak_ratio", "ari_plain", "auc_plain"}


@pytest.fixture
def benchmarks(monkeypatch):
    """Make the scripts of the benchmarks importable."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for path in BENCHMARKS.rglob("*.py"):
        sys.modules.pop(path.stem, None)


def made_rows(factor, peak, ari, *, ties=True):
    """Return the steps of a run: reading, doublets, clusters, markers."""
    rows = [
        {"step": "read", "wall": 1.0 * factor, "cpu": 1.0 * factor, "peak_mib": peak / 2},
        {"step": "doublets", "wall": 4.0 * factor, "cpu": 8.0 * factor, "peak_mib": peak, "auc": 0.95},
        {"step": "leiden", "wall": 1.0 * factor, "cpu": 1.0 * factor, "peak_mib": 100.0, "ari": ari, "clusters": 12},
        {"step": "markers", "wall": 2.0 * factor, "cpu": 2.0 * factor, "peak_mib": 100.0},
    ]
    tied = [{"step": "markers_ties", "wall": 10.0 * factor, "cpu": 10.0 * factor, "peak_mib": 100.0}]
    return rows + (tied if ties else [])


def test_ratios_are_of_totals_with_one_ranking_of_markers(benchmarks):
    from time_core import summarise

    core = [made_rows(0.1, 1000.0, 0.99, ties=False), made_rows(0.3, 1200.0, 0.99, ties=False)]
    found = summarise({"core": core, "plain": [made_rows(1.0, 4800.0, 0.98)]})
    assert found["totals"]["core"]["wall"] == pytest.approx(8 * 0.2)
    assert found["totals"]["core"]["walls"] == [pytest.approx(0.8), pytest.approx(2.4)]
    assert found["time_ratio"] == pytest.approx(8 / 1.6)
    assert found["time_ratio_ties"] == pytest.approx(16 / 1.6)
    assert found["peak_ratio"] == pytest.approx(1200 / 4800)
    assert found["peak_gib"] == pytest.approx(1200 / 1024, abs=1e-3)
    assert (found["ari_core"], found["ari_plain"]) == (0.99, 0.98)
    assert [row["step"] for row in found["steps"]][-1] == "markers_ties"


def test_without_the_plain_recipe_there_is_no_ratio(benchmarks):
    from time_core import summarise

    found = summarise({"core": [made_rows(1.0, 1000.0, 0.9, ties=False)]})
    assert "time_ratio" not in found
    assert found["peak_gib"] == pytest.approx(1000 / 1024, abs=1e-3)


def test_the_exponent_is_from_the_next_smaller_size(benchmarks, tmp_path):
    from time_core import exponents, summarise

    runs = {"core": [made_rows(1.0, 1000.0, 0.9, ties=False)]}
    for cells, factor in ((10_000, 5.0), (50_000, 1.0), (400_000, 9.0)):
        earlier = summarise({"core": [made_rows(factor, 1.0, 0.9, ties=False)]})
        (tmp_path / f"core_{cells // 1000}k.json").write_text(json.dumps({"cells": cells, **earlier}))
    double = {"core": [made_rows(2.0, 1000.0, 0.9, ties=False)]}
    found = exponents(tmp_path, 100_000, double)
    assert found["scaling_exponent"] == pytest.approx(1.0)
    assert found["scaling_from"][10_000]["core"] == pytest.approx(math.log10(2 / 5), abs=1e-3)
    assert exponents(tmp_path, 200_000, runs)["scaling_exponent"] == pytest.approx(0.0)
    assert exponents(tmp_path, 10_000, runs) == {}


def test_a_step_is_measured(benchmarks, capsys):
    import numpy as np
    from step_meter import step

    with step("fill") as found:
        kept = np.ones(40 * 1024**2 // 8)
        found["total"] = int(kept.sum())
    with step("rest"):
        del kept
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["step"] == "fill"
    assert first["total"] == 40 * 1024**2 // 8
    assert first["cpu"] > 0
    assert first["peak_mib"] > 40
    assert second["peak_mib"] <= first["peak_mib"]


def test_scores_of_brisc_are_computed_as_those_of_the_others(benchmarks):
    import numpy as np
    from brisc_recipe import area_under_curve, rand_index
    from sklearn.metrics import adjusted_rand_score, roc_auc_score

    rng = np.random.default_rng(3)
    truth, scores = rng.random(500) < 0.2, rng.integers(0, 20, 500).astype(float)
    assert area_under_curve(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
    first, second = rng.integers(0, 5, 500), rng.integers(0, 4, 500)
    second[first == 1] = 2
    assert rand_index(first, second) == pytest.approx(adjusted_rand_score(first, second))


def test_simulated_counts_hold_what_is_planted(benchmarks, tmp_path):
    import anndata
    import numpy as np
    from simulate_counts import main

    main(2100, tmp_path / "a.h5ad")
    cells = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert cells.shape == (2100, 20_000)
    assert cells.obs["type"].nunique() == 15
    assert cells.obs["doublet"].mean() == pytest.approx(0.05, abs=0.02)
    total = np.asarray(cells.X.sum(axis=1)).ravel()
    doublet = cells.obs["doublet"].to_numpy()
    assert np.median(total[doublet]) / np.median(total[~doublet]) == pytest.approx(1.9, abs=0.25)


def test_results_hold_what_they_promise():
    for path in RESULTS.glob("core_*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        wanted = PROMISED | (set() if "plain" in found["skipped"] else PROMISED_BESIDE_PLAIN)
        assert wanted - set(found) == set(), path.name
        assert path.with_suffix(".png").exists(), path.name


def test_the_readme_has_the_numbers_of_the_results(benchmarks):
    from show_core import with_tables

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_tables(text, RESULTS) == text


def test_overhead_is_what_a_run_takes_above_its_jobs(benchmarks, tmp_path):
    from time_workflow import copied_demo, summary_of

    header = "s\th:m:s\tmax_rss\tcpu_time\n"
    (tmp_path / "draw_values").mkdir()
    for name, seconds in (("draw_values/a", 10), ("draw_values/b", 20), ("merge_samples", 30)):
        (tmp_path / f"{name}.tsv").write_text(f"{header}{seconds}\t0:00:10\t{seconds}.5\t{seconds / 2}\n")
    found = summary_of(tmp_path, wall=45.0, cores=2, threads={})
    assert found["rules"]["draw_values"] == {"jobs": 2, "wall": 30.0, "cpu": 15.0, "peak_mib": 20.5}
    assert (found["jobs"], found["wall_of_jobs"]) == (3, 60.0)
    assert found["overhead"] == pytest.approx(0.5)
    assert summary_of(tmp_path, 45.0, 2, {"merge_samples": 2})["overhead"] == pytest.approx(0.0)
    folder = copied_demo(tmp_path / "large", 38_000)
    assert "cells_per_sample: 1000\n" in (folder / "cohort.yaml").read_text(encoding="utf-8")


def test_a_way_is_left_out_with_the_reason(benchmarks, monkeypatch):
    import time_core

    monkeypatch.setattr(time_core, "memory_gib", lambda: 24.0)
    skipped = time_core.left_out(("core", "brisc"), 13.0, {"core": "python", "brisc": "python"})
    assert skipped == {"plain": "not asked for", "brisc": "needs about 30 GiB of memory, 24 are there"}
    assert time_core.left_out(("core", "brisc", "plain"), 1.3, {"core": "python"}) == {
        "brisc": f"{time_core.BRISC} could not be installed"
    }


def test_one_way_alone_runs_once_and_a_failure_is_told(benchmarks, monkeypatch):
    import time_core

    def run_way(way, counts, python):
        """Fail for one of the ways."""
        if way == "brisc":
            raise subprocess.CalledProcessError(9, way)
        return made_rows(1.0, 1.0, 0.9, ties=False)

    monkeypatch.setattr(time_core, "run_way", run_way)
    pythons = {"core": "python", "brisc": "python"}
    runs, failed = time_core.run_ways(None, pythons, ["core", "core"])
    assert len(runs["core"]) == 1
    assert failed == {}
    runs, failed = time_core.run_ways(None, pythons, ["core", "brisc", "brisc", "core"])
    assert len(runs["core"]) == 2
    assert failed == {"brisc": "ended with code 9"}


def test_threads_are_those_of_the_log(benchmarks):
    from time_workflow import threads_of

    log = "Select jobs\nrule a:\n    input: x\n    threads: 2\n[now]\nFinished\nlocalrule b:\n    output: y\n"
    assert threads_of(log) == {"a": 2, "b": 1}


def test_a_start_costs_what_its_imports_cost(benchmarks):
    from time_workflow import start_seconds

    assert 0 < start_seconds(["sys", "made_at_run_time"]) < start_seconds(["pandas"])


def test_a_job_tells_its_imports_and_the_time_of_stored_files(benchmarks, tmp_path):
    from time_workflow import HERE, ROOT, costs_of, read_meters, starts_of

    script = "import time, pandas as pd\nfrom immune_landscape import job, store\n"
    script += "store.write_table(pd.DataFrame({'a': [1]}), 'a.tsv')\nstore.read_table('a.tsv')\ntime.sleep(0.5)\n"
    path = os.pathsep.join((str(HERE / "job_meter"), str(ROOT / "scripts")))
    env = os.environ | {"PYTHONPATH": path, "JOB_METER": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, cwd=tmp_path)
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=env, cwd=tmp_path)
    (told,) = read_meters(tmp_path)
    assert "pandas" in told["modules"]
    assert 0 < told["stored"] < 0.5
    starts = starts_of([told | {"script": ".snakemake/scripts/tmp1.draw_values.py"}])
    assert set(starts) == {"draw_values"}
    costs = costs_of([told], starts, told["cpu"] + 3.0, wall_of_jobs=10.0)
    assert costs["cpu_of_snakemake"] == pytest.approx(3.0, abs=0.06)
    assert 0 < costs["cpu_of_starts"] < 2 * told["cpu"]
    assert costs["share_stored_files"] == pytest.approx(told["stored"] / 10, abs=1e-3)
