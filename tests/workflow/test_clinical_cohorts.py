"""Cohorts of clinical tables alone run to a report; a masked one tells nothing of who got which arm."""

import numpy as np
import pandas as pd
import pytest
from clinical_cohorts import TRIAL_YAML, write_escalation, write_sheet, write_trial
from workflow.runs import copy_checkout, dry_run, run_snakemake, sha256s

ALWAYS = {"check_inputs", "draw_cohort", "report_cohort", "measure_endpoints"}
TRIAL = {"derive_responses", "compare_outcomes", "measure_safety", "draw_survival", "draw_responses", "draw_safety"}
ESCALATION = {"measure_safety", "measure_doses", "draw_safety", "draw_doses"}
MASKED = {"measure_safety", "draw_survival", "draw_safety"}
MASKED_YAML = TRIAL_YAML + "unblinded: false\n"


def drop(folder, *names):
    for name in names:
        folder.joinpath(f"{name}.tsv").unlink()


@pytest.mark.parametrize(
    ("yaml", "dropped", "expected"),
    [
        (TRIAL_YAML, (), TRIAL),
        (TRIAL_YAML, ("assessments",), TRIAL - {"derive_responses"}),
        (TRIAL_YAML, ("adverse_events",), TRIAL - {"measure_safety", "draw_safety"}),
        (MASKED_YAML, (), MASKED),
    ],
)
def test_clinical_sheets_decide_the_rules(checkout, tmp_path, yaml, dropped, expected):
    folder = write_trial(tmp_path / "trial", number=12, yaml=yaml)
    drop(folder, *dropped)
    run = dry_run(checkout, folder)
    assert run.code == 0, run.text
    assert run.jobs() == dict.fromkeys(ALWAYS | expected, 1)


def test_an_escalation_has_its_rules(checkout, tmp_path):
    run = dry_run(checkout, write_escalation(tmp_path / "escalation"))
    assert run.jobs() == dict.fromkeys(ALWAYS | ESCALATION, 1), run.text


def test_responses_against_times_without_a_landmark_stop_the_run_before_any_job(checkout, tmp_path):
    folder = write_trial(tmp_path / "trial", number=12, yaml=TRIAL_YAML.replace(", landmark: 3", ""))
    run = dry_run(checkout, folder)
    assert run.code != 0
    assert "set compare_outcomes.landmark" in run.text
    assert "Traceback" not in run.text


@pytest.fixture(scope="module")
def trial_run(tmp_path_factory):
    tree = copy_checkout(tmp_path_factory.mktemp("trial") / "checkout")
    write_trial(tree / "config" / "cohorts" / "trial", number=40)
    return run_snakemake(tree, "config/cohorts/trial", "--cores", "2")


@pytest.mark.slow
def test_a_cohort_of_clinical_tables_alone_runs_to_a_report(trial_run):
    assert trial_run.code == 0, trial_run.text[-5000:]
    page = (trial_run.results / "report.html").read_text(encoding="utf-8")
    assert "7 Clinical endpoints" in page
    figures = {path.stem for path in trial_run.results.glob("draw_*/*.png")}
    assert {"pfs", "os", "subgroups", "waterfall", "spider", "swimmer", "events"} <= figures
    print(f"clinical tables alone: {sum(trial_run.jobs().values())} jobs in {trial_run.seconds:.0f} s")


@pytest.mark.slow
def test_its_tables_hold_together(trial_run):
    outcomes = trial_run.table("check_inputs/outcomes.tsv").set_index("patient")
    responses = trial_run.table("derive_responses/responses.tsv").set_index("patient")
    assert outcomes["best_response"].to_dict() == responses["used"].to_dict()
    endpoints = trial_run.table("measure_endpoints/endpoints.tsv")
    everybody = endpoints[(endpoints["by"] == "all") & (endpoints["population"] == "intention_to_treat")]
    orr = everybody.set_index("endpoint").loc["orr"]
    assert int(orr["events"]) == outcomes["best_response"].isin(["CR", "PR"]).sum()
    assert int(orr["n"]) == len(outcomes)
    comparisons = trial_run.table("compare_outcomes/comparisons.tsv")
    assert set(comparisons["strata"]) == {"", "cps_group"}
    assert set(comparisons.loc[comparisons["by"] == "response", "landmark"].astype(float)) == {3.0}


@pytest.fixture(scope="module")
def masked_runs(tmp_path_factory):
    """Run a masked trial as it is, with its arms dealt to other patients, and with its outcomes dealt as well."""
    runs = []
    source = copy_checkout(tmp_path_factory.mktemp("source") / "checkout")
    for name, columns in (("first", []), ("second", ["arm"]), ("third", ["arm", *OUTCOMES])):
        tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout", source)
        folder = write_trial(tree / "config" / "cohorts" / "masked", number=16, yaml=MASKED_YAML)
        patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
        moved = patients.copy()
        if columns:
            moved[columns] = np.roll(patients[columns].to_numpy(), 1, axis=0)
            assert not moved.equals(patients)
        if len(columns) > 1:
            drop(folder, "assessments")
        write_sheet(folder, "patients", moved)
        # Of the third run no more is looked at.
        wanted = [f"results/masked/{name}" for name in POOLED] if len(columns) > 1 else []
        runs.append(run_snakemake(tree, "config/cohorts/masked", *wanted, "--cores", "2"))
    return runs


OUTCOMES = ["pfs_time", "pfs_event", "os_time", "os_event", "treatment_time"]
POOLED = ("draw_survival/os.png", "draw_survival/pfs.svg", "measure_endpoints/curves.tsv")


@pytest.mark.slow
def test_permuting_arms_changes_no_byte_of_a_masked_trial(masked_runs):
    first, second, _ = (sha256s(run.results) for run in masked_runs)
    assert all(run.code == 0 for run in masked_runs), masked_runs[0].text[-5000:]
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    print(f"masked trial: {len(first)} files, {len(differing)} differ after arms were permuted")
    assert "draw_survival/os.png" in first
    assert len(first) > 15
    assert differing == []


@pytest.mark.slow
def test_pooled_curves_of_a_masked_trial_do_not_depend_on_who_had_the_outcome(masked_runs):
    first, _, third = masked_runs
    for name in POOLED:
        assert (first.results / name).read_bytes() == (third.results / name).read_bytes(), name
    assert set(first.table("measure_endpoints/endpoints.tsv")["by"]) == {"all"}
    assert not (first.results / "draw_responses").exists()
