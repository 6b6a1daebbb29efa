import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cohort_folders import (
    PATIENT_COLUMNS,
    SAMPLE_COLUMNS,
    SOUND_YAML,
    patient_rows,
    sample_rows,
    tsv,
    write_cohort,
)

from immune_landscape import config_checks
from immune_landscape.cohort import design_table, examine_cohort, read_cohort
from immune_landscape.errors import ProblemsError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def faults(folder, **given):
    return [(p.line, p.column, p.kind) for p in examine_cohort(folder, **given)[1]]


def patients_with(**cells):
    """Return patients.tsv whose second patient (line 3) has other cells."""
    rows = patient_rows(6)
    for column, value in cells.items():
        rows[1][PATIENT_COLUMNS.index(column)] = value
    return tsv(PATIENT_COLUMNS, rows)


def samples_with(line, **cells):
    rows = sample_rows(6)
    for column, value in cells.items():
        rows[line - 2][SAMPLE_COLUMNS.index(column)] = value
    return tsv(SAMPLE_COLUMNS, rows)


def test_a_sound_cohort(tmp_path):
    cohort = read_cohort(write_cohort(tmp_path))
    assert len(cohort.patients) == 6
    assert len(cohort.samples) == 12
    assert cohort.samples["gex"].map(lambda path: Path(path).is_file()).all()
    assert cohort.samples["gex_label"].tolist() == cohort.samples["sample"].tolist()
    assert cohort.config["layers"] == ["gex"]
    assert cohort.config["contrasts"][0]["tissue"] == "blood"
    assert cohort.config_lines["contrasts[0]"] == 4
    assert cohort.sample_lines == tuple(range(2, 14))


def test_the_design_table_joins_and_maps_responses(tmp_path):
    patients = patients_with(best_response="NE", evaluable="no")
    table = design_table(read_cohort(write_cohort(tmp_path, patients=patients)))
    assert len(table) == 12
    response = table.groupby("patient")["response"].first().to_dict()
    assert response["P01"] == "responder"
    assert response["P02"] == ""
    assert response["P04"] == "non_responder"
    assert table["sample"].is_unique


def test_a_patient_not_evaluable_has_no_response(tmp_path):
    table = design_table(read_cohort(write_cohort(tmp_path, patients=patients_with(evaluable="no"))))
    assert set(table.loc[table["patient"] == "P02", "response"]) == {""}


MASKED_TEXT = ("arm", "best_response", "response", "product_origin", "donor_sex", "evaluable", "dlt", "dlt_evaluable")
MASKED_NUMBERS = ("dose_level", "pfs_time", "pfs_event", "os_time", "os_event")
BLINDED = (
    SOUND_YAML
    + """\
unblinded: false
extra_columns:
  patients:
    second_reader: {type: string, same_as: best_response}
    second_death: {type: integer, same_as: os_event}
    site: {type: string}
    group: {type: string}
"""
)


def blinded_cohort(folder, yaml=BLINDED):
    """Write a masked cohort with extra columns, two of which tell a standard column again and one the groups."""
    yaml = yaml.replace("target: on_treatment}", "target: on_treatment, group_column: group}")
    rows = [[*row, row[2], "1", "s1", row[2]] for row in patient_rows(6)]
    columns = [*PATIENT_COLUMNS, "second_reader", "second_death", "site", "group"]
    return write_cohort(folder, yaml=yaml, patients=tsv(columns, rows))


def test_blinding_masks_arm_response_and_outcome(tmp_path):
    table = design_table(read_cohort(blinded_cohort(tmp_path)))
    for name in (*MASKED_TEXT, "second_reader", "group"):
        assert set(table[name]) == {""}, name
    assert table[[*MASKED_NUMBERS, "second_death"]].isna().all(axis=None)
    assert (table["cps"] == 5).all()
    assert set(table["site"]) == {"s1"}
    told = design_table(read_cohort(blinded_cohort(tmp_path, BLINDED.replace("false", "true"))))
    assert set(told["group"]) == {"PR", "SD"}
    assert list(told.columns) == list(table.columns)


def test_notes_on_masked_cells_wait_for_unblinding(tmp_path):
    odd = {"best_response": "", "os_time": "3.5", "os_event": "1", "pfs_event": "0", "evaluable": "yes", "arm": " a"}
    notes = {}
    for state in ("true", "false"):
        folder = write_cohort(
            tmp_path / state, yaml=f"{SOUND_YAML}unblinded: {state}\n", patients=patients_with(**odd, patient="P02 ")
        )
        notes[state] = {note.kind for note in read_cohort(folder).notes}
    assert {"no_response", "death_not_progression", "blanks"} <= notes["true"]
    assert notes["false"] == {"masked", "blanks"}  # the blank after the patient's code
    told = [note for note in read_cohort(folder).notes if note.kind == "blanks"]
    assert {note.column for note in told} == {"patient"}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"patient": "P01", "best_response": "PR"}, (3, "patient", "duplicate_patient")),
        ({"patient": "P01", "best_response": "SD"}, (3, "best_response", "conflicting_response")),
        ({"pfs_time": ""}, (3, "pfs_time", "event_without_time")),
        ({"os_event": ""}, (3, "os_event", "time_without_event")),
        ({"pfs_time": "9.5"}, (3, "pfs_time", "pfs_after_os")),
        ({"best_response": "NE"}, (3, "evaluable", "clash")),
        ({"arm": "A"}, (3, "arm", "case_twin")),
        ({"best_response": "SD "}, (3, "best_response", "not_allowed")),
    ],
)
def test_mistakes_in_patients(tmp_path, cells, expected):
    found = faults(write_cohort(tmp_path, patients=patients_with(**cells)))
    # A patient renamed to another also orphans his two samples.
    assert expected in found
    assert {kind for *_, kind in found} <= {expected[-1], "unknown_patient"}


@pytest.mark.parametrize(
    ("line", "cells", "expected"),
    [
        (2, {"patient": "P99"}, (2, "patient", "unknown_patient")),
        (2, {"patient": "p01"}, (2, "patient", "unknown_patient")),
        (4, {"sample": "P01_a"}, (4, "sample", "duplicate_sample")),
        (4, {"sample": "p01_A"}, (4, "sample", "case_twin")),
        (3, {"visit": "baseline", "day": "0"}, (3, "visit", "duplicate_visit")),
        (3, {"visit": "on "}, (3, "visit", "not_allowed")),
        (3, {"tissue": "Blood"}, (3, "tissue", "not_allowed")),
        (3, {"day": "-4"}, (3, "day", "visit_order")),
        (3, {"day": "2024-03-01"}, (3, "day", "calendar_date")),
        (3, {"batch": "RUN1"}, (3, "batch", "case_twin")),
        (3, {"sample": "nul"}, (3, "sample", "reserved_name")),
        (3, {"gex": "P01_c.h5ad"}, (3, "gex", "missing_file")),
        (3, {"gex": "P01_a.h5ad"}, (3, "gex", "file_used_twice")),
        (3, {"gex": "../up.h5ad"}, (3, "gex", "path_outside")),
        (3, {"gex": "/etc/hostname"}, (3, "gex", "path_outside")),
        (3, {"gex": "~/x.h5ad"}, (3, "gex", "bad_path")),
        (3, {"gex": "https://host/x.h5ad"}, (3, "gex", "bad_path")),
        (3, {"gex": "a\\b.h5ad"}, (3, "gex", "bad_path")),
    ],
)
def test_mistakes_in_samples(tmp_path, line, cells, expected):
    found = faults(write_cohort(tmp_path, samples=samples_with(line, **cells)))
    if expected[-1] == "duplicate_visit":
        expected = (3, "patient", "duplicate_visit")
    assert found == [expected]


def test_special_files(tmp_path):
    folder = write_cohort(tmp_path / "cohort")
    outside = tmp_path / "secret.h5ad"
    outside.touch()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "way_out").symlink_to(outside)
    (folder / "inside").symlink_to("P01_a.h5ad")
    kinds = {"pipe": "bad_path", "loop": "bad_path", "way_out": "path_outside", "inside": None}
    for name, kind in kinds.items():
        (folder / "samples.tsv").write_text(samples_with(2, gex=name))
        assert faults(folder) == ([(2, "gex", kind)] if kind else []), name


def test_paths_outside_can_be_allowed(tmp_path):
    (tmp_path / "up.h5ad").touch()
    samples = samples_with(2, gex=str(tmp_path / "up.h5ad"))
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + "paths_outside: true\n", samples=samples)
    assert read_cohort(folder).samples["gex"][0] == str(tmp_path / "up.h5ad")


def test_a_near_file_name_is_suggested(tmp_path):
    folder = write_cohort(tmp_path, samples=samples_with(2, gex="P01_a.h5da"))
    assert "did you mean P01_a.h5ad?" in str(examine_cohort(folder)[1][0])


def test_data_root_of_an_installed_package(tmp_path):
    yaml = "title: T\nvisits: [baseline, on_treatment]\ndata_root: package:yaml\n"
    rows = [[*row[:-1], "__init__.py" if i == 0 else ""] for i, row in enumerate(sample_rows(6))]
    cohort = read_cohort(write_cohort(tmp_path, yaml=yaml, samples=tsv(SAMPLE_COLUMNS, rows)))
    import yaml as package

    assert cohort.samples["gex"][0] == package.__file__


@pytest.mark.parametrize("root", ["package:no_such_package_here/x", "package:yaml/no", "package:../x", "nowhere"])
def test_a_missing_data_root_is_told_once_at_its_key(tmp_path, root):
    yaml = f"title: T\nvisits: [baseline, on_treatment]\ndata_root: {root}\n"
    folder = write_cohort(tmp_path, yaml=yaml, samples=tsv(SAMPLE_COLUMNS[:-1], [r[:-1] for r in sample_rows(6)]))
    assert faults(folder) == [(3, "data_root", "missing_folder")]


def test_simulated_files_need_not_exist(tmp_path):
    folder = write_cohort(
        tmp_path / "c", yaml=f"{SOUND_YAML}data_root: simulated\n", samples=samples_with(2, gex="new.h5ad")
    )
    cohort = read_cohort(folder, data_root=tmp_path / "results")
    assert cohort.config["simulated"] is True
    assert cohort.samples["gex"][0] == str(tmp_path / "results" / "new.h5ad")


def test_many_samples_in_one_file_need_a_column(tmp_path):
    samples = tsv(SAMPLE_COLUMNS, [[*row[:-1], "P01_a.h5ad"] for row in sample_rows(6)])
    assert len(faults(write_cohort(tmp_path, samples=samples))) == 11
    yaml = SOUND_YAML + "inputs: {gex_sample_column: sample}\n"
    assert not faults(write_cohort(tmp_path, samples=samples, yaml=yaml))


def test_layers_left_out_are_not_looked_for(tmp_path):
    tmp_path.joinpath("m").mkdir()
    samples = samples_with(2, gex="gone.h5ad")
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + "layers: [measures]\n", samples=samples)
    (folder / "measures.tsv").write_text("sample\tmeasure\tvalue\tunit\nP01_a\tIL6\t2.5\tpg/ml\n")
    cohort = read_cohort(folder)
    assert set(cohort.samples["gex"]) == {""}
    assert cohort.measures["value"].tolist() == [2.5]


def test_optional_sheets(tmp_path):
    folder = write_cohort(tmp_path)
    (folder / "measures.tsv").write_text(
        "sample\tmeasure\tvalue\tunit\nP01_a\tIL6\t1\tpg/ml\nP01_a\tIL6\t2\tpg/ml\nP99\tIL6\t1\tng/ml\nP01_b\tIL6\t\tpg/ml\n"
    )
    (folder / "populations.tsv").write_text(
        "sample\tpopulation\tparent\tcount\tfraction\nP01_a\tCD3+CD56+\t\t12\t\nP01_a\tNK\t\t\t\nP01_b\tNK\t\t1.5\t12\n"
    )
    assert sorted(faults(folder)) == sorted(
        [
            (3, "sample", "duplicate_measure"),
            (4, "sample", "unknown_sample"),
            (4, "unit", "mixed_units"),
            (5, "value", "missing_value"),
            (3, "count", "missing_value"),
            (4, "count", "not_a_number"),
            (4, "fraction", "out_of_range"),
        ]
    )


def test_extra_columns(tmp_path):
    yaml = SOUND_YAML + (
        "extra_columns:\n  patients:\n    cps_group: {type: string, enum: [low, high]}\n"
        "    pretreated: {type: boolean}\n"
        "strata: [cps_group]\n"
    )
    rows = [[*row, "low", "yes"] for row in patient_rows(6)]
    folder = write_cohort(tmp_path, yaml=yaml, patients=tsv([*PATIENT_COLUMNS, "cps_group", "pretreated"], rows))
    assert set(design_table(read_cohort(folder))["cps_group"]) == {"low"}
    rows[0][-2:] = ["lo", "maybe"]
    (folder / "patients.tsv").write_text(tsv([*PATIENT_COLUMNS, "cps_group", "pretreated"], rows))
    assert faults(folder) == [(2, "cps_group", "not_allowed"), (2, "pretreated", "not_allowed")]


def test_sheets_need_a_row(tmp_path):
    folder = write_cohort(tmp_path, yaml="title: T\nvisits: [baseline]\n", samples=tsv(SAMPLE_COLUMNS, []))
    assert (1, "", "empty_sheet") in faults(folder)


@pytest.mark.parametrize("line", ["data_root: package:__main__", "seed: " + "9" * 5000])
def test_odd_values_are_problems_not_tracebacks(tmp_path, line):
    (key, *_) = line.split(":")
    assert key in {column for _, column, _ in faults(write_cohort(tmp_path, yaml=f"{SOUND_YAML}{line}\n"))}


def test_a_scheduler_needs_dask(tmp_path, monkeypatch):
    yaml = SOUND_YAML + "scheduler: tcp://host:8786\n"
    assert faults(write_cohort(tmp_path / "with", yaml=yaml)) == []
    monkeypatch.setattr(config_checks, "find_spec", lambda name: None)
    found = {(column, kind) for _, column, kind in faults(write_cohort(tmp_path / "without", yaml=yaml))}
    assert found == {("scheduler", "missing_package")}


def test_an_extra_column_cannot_be_of_both_sheets(tmp_path):
    column = "    site: {type: string}\n"
    yaml = SOUND_YAML + f"extra_columns:\n  patients:\n{column}  samples:\n{column}"
    found = [(column, kind) for _, column, kind in faults(write_cohort(tmp_path, yaml=yaml))]
    assert found == [("extra_columns.samples.site", "clash")]


def test_missing_visits_layers_and_third_visits_are_normal(tmp_path):
    yaml = "title: T\nvisits: [baseline, on_treatment, late]\n"
    rows = [*sample_rows(6)[:-1], ["P01_c", "P01", "late", "", "", "", ""]]
    cohort = read_cohort(write_cohort(tmp_path, yaml=yaml, samples=tsv(SAMPLE_COLUMNS, rows)))
    assert "missing_visit" in {note.kind for note in cohort.notes}
    assert cohort.samples["tissue"].tolist()[-1] == "blood"


def test_notes_do_not_stop(tmp_path):
    patients = tsv(["patient", "age"], [[f"P{i:02d}", "95" if i == 1 else ""] for i in range(1, 8)])
    folder = write_cohort(
        tmp_path,
        patients=patients,
        samples=samples_with(2, day="3"),
        yaml="title: T\nvisits: [baseline, on_treatment]\n",
    )
    cohort = read_cohort(folder)
    assert cohort.patients["age"][0] == 90
    assert {"old_age", "late_baseline", "no_sample"} <= {note.kind for note in cohort.notes}


def test_a_missing_folder_or_sheet(tmp_path):
    assert faults(tmp_path / "none") == [(0, "", "missing_folder")]
    folder = write_cohort(tmp_path / "c")
    (folder / "patients.tsv").unlink()
    assert faults(folder) == [(0, "", "missing_sheet")]
    with pytest.raises(ProblemsError, match=r"patients\.tsv: sheet is missing"):
        read_cohort(folder)


def test_contrasts_name_known_levels(tmp_path):
    yaml = "title: T\nvisits: [baseline, on_treatment]\ncontrasts:\n"
    yaml += "  - {name: a, estimand: change, reference: basline, target: on_treatment}\n"
    yaml += "  - {name: A, estimand: change, reference: baseline}\n"
    assert sorted(faults(write_cohort(tmp_path, yaml=yaml))) == [
        (4, "contrasts[0].reference", "unknown_level"),
        (5, "contrasts[1].name", "duplicate_contrast"),
        (5, "contrasts[1].target", "missing_key"),
    ]


THREE_VISITS = "title: T\nvisits: [baseline, on_treatment, late]\ntissues: [blood, tumour]\ncontrasts:\n"
CHANGE = "estimand: change, reference: baseline"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("targets: [on_treatment, late]", []),
        ("targets: [late, lat]", [("targets[1]", "unknown_level")]),
        ("targets: [late, baseline]", [("targets[1]", "clash")]),
        ("target: late, targets: [on_treatment]", [("targets", "clash")]),
        ("target: baseline", [("target", "clash")]),
        ("summary: mean", [("target", "missing_key")]),
        ("factor: tissue, targets: [tumour, late]", [("reference", "unknown_level"), ("targets[1]", "unknown_level")]),
        ("target: late, group_column: sex", []),
        ("target: late, group_column: site", []),
        ("target: late, group_column: side", [("group_column", "unknown_column")]),
        ("target: late, group_column: day", [("group_column", "unknown_column")]),
        ("target: late, covariates: [age, site]", []),
        ("target: late, covariates: [age, sight]", [("covariates[1]", "unknown_column")]),
        ("target: late, strata: [sight]", [("strata[0]", "unknown_column")]),
        ("target: late, arms: [a, b]", [("arms", "unknown_key")]),
        ("target: late, features: {measures: [all/IL6]}", []),
        ("target: late, features: {messures: [all/IL6]}", [("features.messures", "unknown_key")]),
    ],
)
def test_keys_of_contrasts(tmp_path, keys, expected):
    yaml = f"{THREE_VISITS}  - {{name: c, {CHANGE}, {keys}}}\n"
    yaml += "extra_columns: {patients: {site: {type: string}}}\n"
    rows = [[*row, "s1"] for row in patient_rows(6)]
    folder = write_cohort(tmp_path, yaml=yaml, patients=tsv([*PATIENT_COLUMNS, "site"], rows))
    assert faults(folder) == sorted((5, f"contrasts[0].{column}", kind) for column, kind in expected)


def test_a_misspelt_column_of_a_contrast_gets_a_suggestion(tmp_path):
    yaml = f"{THREE_VISITS}  - {{name: c, {CHANGE}, target: late, group_column: arms}}\n"
    (problem,) = examine_cohort(write_cohort(tmp_path, yaml=yaml))[1]
    assert "'arms' is not a column of patients.tsv; did you mean arm?" in problem.message


CLAIM = """\
source: {citation: Someone 2020}
claims:
  - id: one
    label: NK cells
    statement: NK cells increase.
    layer: composition
    estimand: change
    parents: [all]
    feature: nk
    direction: up
"""


def test_strata_of_the_cohort_hold_in_every_contrast(tmp_path):
    own = "  - {name: own, estimand: change, reference: baseline, target: on_treatment, strata: [sex, arm]}\n"
    cohort = read_cohort(write_cohort(tmp_path, yaml=f"{SOUND_YAML}{own}strata: [arm]\n"))
    assert [contrast["strata"] for contrast in cohort.config["contrasts"]] == [["arm"], ["arm", "sex"]]


def test_claims_must_be_there_and_sound(tmp_path):
    folder = write_cohort(tmp_path, yaml=SOUND_YAML + "claims: [own, owm]\n")
    (folder / "claims").mkdir()
    (folder / "claims" / "own.yaml").write_text(CLAIM)
    (problem,) = examine_cohort(folder)[1]
    assert (problem.line, problem.column, problem.kind) == (5, "claims[1]", "unknown_claims")
    assert "known claims: own, tan2025; did you mean own?" in problem.message
    (folder / "cohort.yaml").write_text(SOUND_YAML + "claims: [own, tan2025]\n")
    assert faults(folder) == []
    (folder / "claims" / "own.yaml").write_text(CLAIM.replace("direction: up", "direction: upp"))
    (problem,) = examine_cohort(folder)[1]
    assert problem.file.endswith("claims/own.yaml")
    assert problem.column == "claims[0].direction"


MEASURES = "sample\tmeasure\tvalue\tunit\tscale\n"


@pytest.mark.parametrize(
    ("key", "rows", "words"),
    [
        ("absolute_counts: lymphocytes", "P01_a\tlymphocytes\t1.5\t10^9/l\tlog\n", None),
        ("absolute_counts: lymphocyte", "P01_a\tlymphocytes\t1.5\t10^9/l\tlog\n", "did you mean lymphocytes?"),
        ("absolute_counts: lymphocytes", None, "has no measures.tsv"),
    ],
)
def test_absolute_counts_are_a_measure(tmp_path, key, rows, words):
    folder = write_cohort(tmp_path, yaml=f"{SOUND_YAML}{key}\n")
    if rows:
        (folder / "measures.tsv").write_text(MEASURES + rows)
    found = examine_cohort(folder)[1]
    assert [(p.line, p.column, p.kind) for p in found] == ([(5, "absolute_counts", "unknown_measure")] if words else [])
    assert not words or words in found[0].message


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("{measures: [IL6, all/IL6]}", []),
        ("{measures: [all/IL8]}", [("measures[0]", "did you mean all/IL6?")]),
        ("{populations: [CD4, CD3pos/CD4, all/CD3+]}", []),
        ("{populations: [CD4, CD3/CD4]}", [("populations[1]", "did you mean CD3pos/CD4?")]),
        ("{expansion: [anything]}", []),
    ],
)
def test_declared_features_are_in_the_sheets(tmp_path, features, expected):
    folder = write_cohort(
        tmp_path, yaml=SOUND_YAML.replace("target: on_treatment", f"target: on_treatment, features: {features}")
    )
    (folder / "measures.tsv").write_text(MEASURES + "P01_a\tIL6\t1\tpg/ml\tlog\n")
    rows = "P01_a\tCD3+\t\t50\nP01_a\tCD4\tCD3+\t20\n"
    (folder / "populations.tsv").write_text(f"sample\tpopulation\tparent\tcount\n{rows}")
    found = examine_cohort(folder)[1]
    assert [(p.line, p.column, p.kind) for p in found] == [
        (4, f"contrasts[0].features.{column}", "unknown_feature") for column, _ in expected
    ]
    assert all(words in problem.message for problem, (_, words) in zip(found, expected, strict=True))


def test_a_responder_by_time_needs_times(tmp_path):
    yaml = SOUND_YAML + "responders: {pfs_at_least: 6}\n"
    assert faults(write_cohort(tmp_path, yaml=yaml)) == []
    patients = tsv(["patient", "best_response"], [[row[0], row[2]] for row in patient_rows(6)])
    found = faults(write_cohort(tmp_path, yaml=yaml, patients=patients))
    assert found == [(5, "responders.pfs_at_least", "missing_column")]


@pytest.mark.parametrize(
    ("sheet", "spec", "kind", "words"),
    [
        ("patients", "{type: string, same_as: best_response}", None, ""),
        ("patients", "{type: integer, same_as: os_time}", None, ""),
        ("patients", "{type: string, same_as: best_respons}", "unknown_column", "did you mean best_response?"),
        ("patients", "{type: string, same_as: patient}", "unknown_column", "arm, dose_level"),
        ("patients", "{type: string, same_as: os_time}", "clash", "os_time is of type number"),
        ("samples", "{type: number, same_as: day}", "clash", "only columns of patients.tsv"),
    ],
)
def test_a_second_source_is_of_a_standard_column(tmp_path, sheet, spec, kind, words):
    yaml = f"{SOUND_YAML}extra_columns: {{{sheet}: {{again: {spec}}}}}\n"
    found = examine_cohort(write_cohort(tmp_path, yaml=yaml))[1]
    expected = [(5, f"extra_columns.{sheet}.again.same_as", kind)] if kind else []
    assert [(p.line, p.column, p.kind) for p in found] == expected
    assert not kind or words in found[0].message


def test_sources_that_disagree_on_a_patient_are_noted(tmp_path):
    yaml = SOUND_YAML + "extra_columns:\n  patients:\n"
    yaml += "    tcr_response: {type: string, same_as: best_response}\n    days: {type: number, same_as: os_time}\n"
    second = ["pr", "Stable  disease ", "SD", "", "progressive disease", "not scanned"]
    rows = [
        [*row, told, "9" if i else "9.5"] for i, (row, told) in enumerate(zip(patient_rows(6), second, strict=True))
    ]
    folder = write_cohort(tmp_path, yaml=yaml, patients=tsv([*PATIENT_COLUMNS, "tcr_response", "days"], rows))
    notes = [note for note in read_cohort(folder).notes if note.kind == "sources_disagree"]
    assert [(note.line, note.column, note.message) for note in notes] == [
        (2, "days", "os_time is 9, days is 9.5"),
        (4, "tcr_response", "best_response is 'PR', tcr_response is 'SD'"),
        (6, "tcr_response", "best_response is 'PR', tcr_response is 'progressive disease'"),
        (7, "tcr_response", "best_response is 'SD', tcr_response is 'not scanned'"),
    ]


def test_patients_without_a_response_are_noted_where_responses_are_compared(tmp_path):
    patients = patients_with(best_response="")
    samples = tsv(SAMPLE_COLUMNS, [row for row in sample_rows(6) if row[0] != "P02_b"])
    folder = write_cohort(tmp_path, patients=patients, samples=samples)
    (note,) = (note for note in read_cohort(folder).notes if note.kind == "no_response")
    assert (note.line, note.column) == (3, "best_response")
    assert note.message == "P02 has none; 1 sample is left out of response contrasts"
    (folder / "cohort.yaml").write_text(SOUND_YAML.replace("response_by_visit", "change"))
    assert "no_response" not in {note.kind for note in read_cohort(folder).notes}


def test_all_samples_of_patients_without_a_row_are_listed_at_once(tmp_path):
    patients = tsv(PATIENT_COLUMNS, patient_rows(6)[2:])
    found = faults(write_cohort(tmp_path, patients=patients))
    assert found == [(line, "patient", "unknown_patient") for line in (2, 3, 4, 5)]


def with_measures(folder, *rows):
    write_cohort(folder)
    (folder / "measures.tsv").write_text(MEASURES + "".join("\t".join(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("P01_a", "IL6", "1", "pg/ml", "log"), ("P01_b", "IL6", "2", "pg/ml", "log")], []),
        ([("P01_a", "IL6", "1", "pg/ml", "log"), ("P01_b", "IL6", "2", "pg/ml", "")], [(3, "scale", "mixed_scales")]),
        ([("P01_a", "IL6", "1", "pg/ml", ""), ("P01_b", "IL6", "2", "pg/ml", "identity")], []),
        ([("P01_a", "IL6", "0", "pg/ml", "log"), ("P01_b", "IL6", "-2", "pg/ml", "log")],
         [(2, "value", "out_of_range"), (3, "value", "out_of_range")]),
        ([("P01_a", "x", "-2", "", "")], []),
        ([("P01_a", "x", "12", "", "logit"), ("P01_b", "x", "-0.1", "", "logit")],
         [(2, "value", "out_of_range"), (3, "value", "out_of_range")]),
        ([("P01_a", "x", "0", "", "logit"), ("P01_b", "x", "1", "", "logit")], []),
        ([("P01_a", "x", "0.5", "", "lgit")], [(2, "scale", "not_allowed")]),
        ([("P01_a", "x", "0.5", "", "log"), ("P01_b", "x", "0.5", "", "lgit")], [(3, "scale", "not_allowed")]),
    ],
)  # fmt: skip
def test_measures_fit_their_scale(tmp_path, rows, expected):
    assert faults(with_measures(tmp_path, *rows)) == expected


def test_what_happens_to_shares_of_0_and_1_is_told(tmp_path):
    folder = with_measures(tmp_path, ("P01_a", "x", "0", "", "logit"), ("P01_b", "x", "1", "", "logit"))
    notes = [note for note in read_cohort(folder).notes if note.kind == "end_share"]
    assert [(note.line, note.message) for note in notes] == [
        (2, "0 has no logit and is moved inside by load_measures.share_floor"),
        (3, "1 has no logit and is moved inside by load_measures.share_floor"),
    ]


def with_populations(folder, *rows):
    write_cohort(folder)
    head = "sample\tpopulation\tparent\tcount\tfraction\n"
    (folder / "populations.tsv").write_text(head + "".join("\t".join(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("P01_a", "T", "", "10", ""), ("P01_a", "CD8", "T", "11", "")], [(3, "count", "count_over_parent")]),
        ([("P01_a", "T", "T", "10", "")], [(2, "parent", "clash")]),
        ([("P01_a", "T", "", "10", ""), ("P01_b", "T", "CD45", "10", "")], [(3, "parent", "mixed_parents")]),
        ([("P01_a", "all", "", "10", ""), ("P01_a", "T", "all", "9", "")], []),
    ],
)
def test_mistakes_in_populations(tmp_path, rows, expected):
    assert faults(with_populations(tmp_path, *rows)) == expected


def test_how_populations_are_counted_is_told(tmp_path):
    folder = with_populations(
        tmp_path,
        ("P01_a", "T", "", "50", "0.5"),
        ("P01_a", "B", "", "50", "0.3"),
        ("P01_b", "T", "", "40", ""),
        ("P02_a", "CD4", "T helpers", "", "0.4"),
    )
    notes = [(note.line, note.kind) for note in read_cohort(folder).notes if note.file.endswith("populations.tsv")]
    assert notes == [(2, "summed_parent"), (3, "fraction_mismatch"), (4, "incomplete_parent")]
    text = "\n".join(note.message for note in read_cohort(folder).notes)
    assert "counted as the sum of its 2" in text
    assert "P01_b lacks B" in text


def test_reading_is_light_and_fast(tmp_path):
    folder = write_cohort(tmp_path, number=20)
    code = (
        "import sys\nfrom immune_landscape.cohort import read_cohort\n"
        f"read_cohort({str(folder)!r})\n"
        "print([m for m in ('scanpy', 'anndata', 'scirpy', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert done.stdout.strip() == "[]"
    read_cohort(folder)
    start = time.perf_counter()
    read_cohort(folder)
    assert time.perf_counter() - start < 0.3
