"""Every mistake in biomarkers.tsv and in the keys about it is told at once; conflicts and eligibility are noted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clinical_cohorts import TRIAL_YAML, write_sheet, write_trial
from cohort_folders import SAMPLE_COLUMNS, SOUND_YAML, sample_rows, tsv, write_cohort
from marker_sheets import cells, proteins

from immune_landscape.check_inputs import check_inputs
from immune_landscape.clinical_plan import clinical_figures, held_clinical
from immune_landscape.cohort import examine_cohort, read_cohort

SETTINGS = {"min_pairs": 2, "untestable_contrasts": "stop", "probe_cells": 10}


def trial_with(folder: Path, rows, yaml: str = TRIAL_YAML) -> Path:
    write_trial(folder, number=12, yaml=yaml)
    write_sheet(folder, "biomarkers", pd.DataFrame(rows))
    return folder


def found_in(folder: Path):
    problems = examine_cohort(folder)[1]
    return {(Path(problem.file).name, problem.line, problem.column, problem.kind) for problem in problems}


def noted(folder: Path):
    cohort, problems = examine_cohort(folder)
    assert problems == []
    return {note.kind: note for note in cohort.notes}


def test_a_sound_sheet_has_no_problem_and_is_handed_on(tmp_path):
    folder = trial_with(tmp_path / "trial", [cells("P01"), {**proteins("P02"), "tmb": 4, "callable_mb": 1.1}])
    assert found_in(folder) == set()
    table = check_inputs(read_cohort(folder), **SETTINGS)["biomarkers"]
    assert table["patient"].tolist() == ["P01", "P02"]
    assert table.loc[0, "n_viable_tumour"] == 500


@pytest.mark.parametrize(
    ("row", "column", "kind"),
    [
        ({**cells("P99")}, "patient", "unknown_patient"),
        ({**cells(), "n_viable_tumour": ""}, "n_viable_tumour", "missing_value"),
        ({**cells(), "n_pos_macrophages": ""}, "n_pos_macrophages", "missing_value"),
        ({**cells(tumour=501)}, "n_pos_tumour", "out_of_range"),
        ({**cells(tumour=2.5)}, "n_pos_tumour", "not_a_number"),
        ({**cells(cps=101)}, "cps", "out_of_range"),
        ({"patient": "P01", "mlh1": "Lost"}, "mlh1", "not_allowed"),
        ({"patient": "P01", "msi_markers_unstable": 2}, "msi_markers_tested", "missing_value"),
        (
            {"patient": "P01", "msi_markers_unstable": 6, "msi_markers_tested": 5},
            "msi_markers_unstable",
            "out_of_range",
        ),
        ({"patient": "P01", "n_nonsynonymous": 9}, "callable_mb", "missing_value"),
        ({"patient": "P01", "n_nonsynonymous": 9, "callable_mb": 0}, "callable_mb", "out_of_range"),
        ({"patient": "P01", "visit": "week_3"}, "visit", "not_allowed"),
        ({"patient": "P01", "tissue": "tumour"}, "tissue", "not_allowed"),
        ({"patient": "P01", "pdl1": "22C3"}, "pdl1", "unknown_column"),
    ],
)
def test_bad_cells(tmp_path, row, column, kind):
    line = 1 if kind == "unknown_column" else 2
    assert ("biomarkers.tsv", line, column, kind) in found_in(trial_with(tmp_path / "trial", [row]))


def test_rows_told_twice(tmp_path):
    rows = [cells("P01", region="core"), cells("P01", region="margin"), cells("P01", region="core")]
    assert found_in(trial_with(tmp_path / "trial", rows)) == {("biomarkers.tsv", 4, "patient", "duplicate_row")}


def test_all_mistakes_are_told_in_one_pass(tmp_path):
    rows = [{**cells("P01"), "n_viable_tumour": ""}, {**proteins("P98"), "mlh1": "gone"}]
    yaml = TRIAL_YAML + "eligibility: {msi: [MSX], sexx: [female]}\nmeasure_biomarkers: {stratum: {column: cps}}\n"
    kinds = sorted(kind for _, _, _, kind in found_in(trial_with(tmp_path / "trial", rows, yaml)))
    assert kinds == ["missing_value", "not_allowed", "not_allowed", "unknown_column", "unknown_patient"]


@pytest.mark.parametrize(
    ("yaml", "column", "kind"),
    [
        ("eligibility: {mmr: [intact]}", "eligibility.mmr[0]", "not_allowed"),
        ("eligibility: {sex: [woman]}", "eligibility.sex[0]", "not_allowed"),
        ("eligibility: {seks: [female]}", "eligibility.seks", "unknown_column"),
        ("measure_biomarkers: {stratum: {column: cps_grup}}", "measure_biomarkers.stratum.column", "unknown_column"),
        ("measure_biomarkers: {cps_thresholds: [5, 1]}", "measure_biomarkers.cps_thresholds", "not_allowed"),
    ],
)
def test_mistakes_in_the_keys(tmp_path, yaml, column, kind):
    folder = trial_with(tmp_path / "trial", [cells("P01")], TRIAL_YAML + yaml + "\n")
    assert ("cohort.yaml", column, kind) in {(name, place, what) for name, _, place, what in found_in(folder)}


def test_samples_are_those_of_the_patient_at_that_place(tmp_path):
    folder = write_cohort(tmp_path / "cohort")
    rows = [
        cells("P01", sample="P01_a", visit="baseline"),
        cells("P02", sample="P01_b"),
        cells("P03", sample="P03_a", visit="on_treatment"),
        cells("P04", sample="P44_a"),
        cells("P05", sample="P05_a", region="core"),
    ]
    write_sheet(folder, "biomarkers", pd.DataFrame(rows))
    assert found_in(folder) == {
        ("biomarkers.tsv", 3, "patient", "clash"),
        ("biomarkers.tsv", 4, "visit", "clash"),
        ("biomarkers.tsv", 5, "sample", "unknown_sample"),
        ("biomarkers.tsv", 6, "region", "clash"),
    }


def test_conflicts_and_patients_outside_the_rule_are_noted(tmp_path):
    rows = [{**cells("P01", cps=30), **proteins("P01", lost=("msh6",)), "msi": "MSS"}, proteins("P02")]
    yaml = TRIAL_YAML + "eligibility: {mmr: [pMMR], sex: [female]}\n"
    folder = trial_with(tmp_path / "trial", rows, yaml)
    notes = noted(folder)
    assert (notes["biomarker_computed_given"].line, notes["biomarker_computed_given"].column) == (2, "n_pos_tumour")
    assert "dMMR but MSS" in notes["biomarker_mmr_msi"].message
    cohort, _ = examine_cohort(folder)
    outside = [note for note in cohort.notes if note.kind == "not_eligible"]
    males = int((cohort.patients["sex"] == "male").sum())
    assert len(outside) == males + 1
    unknown = [note for note in cohort.notes if note.kind == "eligibility_unknown"]
    assert len(unknown) == 10
    assert len(cohort.patients) == 12


def test_eligibility_needs_no_sheet_of_biomarkers(tmp_path):
    folder = write_trial(tmp_path / "trial", number=12, yaml=TRIAL_YAML + "eligibility: {site: [north, south]}\n")
    cohort, problems = examine_cohort(folder)
    assert problems == []
    outside = [note for note in cohort.notes if note.kind == "not_eligible"]
    assert {(Path(note.file).name, note.column) for note in outside} == {("patients.tsv", "site")}
    assert len(outside) == (cohort.patients["site"] == "west").sum()


def test_a_masked_cohort_tells_nothing_of_its_arms(tmp_path):
    yaml = TRIAL_YAML + "unblinded: false\neligibility: {arm: [rak], mmr: [pMMR]}\n"
    folder = trial_with(tmp_path / "trial", [proteins("P01", lost=("msh6",))], yaml)
    cohort, _ = examine_cohort(folder)
    assert {note.column for note in cohort.notes if note.kind == "not_eligible"} == {"mlh1"}
    first = check_inputs(read_cohort(folder), **SETTINGS)
    patients = pd.read_csv(folder / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
    write_sheet(folder, "patients", patients.assign(arm=np.roll(patients["arm"], 1)))
    second = check_inputs(read_cohort(folder), **SETTINGS)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], obj=name)


def region_cohort(folder: Path, regions) -> Path:
    """Write a cohort in which the first patient has several samples at one visit."""
    rows = [[*row[:5], "", *row[5:]] for row in sample_rows(6)]
    more = [[f"P01_{at}", "P01", "baseline", "0", "blood", region, "run1", ""] for at, region in enumerate(regions)]
    columns = [*SAMPLE_COLUMNS[:5], "region", *SAMPLE_COLUMNS[5:]]
    rows[0][5] = "core"
    return write_cohort(folder, yaml=SOUND_YAML, samples=tsv(columns, [*rows, *more]))


def test_regions_tell_samples_of_one_visit_apart(tmp_path):
    assert found_in(region_cohort(tmp_path / "sound", ["margin"])) == set()
    assert found_in(region_cohort(tmp_path / "twice", ["core"])) == {("samples.tsv", 14, "patient", "duplicate_visit")}
    assert found_in(region_cohort(tmp_path / "whole", [""])) == {("samples.tsv", 14, "region", "missing_region")}


def test_biomarkers_have_a_figure_in_open_and_masked_cohorts(tmp_path):
    for yaml in (TRIAL_YAML, TRIAL_YAML + "unblinded: false\n"):
        held = held_clinical(read_cohort(trial_with(tmp_path / "trial", [cells("P01")], yaml)))
        assert "biomarkers" in held
        assert clinical_figures(held, unblinded=True)["draw_biomarkers"] == {"biomarkers": "single patients"}
