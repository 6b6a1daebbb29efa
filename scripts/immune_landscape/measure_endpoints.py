"""Measure the clinical endpoints: response rates and median times, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from immune_landscape.survival import kaplan_meier, median_time

COLUMNS = ["endpoint", "population", "arm", "n", "events", "estimate", "low", "high", "unit", "method"]
COUNTED = {"orr": ("CR", "PR"), "dcr": ("CR", "PR", "SD")}
"""Rate -> best responses (RECIST 1.1) that count for it."""

ASSESSED = ("CR", "PR", "SD", "PD")
TIMES = ("pfs", "os")
EVERYBODY = "all"
NOT_GIVEN = "not given"


def measure_endpoints(patients: pd.DataFrame, study: Mapping[str, Any], *, level: float) -> pd.DataFrame:
    """Measure response rates and median times of a cohort, of evaluable and of all patients, by arm and overall.

    Parameters
    ----------
    patients
        One row per patient, whether or not there is a sample: ``patient``, and where known ``arm``, ``best_response``,
        ``evaluable``, ``pfs_time``, ``pfs_event``, ``os_time``, ``os_event``. Masked columns are empty.
    study
        Facts of the cohort: ``time_unit``.
    level
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row per endpoint (``orr``, ``dcr``, ``pfs``, ``os``), population (``evaluable``,
        ``all_treated``) and arm (``all``, and each arm when there are several). ``n`` counts patients who enter,
        ``events`` those with the response or the event. Rates are shares; times are in the unit of the cohort and
        infinite where the curve does not reach one half. Where the sheets do not tell, numbers are missing and
        ``method`` is ``not given``.

    Notes
    -----
    Evaluable are patients with an assessed best response who are not marked as not evaluable. All treated are all
    patients of the sheet, those without a sample included, and those without an assessed response counting as failures
    (intention to treat). Rates have Clopper-Pearson intervals, medians are those of Kaplan-Meier curves with intervals
    of Brookmeyer and Crowley on the log-log scale; patients without a time or an event flag do not enter a curve.

    References
    ----------
    Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404
    """
    response = _texts(patients, "best_response")
    evaluable = response.isin(ASSESSED) & (_texts(patients, "evaluable") != "no")
    populations = {"evaluable": evaluable, "all_treated": pd.Series(True, index=patients.index)}
    rows = []
    for arm, in_arm in _arms(patients):
        for population, inside in populations.items():
            facts = {"population": population, "arm": arm}
            chosen = patients[inside & in_arm]
            rows += [facts | rate for rate in _rates(response[chosen.index], level, given=bool(evaluable.any()))]
            rows += [facts | time for time in _medians(chosen, level, study["time_unit"])]
    table = pd.DataFrame(rows, columns=COLUMNS)
    ranks = {name: at for at, name in enumerate((*COUNTED, *TIMES))}
    return table.sort_values("endpoint", key=lambda names: names.map(ranks), kind="stable", ignore_index=True)


def _texts(patients: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as text, empty where missing or absent."""
    if column not in patients:
        return pd.Series("", index=patients.index, dtype=object)
    return patients[column].astype(object).where(patients[column].notna(), "").astype(str)


def _arms(patients: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Give all patients, then those of each arm when there are several."""
    arms = _texts(patients, "arm")
    yield EVERYBODY, pd.Series(True, index=patients.index)
    names = sorted(set(arms) - {""})
    if len(names) > 1:
        for name in names:
            yield name, arms == name


def _rates(response: pd.Series, level: float, *, given: bool) -> Iterator[dict[str, Any]]:
    for endpoint, counted in COUNTED.items():
        row = {"endpoint": endpoint, "unit": "share", "n": len(response)}
        if not given or response.empty:
            yield row | {"n": 0, "method": NOT_GIVEN}
            continue
        events = int(response.isin(counted).sum())
        interval = binomtest(events, len(response)).proportion_ci(level, method="exact")
        found = {"estimate": events / len(response), "low": interval.low, "high": interval.high}
        yield row | found | {"events": events, "method": "Clopper-Pearson"}


def _medians(patients: pd.DataFrame, level: float, unit: str) -> Iterator[dict[str, Any]]:
    for endpoint in TIMES:
        times, events = (_numbers(patients, f"{endpoint}_{part}") for part in ("time", "event"))
        known = ~np.isnan(times) & ~np.isnan(events)
        row = {"endpoint": endpoint, "unit": unit, "n": int(known.sum())}
        if not known.any():
            yield row | {"method": NOT_GIVEN}
            continue
        happened = events[known] == 1
        median = median_time(kaplan_meier(times[known], happened), level)
        found = {"estimate": median.time, "low": median.low, "high": median.high}
        yield row | found | {"events": int(happened.sum()), "method": "Kaplan-Meier, Brookmeyer-Crowley log-log"}


def _numbers(patients: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column as numbers, missing where absent."""
    if column not in patients:
        return np.full(len(patients), np.nan)
    return pd.to_numeric(patients[column], errors="coerce").to_numpy(dtype=float)
