"""25 seeded mistakes are all reported at once, and no input gives anything but a readable refusal."""

import json
from collections import Counter
from pathlib import Path

import pytest
from cohort_folders import PATIENT_COLUMNS, SAMPLE_COLUMNS, patient_rows, sample_rows, tsv, write_cohort
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immune_landscape.check_inputs import problems_of
from immune_landscape.cohort import Cohort, design_table, read_cohort
from immune_landscape.errors import ProblemsError

YAML = """\
title: Seeded mistakes
visits: [baseline, on_treatment]
sede: 3
device: cup
data_root: "."
responders:
  positve: [CR]
"""

# Line, column and cell of each mistake; the sheets are sound otherwise.
IN_PATIENTS = [
    (3, "best_response", "PD ", "not_allowed"),
    (4, "best_response", "PX", "not_allowed"),
    (5, "cps", "120", "out_of_range"),
    (6, "cps", "1,5", "not_a_number"),
    (7, "pfs_time", "-2", "out_of_range"),
    (8, "pfs_time", "9.5", "pfs_after_os"),
    (9, "os_event", "", "time_without_event"),
    (10, "patient", "P 09", "unsafe_id"),
    (11, "patient", "Anna_Schmidt", "personal_identifier"),
    (12, "evaluable", "maybe", "not_allowed"),
]
IN_SAMPLES = [
    (2, "visit", "on ", "not_allowed"),
    (5, "patient", "P99", "unknown_patient"),
    (7, "sample", "P01_a", "duplicate_sample"),
    (9, "day", "-4", "visit_order"),
    (11, "day", "2024-03-01", "calendar_date"),
    (13, "gex", "../secret.h5ad", "path_outside"),
    (15, "gex", "P07_c.h5ad", "missing_file"),
    (16, "sample", "../P08", "unsafe_id"),
    (17, "sample", "NUL", "reserved_name"),
    (19, "gex", "/etc/hostname", "path_outside"),
    (21, "tissue", "bloood", "not_allowed"),
]
IN_CONFIG = [
    (3, "sede", "unknown_key"),
    (4, "device", "not_allowed"),
    (7, "responders.positve", "unknown_key"),
]


def spoiled(columns, rows, mistakes):
    for line, column, cell, _ in mistakes:
        rows[line - 2][columns.index(column)] = cell
    return rows


def write_spoiled(folder: Path) -> Path:
    patients = spoiled(PATIENT_COLUMNS, patient_rows(12), IN_PATIENTS)
    # The samples of the two renamed patients go with them, so that each mistake stands alone.
    samples = sample_rows(12)
    for row in samples:
        row[1] = {"P09": "P 09", "P10": "Anna_Schmidt"}.get(row[1], row[1])
    samples = [row for row in samples if row[1] not in ("P 09", "Anna_Schmidt")]
    samples = spoiled(SAMPLE_COLUMNS, samples, IN_SAMPLES)
    text = tsv(PATIENT_COLUMNS, patients)
    lines = text.splitlines()
    # One row of patients.tsv ends early.
    lines[12] = "\t".join(lines[12].split("\t")[:4])
    return write_cohort(
        folder, yaml=YAML, patients="\n".join(lines) + "\n", samples=tsv(SAMPLE_COLUMNS, samples), number=12
    )


def expected():
    found = [("patients.tsv", line, column, kind) for line, column, _, kind in IN_PATIENTS]
    found += [("samples.tsv", line, column, kind) for line, column, _, kind in IN_SAMPLES]
    found += [("cohort.yaml", line, column, kind) for line, column, kind in IN_CONFIG]
    return [*found, ("patients.tsv", 13, "", "short_row")]


def test_25_mistakes_of_over_12_kinds_are_reported_in_one_pass_without_extras(tmp_path):
    folder = write_spoiled(tmp_path / "cohort")
    with pytest.raises(ProblemsError) as caught:
        read_cohort(folder)
    found = Counter((Path(p.file).name, p.line, p.column, p.kind) for p in caught.value.problems)
    assert len(expected()) == 25
    assert len({kind for *_, kind in expected()}) >= 12
    assert found == Counter(expected())


def test_every_message_says_where_and_what_is_expected(tmp_path):
    folder = write_spoiled(tmp_path / "cohort")
    with pytest.raises(ProblemsError) as caught:
        read_cohort(folder)
    text = str(caught.value)
    assert "25 problems in 3 files" in text
    assert "Traceback" not in text
    assert "Schmidt" not in text
    for line in text.splitlines()[:-1]:
        file, number, *_ = line.removeprefix(str(folder)).lstrip("/").split(":")
        assert file.endswith((".tsv", ".yaml"))
        assert number.isdigit()


WORDS = [
    "P01",
    "P02",
    "baseline",
    "on_treatment",
    "PR",
    "NE",
    "1",
    "-1",
    "1e400",
    "nan",
    "yes",
    "2024-01-01",
    "../x",
    "/",
    "~",
    "CON",
    '"',
    "P01_a.h5ad",
    "=1+1",
]
CELLS = st.one_of(st.text(max_size=12), st.sampled_from([*WORDS, "", "PD ", "\0", "\u202e"]))
SHEET = st.lists(st.lists(CELLS, min_size=0, max_size=6), min_size=0, max_size=6)
KEYS = [
    "title",
    "visits",
    "tissues",
    "contrasts",
    "labels",
    "inputs",
    "layers",
    "seed",
    "data_root",
    "extra_columns",
    "strata",
    "responders",
    "filter_cells",
    "nonsense",
]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
INNER_KEYS = st.sampled_from(["name", "patients", "type", "estimand", "positive", "x"])


def nested(inner):
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(INNER_KEYS, inner, max_size=3))


VALUES = st.recursive(SCALARS, nested, max_leaves=6)
YAMLS = st.one_of(st.text(max_size=80), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))


def joined(header, rows):
    return "\n".join("\t".join(cells) for cells in [header, *rows])


def read_or_refusal(folder):
    try:
        return read_cohort(folder), None
    except ProblemsError as error:
        return None, error


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    yaml=YAMLS,
    patients=SHEET,
    samples=SHEET,
    known=st.booleans(),
    junk=st.one_of(st.none(), st.binary(max_size=60)),
)
def test_random_folders_are_read_or_refused_in_words(tmp_path, yaml, patients, samples, known, junk):
    text = yaml if isinstance(yaml, str) else json.dumps({"title": "T", "visits": ["baseline"]} | yaml)
    heads = (PATIENT_COLUMNS[:6], SAMPLE_COLUMNS[:6]) if known else ([], [])
    folder = tmp_path / "cohort"
    write_cohort(folder, number=1)
    (folder / "cohort.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / "patients.tsv").write_bytes(joined(heads[0], patients).encode("utf-8", "surrogatepass"))
    content = joined(heads[1], samples).encode("utf-8", "surrogatepass") if junk is None else junk
    (folder / "samples.tsv").write_bytes(content)
    cohort, refusal = read_or_refusal(folder)
    if refusal is None:
        assert isinstance(cohort, Cohort)
        assert len(design_table(cohort)) == len(cohort.samples)
    else:
        assert refusal.problems
        assert all(problem.message and problem.kind for problem in refusal.problems)
    # The content pass, too, tells every failure as a problem.
    assert all(problem.message for problem in problems_of(folder))
