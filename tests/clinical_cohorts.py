"""Cohorts of clinical tables alone, made up on the spot: a randomised trial, and a dose escalation."""

from pathlib import Path

import numpy as np
import pandas as pd
from cohort_folders import tsv

TRIAL_YAML = """\
title: Two arms (made up)
simulated: true
layers: []
visits: [baseline]
time_unit: months
extra_columns:
  patients:
    cps_group: {type: string, enum: [high, low]}
    site: {type: string}
randomisation:
  ratio: {rak: 1, control: 1}
  control: control
  strata: [cps_group]
  subgroups: [sex, site]
compare_outcomes: {by: [response], landmark: 3}
labels: {rak: TAS-102 + RAK, control: TAS-102, cps_group: CPS}
"""
ESCALATION_YAML = """\
title: Dose escalation (made up)
simulated: true
layers: []
visits: [baseline]
draw_safety: {by: dose_level}
"""
TERMS = {"Fever": 0.3, "Fatigue": 0.4, "Anaemia": 0.35, "Neutropenia": 0.3, "Rash": 0.1, "Infusion reaction": 0.12}
# Tan 2025, table 2: patients with treatment-related events of grade 1 or 2 in cohorts of 4, 6, 7 and 7.
PUBLISHED_EVENTS = {"Fever": (2, 0, 0, 2), "Fatigue": (0, 1, 0, 2), "Chill": (0, 0, 0, 2), "Rash": (0, 0, 0, 1)}
PUBLISHED_DOSES = {1: 4, 2: 6, 4: 7, 8: 7}


def write_sheet(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write a sheet; missing cells are empty."""
    cells = table.astype(object).where(table.notna(), "").astype(str)
    folder.joinpath(f"{name}.tsv").write_text(tsv(list(cells.columns), cells.to_numpy().tolist()), encoding="utf-8")


def write_trial(folder: Path, *, number: int = 60, yaml: str = TRIAL_YAML, seed: int = 5) -> Path:
    """Write a randomised trial with assessments and adverse events, without a sample."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    patients = made_patients(rng, number)
    folder.joinpath("cohort.yaml").write_text(yaml, encoding="utf-8")
    write_sheet(folder, "patients", patients)
    write_sheet(folder, "assessments", made_assessments(rng, patients))
    write_sheet(folder, "adverse_events", made_events(rng, patients["patient"]))
    return folder


def made_patients(rng: np.random.Generator, number: int) -> pd.DataFrame:
    arm = np.array(["rak", "control"])[np.arange(number) % 2]
    group = np.array(["high", "low"])[np.arange(number) // 2 % 2]
    scale = np.where(arm == "rak", 9.0, 6.0) * np.where(group == "high", 1.2, 1.0)
    death, end = rng.exponential(2 * scale), rng.uniform(8, 24, number)
    progression = np.minimum(rng.exponential(scale), death)
    return pd.DataFrame(
        {
            "patient": [f"P{at:02d}" for at in range(1, number + 1)],
            "arm": arm,
            "cps_group": group,
            "sex": rng.choice(["female", "male"], number),
            "site": rng.choice(["north", "south", "west"], number),
            "pfs_time": np.minimum(progression, end).round(2),
            "pfs_event": (progression <= end).astype(int),
            "os_time": np.minimum(death, end).round(2),
            "os_event": (death <= end).astype(int),
            "treatment_time": np.minimum(np.minimum(progression, end), 12).round(2),
        }
    )


def made_assessments(rng: np.random.Generator, patients: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for patient, end, last in patients[["patient", "pfs_time", "os_time"]].itertuples(index=False):
        start, slope = float(round(rng.uniform(30, 120))), rng.normal(-0.15, 0.25)
        rows.append((patient, -7, start, "non_CR_non_PD", "no"))
        total = start
        for day in range(56, 400, 56):
            if day / 30.4 > min(end + 1, last):
                break
            total = float(np.round(max(total * (1 + slope + rng.normal(0, 0.06)), 0), 1))
            slope += 0.12
            rows.append((patient, day, total, "non_CR_non_PD", "yes" if rng.random() < 0.04 else "no"))
    return pd.DataFrame(rows, columns=["patient", "day", "target_sum", "non_target", "new_lesion"])


def made_events(rng: np.random.Generator, patients: pd.Series) -> pd.DataFrame:
    rows = []
    for patient in patients:
        for term, chance in TERMS.items():
            for day in np.flatnonzero(rng.random(2) < chance):
                grade = int(rng.choice([1, 2, 3, 4], p=[0.5, 0.3, 0.15, 0.05]))
                kind = "Blood" if term in ("Anaemia", "Neutropenia") else "General"
                rows.append((patient, term, grade, rng.choice(["yes", "no", "unknown"]), 10 * int(day) + 5, kind))
    return pd.DataFrame(rows, columns=["patient", "term", "grade", "related", "day_start", "category"])


def escalation_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the patients and adverse events of the published escalation: sizes and counts, no single patient of it."""
    rows, events = [], []
    for place, (dose, size) in enumerate(PUBLISHED_DOSES.items()):
        own = [f"D{dose}_{at}" for at in range(1, size + 1)]
        rows += [(patient, "nk", dose, "yes", "no") for patient in own]
        for term, counts in PUBLISHED_EVENTS.items():
            events += [(patient, term, 1 + place % 2, "yes") for patient in own[: counts[place]]]
    patients = pd.DataFrame(rows, columns=["patient", "arm", "dose_level", "dlt_evaluable", "dlt"])
    return patients, pd.DataFrame(events, columns=["patient", "term", "grade", "related"])


def write_escalation(folder: Path) -> Path:
    """Write the published escalation as a cohort of clinical tables alone."""
    folder.mkdir(parents=True, exist_ok=True)
    patients, events = escalation_tables()
    folder.joinpath("cohort.yaml").write_text(ESCALATION_YAML, encoding="utf-8")
    write_sheet(folder, "patients", patients)
    write_sheet(folder, "adverse_events", events)
    return folder
