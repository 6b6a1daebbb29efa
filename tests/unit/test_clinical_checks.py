"""Every mistake in the clinical sheets and in the keys about them is told at once, with its place."""

from pathlib import Path

import pandas as pd
import pytest
from clinical_cohorts import TRIAL_YAML, write_sheet, write_trial

from immune_landscape.clinical_checks import late_columns, with_derived
from immune_landscape.cohort import examine_cohort, patient_table, read_cohort
from immune_landscape.errors import ProblemsError


def edited(folder: Path, name: str, change) -> Path:
    """Write a sound trial and change one of its sheets."""
    write_trial(folder, number=12)
    path = folder / f"{name}.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    write_sheet(folder, name, change(table))
    return folder


def found_in(folder: Path):
    problems = examine_cohort(folder)[1]
    return {(Path(problem.file).name, problem.line, problem.column, problem.kind) for problem in problems}


def put(**cells):
    """Return a change that puts a cell into a row, by column: (row, value)."""

    def change(table):
        for column, (at, value) in cells.items():
            if column not in table:
                table[column] = ""
            table.loc[at, column] = value
        return table

    return change


def test_a_sound_trial_has_no_problem_and_needs_no_sample(tmp_path):
    cohort, problems = examine_cohort(write_trial(tmp_path / "trial", number=12))
    assert problems == []
    assert len(cohort.samples) == 0
    assert len(cohort.assessments)
    assert len(cohort.adverse_events)


def test_samples_are_needed_unless_the_cohort_says_that_it_has_none(tmp_path):
    folder = write_trial(tmp_path / "trial", number=12, yaml=TRIAL_YAML.replace("layers: []\n", ""))
    (problem,) = examine_cohort(folder)[1]
    assert problem.kind == "missing_sheet"
    assert "layers: []" in problem.message


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("patient", "P99", "unknown_patient"),
        ("patient", "", "missing_value"),
        ("day", "", "missing_value"),
        ("day", "2024-03-01", "calendar_date"),
        ("target_sum", "-3", "out_of_range"),
        ("target_sum", "12,5", "not_a_number"),
        ("non_target", "stable", "not_allowed"),
        ("new_lesion", "", "missing_value"),
        ("new_lesion", "maybe", "not_allowed"),
        ("assessable", "nein", "not_allowed"),
    ],
)
def test_bad_cells_of_assessments(tmp_path, column, value, kind):
    # The third row is the second assessment of a patient.
    folder = edited(tmp_path / "trial", "assessments", put(**{column: (1, value)}))
    assert ("assessments.tsv", 3, column, kind) in found_in(folder)


@pytest.mark.parametrize(
    ("change", "column", "kind"),
    [
        (put(day=(0, "3")), "day", "no_baseline"),
        (put(new_lesion=(0, "yes")), "new_lesion", "clash"),
        (put(non_target=(0, "PD")), "non_target", "clash"),
        (put(target_sum=(0, "0")), "target_sum", "out_of_range"),
        (put(target_sum=(0, ""), non_target=(0, "none")), "target_sum", "missing_value"),
        (put(assessable=(0, "no")), "target_sum", "clash"),
    ],
)
def test_impossible_baselines(tmp_path, change, column, kind):
    folder = edited(tmp_path / "trial", "assessments", change)
    assert ("assessments.tsv", 2, column, kind) in found_in(folder)


def test_two_assessments_on_one_day(tmp_path):
    folder = edited(tmp_path / "trial", "assessments", lambda table: pd.concat([table, table.iloc[[1]]]))
    (problem,) = examine_cohort(folder)[1]
    assert problem.kind == "duplicate_day"
    assert "line 3" in problem.message


@pytest.mark.parametrize(
    ("change", "column", "kind"),
    [
        (put(grade=(0, "6")), "grade", "not_allowed"),
        (put(grade=(0, "")), "grade", "missing_value"),
        (put(term=(0, "")), "term", "missing_value"),
        (put(related=(0, "probable")), "related", "not_allowed"),
        (put(patient=(0, "P1")), "patient", "unknown_patient"),
        (put(day_end=(0, "-20")), "day_end", "event_order"),
        (put(unknown=(0, "x")), "unknown", "unknown_column"),
    ],
)
def test_bad_cells_of_adverse_events(tmp_path, change, column, kind):
    folder = edited(tmp_path / "trial", "adverse_events", change)
    line = 1 if kind == "unknown_column" else 2
    assert ("adverse_events.tsv", line, column, kind) in found_in(folder)


def test_events_told_twice_and_terms_that_differ_in_case(tmp_path):
    def change(table):
        more = table.iloc[[0, 0]].copy()
        more.iloc[1, more.columns.get_loc("term")] = table["term"].iloc[0].upper()
        return pd.concat([table, more])

    kinds = [
        (problem.column, problem.kind)
        for problem in examine_cohort(edited(tmp_path / "t", "adverse_events", change))[1]
    ]
    assert sorted(kinds) == [("term", "case_twin"), ("term", "duplicate_event")]


def test_no_time_is_longer_than_the_last_contact(tmp_path):
    folder = edited(tmp_path / "trial", "patients", put(last_contact=(2, "0.01")))
    assert ("patients.tsv", 4, "last_contact", "after_last_contact") in found_in(folder)


YAMLS = {
    "ratio: {rak: 1, control: 1}": [
        ("ratio: {rak: 1, controll: 1}", "randomisation.ratio.controll", "unknown_arm"),
        ("ratio: {rak: 1}", "randomisation.ratio", "not_allowed"),
        ("ratio: {rak: 0, control: 1}", "randomisation.ratio", "not_allowed"),
        ("ratio: {}", "randomisation.control", "missing_key"),
    ],
    "  control: control": [
        ("  control: placebo", "randomisation.control", "unknown_arm"),
        ("  control: ''", "randomisation.control", "missing_key"),
    ],
    "strata: [cps_group]": [("strata: [cps_grup]", "randomisation.strata[0]", "unknown_column")],
    "subgroups: [sex, site]": [("subgroups: [seks]", "randomisation.subgroups[0]", "unknown_column")],
    "by: [response], landmark: 3": [
        ("by: [response]", "compare_outcomes.by[0]", "guarantee_time"),
        ("by: [best_response, sex]", "compare_outcomes.by[0]", "guarantee_time"),
        ("by: [respons], landmark: 3", "compare_outcomes.by[0]", "unknown_column"),
    ],
}


@pytest.mark.parametrize(
    ("old", "new", "column", "kind"), [(old, *rest) for old, cases in YAMLS.items() for rest in cases]
)
def test_mistakes_in_the_keys(tmp_path, old, new, column, kind):
    assert old in TRIAL_YAML
    folder = write_trial(tmp_path / "trial", number=12, yaml=TRIAL_YAML.replace(old, new))
    found = {(problem.column, problem.kind): problem for problem in examine_cohort(folder)[1]}
    assert (column, kind) in found
    assert found[column, kind].line > 0


def test_all_mistakes_of_all_clinical_sheets_are_told_in_one_pass(tmp_path):
    folder = edited(tmp_path / "trial", "assessments", put(new_lesion=(1, "maybe"), day=(4, "x")))
    events = pd.read_csv(folder / "adverse_events.tsv", sep="\t", dtype=str, keep_default_na=False)
    write_sheet(folder, "adverse_events", put(grade=(3, "9"), patient=(5, "Q1"))(events))
    yaml = TRIAL_YAML.replace("landmark: 3", "landmark: null").replace("rak: 1,", "rac: 1,")
    (folder / "cohort.yaml").write_text(yaml, encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        read_cohort(folder)
    kinds = sorted(problem.kind for problem in caught.value.problems)
    expected = ["guarantee_time", "not_a_number", "not_allowed", "not_allowed", "unknown_arm", "unknown_arm"]
    assert kinds == [*expected, "unknown_patient"]


def noted(folder: Path):
    cohort, problems = examine_cohort(folder)
    assert problems == []
    return {note.kind: note for note in cohort.notes}


def test_a_conflict_between_given_and_derived_responses_is_noted_and_the_given_one_used(tmp_path):
    def change(table):
        return table.assign(best_response=["CR"] + [""] * (len(table) - 1))

    folder = edited(tmp_path / "trial", "patients", change)
    note = noted(folder)["response_conflict"]
    assert (note.line, note.column) == (2, "best_response")
    assert "CR is used" in note.message
    table = patient_table(read_cohort(folder)).set_index("patient")
    assert table.loc["P01", "best_response"] == "CR"
    assert table.loc["P01", "response"] == "responder"
    # The others have the response of their assessments.
    assert (table["best_response"] != "").all()
    derived = patient_table(read_cohort(folder, {"recist": {"prefer": "derived"}})).set_index("patient")
    assert derived.loc["P01", "best_response"] != "CR"
    assert derived.drop("P01")["best_response"].equals(table.drop("P01")["best_response"])


def test_an_unlikely_allocation_and_an_empty_stratum_are_noted(tmp_path):
    def change(table):
        return table.assign(arm=["rak", *["control"] * 11], cps_group=["", *table["cps_group"][1:]])

    notes = noted(edited(tmp_path / "trial", "patients", change))
    # One of twelve: twice the tail of 13 in 4096.
    assert "p = 0.0063" in notes["allocation"].message
    assert notes["no_stratum"].line == 2
    assert "allocation" not in noted(write_trial(tmp_path / "sound", number=12))


def test_deaths_and_late_assessments_are_noted(tmp_path):
    folder = edited(tmp_path / "trial", "adverse_events", put(grade=(0, "5"), patient=(0, "P03")))
    patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False).set_index("patient")
    patients.loc["P03", "os_event"] = "0"
    patients.loc["P01", ["pfs_time", "os_time", "os_event", "treatment_time"]] = ["0.1", "0.1", "1", "0.1"]
    patients["treated"] = "yes"
    patients.loc["P03", "treated"] = "no"
    write_sheet(folder, "patients", patients.reset_index())
    notes = noted(folder)
    assert notes["death_by_event"].line == 4
    assert notes["assessed_after_death"].line == 2
    assert notes["not_treated"].line == 4


def test_a_masked_cohort_tells_no_note_that_tells_arm_or_outcome(tmp_path):
    def change(table):
        return table.assign(arm=["rak", *["control"] * 11], best_response="CR")

    folder = edited(tmp_path / "trial", "patients", change)
    assert {"allocation", "response_conflict"} <= set(noted(folder))
    (folder / "cohort.yaml").write_text(TRIAL_YAML + "unblinded: false\n", encoding="utf-8")
    assert set(noted(folder)) == {"masked"}


def test_columns_that_tell_the_response_again_are_late():
    config = {"extra_columns": {"patients": {"reader": {"same_as": "best_response"}, "site": {"same_as": ""}}}}
    assert late_columns(config) == {"response", "best_response", "evaluable", "dlt", "reader"}


def test_without_assessments_responses_stay_as_given():
    patients = pd.DataFrame({"patient": ["A"], "best_response": ["PR"]})
    assert with_derived(patients, None, {}) is patients
