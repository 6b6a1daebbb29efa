"""Rows reach the file and the table from every process, and fail the test that they belong to."""

import json
import os
import subprocess
import sys
from pathlib import Path

from science.rows import KEYS, Science, table_lines, widened, within
from scipy import stats

TESTS = Path(__file__).resolve().parents[1]
SOURCE = """
import pytest

@pytest.mark.parametrize("layer", ["b", "a"])
def test_good(science, layer):
    science.row(f"type1/{layer}", "error", 0.05, *science.limits(0.03, 0.07, 200), 200)

def test_bad(science):
    science.row("golden/c", "p", 0.5, None, 0.07, science.replicates(full=500, quick=9))
"""


def run(folder, *arguments):
    folder.joinpath("test_made.py").write_text(SOURCE)
    folder.joinpath("pytest.ini").write_text("[pytest]\n")
    call = [sys.executable, "-m", "pytest", "-p", "science.rows", "-p", "no:cacheprovider", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIENCE_", "PYTEST_"))}
    done = subprocess.run(
        call, cwd=folder, env=kept | {"PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_rows_of_several_processes_are_written_and_printed(tmp_path):
    code, text = run(tmp_path, "--science-json=out/rows.json", "--science-full", "-n", "2", "--dist", "loadfile")
    rows = json.loads((tmp_path / "out" / "rows.json").read_text(encoding="utf-8"))
    assert code == 1
    assert "golden/c: p: 0.5 is not within None to 0.07 (n = 500)" in text
    assert [row["id"] for row in rows] == ["golden/c", "type1/a", "type1/b"]
    assert all(list(row) == list(KEYS) for row in rows)
    assert rows[0]["command"] == "python -m pytest test_made.py::test_bad --science-full"
    assert (rows[1]["low"], rows[1]["high"], rows[1]["n"]) == (0.03, 0.07, 200)
    assert "OUTSIDE" in next(line for line in text.splitlines() if line.startswith("golden/c"))


def test_fewer_replicates_are_held_to_wider_limits(tmp_path):
    _, text = run(tmp_path, "-k", "good")
    low, high = widened(0.03, 0.07, 200)
    line = next(line for line in text.splitlines() if line.startswith("type1/a"))
    assert line.split()[1:5] == ["0.05", f"{low:.4g}", f"{high:.4g}", "200"]
    assert not (tmp_path / "out").exists()


def test_limits_widen_by_the_error_of_the_replicates():
    for n in (20, 100, 1000):
        low, high = widened(0.03, 0.07, n)
        assert low <= 0.03
        assert high >= 0.07
        assert stats.binom.cdf(low * n - 1, n, 0.03) <= 1e-3
        assert stats.binom.sf(high * n, n, 0.07) <= 1e-3
    assert widened(0.03, 0.07, 10_000)[1] < 0.08
    assert Science(None, full=True).limits(0.03, 0.07, 20) == (0.03, 0.07)
    assert Science(None, full=True).replicates(full=500, quick=3) == 500
    assert Science(None, full=False).replicates(full=500, quick=3) == 3


def test_missing_and_undefined_values():
    assert within(0.5, None, None)
    assert not within(float("nan"), None, None)
    row = dict(zip(KEYS, ("a", "what", 0.5, None, 0.1, 3, "c"), strict=True))
    assert table_lines([row])[1].split() == ["a", "0.5", "0.1", "3", "OUTSIDE", "what"]
