"""A sheet of biomarkers brings its tables and figure, and tells nothing of the arms of a masked cohort."""

import numpy as np
import pandas as pd
import pytest
from clinical_cohorts import TRIAL_YAML, write_sheet, write_trial
from marker_sheets import cells, proteins
from workflow.runs import copy_checkout, dry_run, run_snakemake, sha256s

MASKED_YAML = TRIAL_YAML + "unblinded: false\neligibility: {mmr: [pMMR]}\n"
MARKERS = {"measure_biomarkers", "draw_biomarkers"}


def write_marked(folder, *, yaml=TRIAL_YAML):
    write_trial(folder, number=16, yaml=yaml)
    names = [f"P{at:02d}" for at in range(1, 17)]
    rows = [cells(name, tumour=at) | proteins(name, lost=("msh6",) if at == 4 else ()) for at, name in enumerate(names)]
    write_sheet(folder, "biomarkers", pd.DataFrame(rows))
    return folder


@pytest.mark.parametrize("yaml", [TRIAL_YAML, MASKED_YAML])
def test_the_sheet_decides_the_rules(checkout, tmp_path, yaml):
    folder = write_marked(tmp_path / "trial", yaml=yaml)
    with_sheet = set(dry_run(checkout, folder).jobs())
    (folder / "biomarkers.tsv").unlink()
    without = set(dry_run(checkout, folder).jobs())
    assert with_sheet - without == MARKERS
    assert without < with_sheet


@pytest.fixture(scope="module")
def masked_runs(tmp_path_factory):
    """Run a masked trial with biomarkers as it is, and with its arms dealt to other patients."""
    runs = []
    source = copy_checkout(tmp_path_factory.mktemp("source") / "checkout")
    for name, step in (("first", 0), ("second", 1)):
        tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout", source)
        folder = write_marked(tree / "config" / "cohorts" / "masked", yaml=MASKED_YAML)
        patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
        write_sheet(folder, "patients", patients.assign(arm=np.roll(patients["arm"], step)))
        runs.append(run_snakemake(tree, "config/cohorts/masked", "--cores", "2"))
    return runs


@pytest.mark.slow
def test_permuting_arms_changes_no_byte_of_the_biomarkers_of_a_masked_trial(masked_runs):
    assert all(run.code == 0 for run in masked_runs), masked_runs[0].text[-5000:]
    first, second = (sha256s(run.results) for run in masked_runs)
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    assert {"measure_biomarkers/biomarkers.tsv", "draw_biomarkers/biomarkers.png"} <= set(first)
    assert differing == []


@pytest.mark.slow
def test_a_masked_trial_tells_biomarkers_of_all_patients(masked_runs):
    run = masked_runs[0]
    assert set(run.table("measure_biomarkers/summary.tsv")["by"]) == {"all"}
    table = run.table("measure_biomarkers/biomarkers.tsv")
    assert set(table["arm"]) == {""}
    assert table.loc[table["eligibility"] == "outside", "patient"].tolist() == ["P05"]
    assert "not_eligible" in set(run.table("check_inputs/notes.tsv")["kind"])
    page = (run.results / "report_cohort" / "summary.html").read_text(encoding="utf-8")
    assert "Mismatch repair: 15 pMMR, 1 dMMR of 16 patients; 0 not evaluable." in page
