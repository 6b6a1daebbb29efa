"""Tumour assessments of simulated patients, drawn so that RECIST 1.1 derives the best response that each was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

BEST_CHANGE = {"CR": (-1.0, -1.0), "PR": (-0.7, -0.34), "SD": (-0.24, 0.1), "PD": (0.0, 0.05)}
"""Best response -> range of the lowest sum of diameters, relative to baseline."""

BASELINE_DAY = -10
DAYS_A_MONTH = 30.4375
REGROWTH = 1.3
"""Sum of diameters at progression over nadir, beside which some millimetres are added: 20 % and 5 mm are needed."""


def draw_assessments(
    patients: pd.DataFrame,
    *,
    every_days: int,
    most: int,
    sum_mm: float,
    new_lesion_share: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw the sums of diameters of every patient until progression.

    Parameters
    ----------
    patients
        One row per patient: patient, best_response, pfs_time (months), pfs_event, os_time, os_event.
    every_days
        Days between assessments.
    most
        Assessments under treatment at most.
    sum_mm
        Typical sum of diameters at baseline.
    new_lesion_share
        Share of progressions told by a new lesion rather than by growth.
    rng
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        Columns of ``assessments.tsv``; patients who cannot be evaluated have their baseline alone.
    """
    rows: list[dict[str, Any]] = []
    for patient in patients.to_dict("records"):
        baseline = float(np.round(sum_mm * np.exp(rng.normal(0, 0.4)), 1))
        rows.append(_row(patient["patient"], BASELINE_DAY, baseline, "non_CR_non_PD", False))
        if patient["best_response"] != "NE":
            new = bool(rng.random() < new_lesion_share)
            rows += _follow(patient, baseline, every_days, most, new, rng)
    return pd.DataFrame(rows)


def _follow(
    patient: dict[Any, Any], baseline: float, every: int, most: int, new: bool, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield the assessments under treatment: the lowest sum soon, kept until progression."""
    best = str(patient["best_response"])
    lowest = baseline * (1 + rng.uniform(*BEST_CHANGE[best]))
    last = round(patient["pfs_time"] * DAYS_A_MONTH)
    progressed = bool(patient["pfs_event"]) and not _died_then(patient)
    days = list(range(every, last, every))[:most] if best != "PD" else []
    if best != "PD" and not days:
        days = [max(last - 7, 1)]
    for at, day in enumerate(days):
        share = 1.0 if at else 0.9
        value = baseline + (lowest - baseline) * (share if best != "CR" else 1.0)
        non_target = "CR" if best == "CR" else "non_CR_non_PD"
        yield _row(patient["patient"], day, value, non_target, False)
    if progressed or best == "PD":
        grown = min(lowest, baseline) * (1.0 if new else REGROWTH) + (0.0 if new else 8.0)
        yield _row(patient["patient"], max(last, 1), grown, "non_CR_non_PD", new)


def _died_then(patient: dict[Any, Any]) -> bool:
    """Return whether death, not progression, ended the progression-free time."""
    return bool(patient["os_event"]) and patient["os_time"] <= patient["pfs_time"]


def _row(patient: str, day: int, value: float, non_target: str, new: bool) -> dict[str, Any]:
    return {
        "patient": patient,
        "day": day,
        "target_sum": round(float(value), 1),
        "non_target": non_target,
        "new_lesion": "yes" if new else "no",
    }
