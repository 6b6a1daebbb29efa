"""Small cohort folders written on the spot, for tests of the cohort contract."""

from collections.abc import Sequence
from pathlib import Path

SOUND_YAML = """\
title: Two visits
visits: [baseline, on_treatment]
contrasts:
  - {name: response_change, estimand: response_by_visit, reference: baseline, target: on_treatment}
"""
PATIENT_COLUMNS = [
    "patient",
    "arm",
    "best_response",
    "evaluable",
    "pfs_time",
    "pfs_event",
    "os_time",
    "os_event",
    "cps",
]
SAMPLE_COLUMNS = ["sample", "patient", "visit", "day", "tissue", "batch", "gex"]


def tsv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join("\t".join(cells) + "\n" for cells in [columns, *rows])


def patient_rows(number: int) -> list[list[str]]:
    """Return sound rows of PATIENT_COLUMNS; every other patient responds."""
    return [[f"P{i:02d}", "a", "PR" if i % 2 else "SD", "yes", "3.5", "1", "9", "0", "5"] for i in range(1, number + 1)]


def sample_rows(number: int) -> list[list[str]]:
    """Return sound rows of SAMPLE_COLUMNS: two samples per patient."""
    visits = (("baseline", "0", "a"), ("on_treatment", "21", "b"))
    return [
        [f"P{i:02d}_{end}", f"P{i:02d}", visit, day, "blood", "run1", f"P{i:02d}_{end}.h5ad"]
        for i in range(1, number + 1)
        for visit, day, end in visits
    ]


def write_cohort(
    folder: Path,
    *,
    yaml: str = SOUND_YAML,
    patients: str | None = None,
    samples: str | None = None,
    number: int = 6,
) -> Path:
    """Write a cohort folder, sound unless told otherwise, with empty data files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sample_rows(number)
    folder.joinpath("cohort.yaml").write_text(yaml, encoding="utf-8")
    sound = tsv(PATIENT_COLUMNS, patient_rows(number))
    folder.joinpath("patients.tsv").write_text(sound if patients is None else patients, encoding="utf-8")
    sound = tsv(SAMPLE_COLUMNS, rows)
    folder.joinpath("samples.tsv").write_text(sound if samples is None else samples, encoding="utf-8")
    for row in rows:
        folder.joinpath(row[-1]).touch()
    return folder
