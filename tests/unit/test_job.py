"""What every rule's script shares: libraries that it leaves out, its log, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCRIPT = """
import sys
from types import SimpleNamespace
from immune_landscape.errors import InputError
from immune_landscape.job import running
snakemake = SimpleNamespace(threads=1, log=["job.log"], rule="some_rule")
with running(snakemake{options}) as log:
    {body}
"""


def run_script(folder, body, options=""):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body, options=options)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("options", "loaded"), [("", "False"), (", airr=True", "True")])
def test_anndata_starts_with_awkward_arrays_only_where_they_are_used(tmp_path, options, loaded):
    body = "import anndata; print(sys.modules.get('awkward') is not None)"
    done = run_script(tmp_path, body, options)
    assert (done.returncode, done.stdout.strip()) == (0, loaded), done.stderr


def test_a_users_error_is_told_in_one_line_and_logged(tmp_path):
    done = run_script(tmp_path, "raise InputError('no such sheet')")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["some_rule: no such sheet"]
    assert "no such sheet" in (tmp_path / "job.log").read_text()


def test_any_other_error_is_logged_with_its_trace(tmp_path):
    done = run_script(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "job.log").read_text()


def test_libraries_that_no_rule_uses_are_not_installed():
    # pandas loads it at every start wherever it is.
    locked = (SCRIPTS.parent / "envs" / "cpu.txt").read_text(encoding="utf-8")
    assert "\npandas==" in locked
    assert "\npyarrow==" not in locked
