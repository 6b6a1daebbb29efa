"""One marker and one endpoint: hazard ratio per standard deviation, and between the sides of a cut-point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_outcomes import Rules, mean_difference
from immune_landscape.designs import covariate_matrix
from immune_landscape.hazards import COX, REACH, Fit, fit_firth, fit_hazards, proportionality

SMALLEST_SIDE = 3
"""Patients on each side of a cut-point below which the sides are not compared."""

SAME = 1e-9
"""Spread, as a share of a marker's size, below which it does not differ between patients."""

Row = dict[str, Any]


class Limits(NamedTuple):
    """What may be estimated from how many events; see the settings of `link_outcomes`."""

    rules: Rules
    events_per_coefficient: float
    min_events: int


class Followed(NamedTuple):
    """Patients, or whiles of patients, that are followed to an event.

    Attributes
    ----------
    patients
        (rows,) patient of each row.
    times, events
        (rows,) end of the row, and true for an event at it.
    starts
        (rows,) beginning of the row; None where all are followed from the same moment.
    strata
        (rows,) stratum of each row; None for one.
    """

    patients: np.ndarray
    times: np.ndarray
    events: np.ndarray
    starts: np.ndarray | None
    strata: np.ndarray | None

    def take(self, rows: np.ndarray) -> Followed:
        """Return some rows; `rows` is (rows,) of bool."""
        starts, strata = (part if part is None else part[rows] for part in (self.starts, self.strata))
        return Followed(self.patients[rows], self.times[rows], self.events[rows], starts, strata)


class Covariates(NamedTuple):
    """Columns that hazard ratios are adjusted for.

    Attributes
    ----------
    names
        The most important first.
    outcomes
        Table of patients that holds them.
    """

    names: Sequence[str]
    outcomes: pd.DataFrame


def link_marker(marker: np.ndarray, followed: Followed, covariates: Covariates, limits: Limits) -> Row:
    """Estimate the hazard ratio of one standard deviation of a marker.

    Parameters
    ----------
    marker
        (rows,) complete values.
    followed
        Who has them.
    covariates
        Asked for; those that the events do not allow are dropped and named.
    limits
        Level, and what events allow.

    Returns
    -------
    dict
        n, events, sd, hazard_ratio, low, high, p, p_proportional, covariates, no_covariate, method, note; without an
        estimate the note says why.
    """
    spread = float(np.std(marker, ddof=1)) if len(marker) > 1 else 0.0
    counts = _counted(followed) | {"sd": spread}
    size = float(np.abs(marker).max(initial=0.0))
    if reason := _why_not(followed, spread > SAME * size, limits):
        return counts | {"note": reason}
    return counts | _estimate((marker - marker.mean()) / spread, followed, covariates, limits)


def link_sides(above: np.ndarray, followed: Followed, covariates: Covariates, limits: Limits, unit: str) -> Row:
    """Compare the patients above a cut-point with the others.

    Parameters
    ----------
    above
        (patients,) true above the cut-point.
    followed, covariates, limits
        As for `link_marker`; all patients followed from the same moment.
    unit
        Unit of the times.

    Returns
    -------
    dict
        As from `link_marker`, without a standard deviation; and mean_difference, mean_low, mean_high, window: the
        difference of restricted means, not adjusted.
    """
    counts, smaller = _counted(followed), int(min(above.sum(), (~above).sum()))
    if reason := _why_not(followed, True, limits):
        return counts | {"note": reason}
    if smaller < SMALLEST_SIDE:
        return counts | {"note": f"fewer than {SMALLEST_SIDE} patients on a side of the cut-point"}
    found = mean_difference(followed.times, followed.events, above, limits.rules, unit)
    names = {"mean_difference": "estimate", "mean_low": "low", "mean_high": "high", "window": "at"}
    means = {name: found[key] for name, key in names.items()}
    return counts | _estimate(above.astype(float), followed, covariates, limits) | means


def _counted(followed: Followed) -> Row:
    return {"n": len(set(followed.patients)), "events": int(followed.events.sum())}


def _why_not(followed: Followed, differs: bool, limits: Limits) -> str:
    """Say why nothing can be estimated; empty when it can."""
    if not len(followed.times):
        return "no patient with a value is followed"
    if followed.events.sum() < limits.min_events:
        return f"fewer than {limits.min_events} events"
    return "" if differs else "no difference between patients"


def _estimate(marker: np.ndarray, followed: Followed, covariates: Covariates, limits: Limits) -> Row:
    """Fit the model of a marker in units that the ratio is told for."""
    coded, kept, note = _affordable(followed, covariates, limits)
    complete = ~np.isnan(coded).any(axis=1)
    inside, table = followed.take(complete), np.column_stack([marker[complete], coded[complete]])
    told: Row = {"covariates": ", ".join(kept), "no_covariate": len(set(followed.patients) - set(inside.patients))}
    told |= _counted(inside) if kept else {}
    if kept and (reason := _why_not(inside, len(np.unique(table[:, 0])) > 1, limits)):
        return told | {"note": "; ".join(filter(None, [note, f"among patients with all covariates: {reason}"]))}
    differs = _differ_within(table, inside.strata)
    if not differs[0]:
        return told | {"note": "; ".join(filter(None, [note, "no difference between patients of a stratum"]))}
    fit = _fit(inside, table[:, differs], limits.rules)
    low, ratio, high = (_exponent(part[0]) for part in (fit.low, fit.coefficients, fit.high))
    constant = math.nan
    if fit.method == COX and not kept:
        constant = proportionality(inside.times, inside.events, table[:, 0], inside.strata, inside.starts)
    numbers = {"hazard_ratio": ratio, "low": low, "high": high, "p": float(fit.p[0]), "p_proportional": constant}
    note = "; ".join(filter(None, [note, "" if math.isfinite(ratio) else "no event tells patients apart"]))
    return told | numbers | {"method": fit.method, "note": note}


def _differ_within(table: np.ndarray, strata: np.ndarray | None) -> np.ndarray:
    """Tell which columns differ within some stratum; the others leave a Cox model as it is, but singular."""
    codes = np.zeros(len(table), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    spreads = [np.ptp(table[codes == code], axis=0) for code in np.unique(codes)]
    return np.asarray(np.max(spreads, axis=0) > SAME * np.abs(table).max(axis=0))


def _exponent(value: float) -> float:
    return math.inf if value >= math.log(1e300) else math.exp(value)


def _fit(followed: Followed, table: np.ndarray, rules: Rules) -> Fit:
    """Fit a Cox model, by Firth's likelihood where events are few or the partial likelihood has no maximum."""
    parts = (followed.times, followed.events, table, rules.level)
    fit = fit_hazards(*parts, rules.firth_below, followed.strata, followed.starts)
    reach = REACH / 2 / np.maximum(table.std(axis=0), SAME)
    # A coefficient or error that is not a number is not below it either.
    if (np.maximum(np.abs(fit.coefficients), fit.errors) < reach).all():
        return fit
    return fit_firth(*parts, followed.strata, followed.starts)


def _affordable(followed: Followed, covariates: Covariates, limits: Limits) -> tuple[np.ndarray, list[str], str]:
    """Code the covariates that the events allow; return them, their names, and a note on the others."""
    room = int(followed.events.sum() // limits.events_per_coefficient) - 1
    columns: list[np.ndarray] = [np.empty((len(followed.times), 0))]
    kept, dropped = [], []
    for name in covariates.names:
        coded, complete = covariate_matrix(covariates.outcomes, followed.patients, [name])
        if coded.shape[1] > room:
            dropped.append(name)
            continue
        room -= coded.shape[1]
        kept.append(name)
        columns.append(np.where(complete[:, None], coded, np.nan))
    note = f"one coefficient per {limits.events_per_coefficient:g} events leaves no room for {', '.join(dropped)}"
    return np.column_stack(columns), kept, note if dropped else ""


def value_rows(
    samples: pd.DataFrame, times: Mapping[str, tuple[float, bool]], unit_days: float
) -> tuple[pd.DataFrame, set[str]]:
    """Cut the follow-up of each patient at the samples, the last value so far holding until the next.

    Parameters
    ----------
    samples
        ``patient, day, value``, complete; days from the start, before it at most one of which the last counts.
    times
        Patient -> time and whether there was an event.
    unit_days
        Days in a unit of the times.

    Returns
    -------
    rows : pandas.DataFrame
        ``patient, start, stop, event, value``. A patient is at risk from the first sample on.
    unused : set of str
        Patients without a sample before the end.
    """
    rows = []
    for patient, own in samples[samples["patient"].isin(list(times))].groupby("patient", sort=False):
        end, happened = times[str(patient)]
        starts = np.maximum(own["day"].to_numpy(dtype=float) / unit_days, 0.0)
        order = np.argsort(own["day"].to_numpy(dtype=float), kind="stable")
        starts, values = starts[order], own["value"].to_numpy(dtype=float)[order]
        stops = np.minimum(np.r_[starts[1:], end], end)
        used = stops > starts
        last = np.flatnonzero(used)[-1] if used.any() else -1
        for at in np.flatnonzero(used):
            rows.append((str(patient), starts[at], stops[at], happened and at == last, values[at]))
    table = pd.DataFrame(rows, columns=["patient", "start", "stop", "event", "value"])
    return table, set(times) - set(table["patient"])
