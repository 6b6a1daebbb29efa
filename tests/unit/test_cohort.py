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


def test_blinding_masks_all_that_tells_the_arm(tmp_path):
    table = design_table(read_cohort(write_cohort(tmp_path, yaml=SOUND_YAML + "unblinded: false\n")))
    assert set(table["arm"]) == set(table["response"]) == set(table["best_response"]) == {""}
    assert table["dose_level"].isna().all()
    assert (table["cps"] == 5).all()


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
        "    treated: {type: boolean}\n"
        "strata: [cps_group]\n"
    )
    rows = [[*row, "low", "yes"] for row in patient_rows(6)]
    folder = write_cohort(tmp_path, yaml=yaml, patients=tsv([*PATIENT_COLUMNS, "cps_group", "treated"], rows))
    assert set(design_table(read_cohort(folder))["cps_group"]) == {"low"}
    rows[0][-2:] = ["lo", "maybe"]
    (folder / "patients.tsv").write_text(tsv([*PATIENT_COLUMNS, "cps_group", "treated"], rows))
    assert faults(folder) == [(2, "cps_group", "not_allowed"), (2, "treated", "not_allowed")]


def test_sheets_need_a_row(tmp_path):
    folder = write_cohort(tmp_path, yaml="title: T\nvisits: [baseline]\n", samples=tsv(SAMPLE_COLUMNS, []))
    assert (1, "", "empty_sheet") in faults(folder)


@pytest.mark.parametrize("line", ["data_root: package:__main__", "seed: " + "9" * 5000])
def test_odd_values_are_problems_not_tracebacks(tmp_path, line):
    (key, *_) = line.split(":")
    assert key in {column for _, column, _ in faults(write_cohort(tmp_path, yaml=f"{SOUND_YAML}{line}\n"))}


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
