"""One file asked for by name: the run ends well, and leaves the report to a run of everything."""

import pytest
from sheet_cohorts import build_riaz
from workflow.runs import copy_checkout, run_snakemake


@pytest.mark.slow
def test_a_run_of_one_file_ends_well_without_a_report(tmp_path):
    tree = copy_checkout(tmp_path / "checkout")
    build_riaz(tree / "config" / "cohorts" / "riaz2017")
    target = "results/riaz2017/check_inputs/design.tsv"
    run = run_snakemake(tree, "config/cohorts/riaz2017", "--cores", "1", target)
    assert run.code == 0, run.text
    assert (tree / target).exists()
    assert not (run.results / "report.html").exists()
    assert "No report: " in run.text
    assert sum(run.jobs().values()) == 1
