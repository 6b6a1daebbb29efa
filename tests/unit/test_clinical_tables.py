import numpy as np
import pandas as pd
from clinical_cohorts import TRIAL_YAML, write_escalation, write_sheet, write_trial

from immune_landscape.check_inputs import check_inputs
from immune_landscape.clinical_tables import assessment_table, event_table, outcome_table
from immune_landscape.cohort import read_cohort

MASKED = TRIAL_YAML + "unblinded: false\n"
SETTINGS = {"min_pairs": 2, "untestable_contrasts": "stop", "probe_cells": 10}


def test_outcomes_are_those_of_the_patients_with_the_response_on_the_sheet(tmp_path):
    cohort = read_cohort(write_trial(tmp_path, number=12))
    table = outcome_table(cohort)
    assert table["patient"].tolist() == cohort.patients["patient"].tolist()
    assert set(table["given_response"]) == {""}
    assert (table["best_response"] != "").all()
    assert len(assessment_table(cohort)) == len(cohort.assessments)


def test_a_masked_cohort_tells_outcomes_of_all_patients_pooled(tmp_path):
    open_table = outcome_table(read_cohort(write_trial(tmp_path, number=12)))
    cohort = read_cohort(write_trial(tmp_path, number=12, yaml=MASKED))
    table = outcome_table(cohort)
    assert list(table.columns) == [
        *("patient", "best_response", "evaluable", "pfs_time", "pfs_event", "os_time", "os_event")
    ]
    assert not set(table["patient"]) & set(open_table["patient"])
    assert sorted(table["os_time"]) == sorted(open_table["os_time"])
    assert assessment_table(cohort).empty
    assert len(event_table(cohort)) == len(cohort.adverse_events)


def test_dealing_arms_and_outcomes_to_other_patients_changes_no_table_of_a_masked_cohort(tmp_path):
    folder = write_trial(tmp_path, number=12, yaml=MASKED)
    first = check_inputs(read_cohort(folder), **SETTINGS)
    patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
    moved = patients.assign(arm=np.roll(patients["arm"], 1))
    assert not moved.equals(patients)
    write_sheet(folder, "patients", moved)
    second = check_inputs(read_cohort(folder), **SETTINGS)
    assert first.keys() == second.keys()
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], obj=name)


def test_tables_of_absent_sheets_have_columns_and_no_row(tmp_path):
    cohort = read_cohort(write_escalation(tmp_path))
    assert assessment_table(cohort).empty
    assert "target_sum" in assessment_table(cohort)
    assert len(event_table(cohort)) == 10
