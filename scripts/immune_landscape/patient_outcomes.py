"""Who counts for which endpoint, and in which groups patients are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

TIMES = ("pfs", "os")
ASSESSED = ("CR", "PR", "SD", "PD")
COUNTED = {"orr": ("CR", "PR"), "dcr": ("CR", "PR", "SD")}
"""Rate -> best responses (RECIST 1.1) that count for it."""

EVERYBODY = "all"
DAYS = {"days": 1.0, "weeks": 7.0, "months": 30.4375}
"""Unit of time -> its days; a month is a twelfth of a year of 365.25 days."""


class Times(NamedTuple):
    """Times to an event of the patients of whom they are known.

    Attributes
    ----------
    patients
        (patients,) labels in the table of outcomes.
    times
        (patients,) time to event or censoring.
    events
        (patients,) true for an event.
    """

    patients: pd.Index
    times: np.ndarray
    events: np.ndarray


def texts_of(patients: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as text, empty where missing or absent; whole numbers without a decimal point."""
    if column not in patients:
        return pd.Series("", index=patients.index, dtype=object)
    cells = patients[column]
    if pd.api.types.is_numeric_dtype(cells):
        return pd.Series([f"{cell:g}" if cell == cell else "" for cell in cells], index=cells.index, dtype=object)
    return cells.astype(object).where(cells.notna(), "").astype(str)


def times_of(patients: pd.DataFrame, endpoint: str) -> Times:
    """Return the times of an endpoint.

    Parameters
    ----------
    patients
        Table of outcomes; ``<endpoint>_time`` and ``<endpoint>_event`` where known.
    endpoint
        ``pfs`` or ``os``.

    Returns
    -------
    Times
        Of the patients with both a time and a flag.
    """
    names = [f"{endpoint}_time", f"{endpoint}_event"]
    known = patients.reindex(columns=names).apply(pd.to_numeric, errors="coerce").dropna()
    return Times(known.index, known[names[0]].to_numpy(dtype=float), known[names[1]].to_numpy(dtype=float) == 1)


def populations(patients: pd.DataFrame, study: Mapping[str, Any]) -> dict[str, pd.Series]:
    """Return who belongs to each population.

    Parameters
    ----------
    patients
        Table of outcomes.
    study
        Facts of the cohort; ``randomisation``.

    Returns
    -------
    dict of str to pandas.Series
        ``evaluable``: with an assessed best response and not marked as not evaluable. ``all_treated``: not marked as
        not treated. ``intention_to_treat``: everybody, where arms were randomised or somebody was not treated, but for
        the patients of arms that were not randomised beside others that were.
    """
    evaluable = texts_of(patients, "best_response").isin(ASSESSED) & (texts_of(patients, "evaluable") != "no")
    treated = texts_of(patients, "treated") != "no"
    found = {"evaluable": evaluable, "all_treated": treated}
    if ratio_of(study) or not treated.all():
        found["intention_to_treat"] = ~texts_of(patients, "arm").isin(_apart(study))
    return found


def followed_population(study: Mapping[str, Any], found: Mapping[str, pd.Series]) -> str:
    """Return the population of which curves are drawn: all randomised where arms were, else all treated."""
    return "intention_to_treat" if ratio_of(study) and "intention_to_treat" in found else "all_treated"


def _apart(study: Mapping[str, Any]) -> list[str]:
    """Return the arms that were not randomised beside others that were."""
    return [arm for arm, part in ((study.get("randomisation") or {}).get("ratio") or {}).items() if not part]


def ratio_of(study: Mapping[str, Any]) -> dict[str, int]:
    """Return arm -> part of the patients; empty where arms were not randomised."""
    ratio = (study.get("randomisation") or {}).get("ratio") or {}
    return {arm: part for arm, part in ratio.items() if part}


def strata_of(study: Mapping[str, Any]) -> list[str]:
    """Return the columns by which randomisation was stratified."""
    return list((study.get("randomisation") or {}).get("strata") or [])


def groupings(patients: pd.DataFrame, study: Mapping[str, Any]) -> Iterator[tuple[str, str, pd.Series]]:
    """Give all patients, then those of each arm, dose level and stratum, where there are several.

    Parameters
    ----------
    patients
        Table of outcomes.
    study
        Facts of the cohort; ``randomisation``.

    Yields
    ------
    by, group : str
        Column and value; ``all`` twice for everybody.
    members : pandas.Series
        True for patients of the group.
    """
    yield EVERYBODY, EVERYBODY, pd.Series(True, index=patients.index)
    for column in dict.fromkeys(["arm", "dose_level", *strata_of(study)]):
        cells = texts_of(patients, column)
        names = ordered_values(patients, column)
        if len(names) > 1:
            for name in names:
                yield column, name, cells == name


def ordered_values(patients: pd.DataFrame, column: str) -> list[str]:
    """Return the distinct filled values of a column, numbers by size and words by name."""
    names = [name for name in dict.fromkeys(texts_of(patients, column)) if name]
    numeric = column in patients and pd.api.types.is_numeric_dtype(patients[column])
    return sorted(names, key=float) if numeric else sorted(names)


def stratum_of(patients: pd.DataFrame, columns: list[str]) -> np.ndarray | None:
    """Return the stratum of each patient over some columns; None without columns."""
    if not columns:
        return None
    return np.array([" | ".join(cells) for cells in zip(*(texts_of(patients, name) for name in columns), strict=True)])


def time_marks(study: Mapping[str, Any], times: list[float]) -> list[float]:
    """Return the times at which survival is told: those asked for, or half a year and a year."""
    return list(times) if times else [round(half * 365.25 / DAYS[study["time_unit"]]) for half in (0.5, 1.0)]


def common_window(groups: list[Times]) -> float:
    """Return the largest time that some patient of every group was followed to; NaN without patients."""
    ends = [float(found.times.max()) for found in groups if len(found.times)]
    return min(ends) if ends else float("nan")
