"""Measure the clinical endpoints: response rates, and times to progression and death, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from immune_landscape.patient_outcomes import (
    COUNTED,
    TIMES,
    Times,
    common_window,
    followed_population,
    groupings,
    populations,
    texts_of,
    time_marks,
    times_of,
)
from immune_landscape.proportions import exact_share
from immune_landscape.survival import (
    count_at_risk,
    curve_table,
    kaplan_meier,
    median_time,
    restricted_mean,
    survival_at,
)

COLUMNS = ["endpoint", "population", "by", "group", "at", "n", "events", "estimate", "low", "high", "unit", "method"]
CURVE_COLUMNS = ["endpoint", "population", "by", "group", "time", "at_risk", "events", "censored", "survival"]
CURVE_COLUMNS += ["low", "high"]
RISK_COLUMNS = ["endpoint", "population", "by", "group", "time", "at_risk", "events"]
NOT_GIVEN = "not given"
STEPS = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 30, 60, 90, 120, 180, 365, 730)
"""Steps of the table of numbers at risk."""

MOST_STEPS = 8


def measure_endpoints(
    outcomes: pd.DataFrame, study: Mapping[str, Any], *, level: float, times: list[float], window: float | None
) -> dict[str, pd.DataFrame]:
    """Measure response rates and times of a cohort, of each population, overall and by arm, dose level and stratum.

    Parameters
    ----------
    outcomes
        One row per patient, whether or not there is a sample: ``patient``, and where known ``arm``, ``dose_level``,
        strata, ``best_response``, ``evaluable``, ``treated``, ``pfs_time``, ``pfs_event``, ``os_time``, ``os_event``.
    study
        Facts of the cohort: ``time_unit``, and where arms were randomised ``randomisation``.
    level
        Confidence level.
    times
        Times at which survival is told, in the unit of the cohort; empty for half a year and a year.
    window
        End of the window of restricted means; None for the largest time that every group was followed to.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``endpoints``: `COLUMNS`, one row per endpoint, population (see `patient_outcomes.populations`) and group.
        Endpoints are ``orr`` and ``dcr``; ``pfs`` and ``os``, medians that are infinite where the curve does not reach
        one half; ``pfs_rate`` and ``os_rate``, survival at the time ``at``; ``pfs_mean`` and ``os_mean``, means
        restricted to the window ``at``. ``n`` counts patients who enter, ``events`` those with the response or the
        event. Rates are shares, times in the unit of the cohort. Where the sheets do not tell, numbers are missing and
        ``method`` is ``not given``. ``curves``: `CURVE_COLUMNS`, one row per time at which somebody left, of all
        randomised or else all treated. ``at_risk``: `RISK_COLUMNS`, numbers at risk and events so far at round times.

    Notes
    -----
    Patients without an assessed response count as failures in every population but the evaluable. Rates have
    Clopper-Pearson intervals, medians those of Brookmeyer and Crowley on the log-log scale, survival log-log intervals;
    patients without a time or an event flag do not enter a curve.

    References
    ----------
    Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404
    """
    response = texts_of(outcomes, "best_response")
    inside = populations(outcomes, study)
    marks = time_marks(study, times)
    rows = []
    for by, group, members in groupings(outcomes, study):
        for population, belongs in inside.items():
            facts = {"population": population, "by": by, "group": group}
            chosen = outcomes[belongs & members]
            rates = _rates(response[chosen.index], level, given=bool(inside["evaluable"].any()))
            rows += [facts | row for row in rates]
            for endpoint in TIMES:
                end = _window(outcomes[belongs], by, endpoint, study, window)
                rows += [facts | row for row in _times(times_of(chosen, endpoint), endpoint, level, marks, end, study)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    ranks = {name: at for at, name in enumerate(dict.fromkeys([*COUNTED, *TIMES, *table["endpoint"]]))}
    table = table.sort_values("endpoint", key=lambda names: names.map(ranks), kind="stable", ignore_index=True)
    name = followed_population(study, inside)
    return {"endpoints": table} | _curves(outcomes[inside[name]], name, study, level)


def _rates(response: pd.Series, level: float, *, given: bool) -> Iterator[dict[str, Any]]:
    for endpoint, counted in COUNTED.items():
        row = {"endpoint": endpoint, "unit": "share", "n": len(response)}
        if not given or response.empty:
            yield row | {"n": 0, "method": NOT_GIVEN}
            continue
        events = int(response.isin(counted).sum())
        found = exact_share(events, len(response), level)
        yield row | found._asdict() | {"events": events, "method": "Clopper-Pearson"}


def _window(patients: pd.DataFrame, by: str, endpoint: str, study: Mapping[str, Any], window: float | None) -> float:
    """Return the end of the window of restricted means, the same for all groups of a column."""
    if window is not None:
        return float(window)
    groups = [members for column, _, members in groupings(patients, study) if column == by]
    return common_window([times_of(patients[members], endpoint) for members in groups])


def _times(
    found: Times, endpoint: str, level: float, marks: list[float], window: float, study: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    unit = study["time_unit"]
    row = {"endpoint": endpoint, "unit": unit, "n": len(found.times)}
    if not len(found.times):
        yield row | {"method": NOT_GIVEN}
        return
    row["events"] = int(found.events.sum())
    median = median_time(kaplan_meier(found.times, found.events), level)
    told = {"estimate": median.time, "low": median.low, "high": median.high}
    yield row | told | {"method": "Kaplan-Meier, Brookmeyer-Crowley log-log"}
    for mark in marks:
        share = survival_at(found.times, found.events, mark, level)._asdict()
        yield (
            row
            | share
            | {"endpoint": f"{endpoint}_rate", "at": mark, "unit": "share", "method": "Kaplan-Meier, log-log"}
        )
    mean = restricted_mean(found.times, found.events, window)
    reach = float(ndtri(0.5 + level / 2)) * mean.error
    told = {"estimate": mean.time, "low": max(mean.time - reach, 0), "high": mean.time + reach}
    yield row | told | {"endpoint": f"{endpoint}_mean", "at": window, "method": "Restricted mean"}


def _curves(patients: pd.DataFrame, population: str, study: Mapping[str, Any], level: float) -> dict[str, pd.DataFrame]:
    curves, risks = [], []
    for endpoint in TIMES:
        ticks = risk_ticks(times_of(patients, endpoint).times)
        for by, group, members in groupings(patients, study):
            found = times_of(patients[members], endpoint)
            if not len(found.times):
                continue
            facts = {"endpoint": endpoint, "population": population, "by": by, "group": group}
            curves.append(curve_table(found.times, found.events, level).assign(**facts))
            so_far = [int((found.events & (found.times <= tick)).sum()) for tick in ticks]
            counts = {"time": ticks, "at_risk": count_at_risk(found.times, ticks), "events": so_far}
            risks.append(pd.DataFrame(counts).assign(**facts))
    joined = [pd.concat(parts) if parts else pd.DataFrame() for parts in (curves, risks)]
    columns = (CURVE_COLUMNS, RISK_COLUMNS)
    tables = [part.reindex(columns=names).reset_index(drop=True) for part, names in zip(joined, columns, strict=True)]
    return dict(zip(("curves", "at_risk"), tables, strict=True))


def risk_ticks(times: np.ndarray) -> np.ndarray:
    """Return round times from zero to the longest, not more than nine.

    Parameters
    ----------
    times
        (patients,) times to event or censoring.

    Returns
    -------
    numpy.ndarray
        Multiples of one of `STEPS`, or for long times of a year's multiple.
    """
    end = float(np.max(times, initial=0.0))
    step = next((step for step in STEPS if end / step <= MOST_STEPS), None) or 365 * np.ceil(end / 365 / MOST_STEPS)
    return np.arange(0, np.floor(end / step) + 1) * step
