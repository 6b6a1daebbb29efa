"""Times to an event with censoring: survival curve, median, survival at a time, restricted mean, log-rank test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

TIE_TOLERANCE = 1e-9
"""Survival this close to one half counts as one half: products of fractions are not exact."""


class Curve(NamedTuple):
    """A Kaplan-Meier curve at the times of events.

    Attributes
    ----------
    times
        (events,) distinct times at which an event happened, rising.
    survival
        (events,) probability of being free of the event just after each time.
    variance
        (events,) sum of d / (n (n - d)) up to each time (Greenwood); infinite once nobody is left.
    """

    times: np.ndarray
    survival: np.ndarray
    variance: np.ndarray


class Interval(NamedTuple):
    """An estimate with its interval.

    Attributes
    ----------
    estimate, low, high
        NaN where it cannot be told.
    """

    estimate: float
    low: float
    high: float


class RestrictedMean(NamedTuple):
    """Mean time free of the event within a window.

    Attributes
    ----------
    time
        Area under the curve up to the end of the window; NaN where the curve is not known so far.
    error
        Its standard error.
    """

    time: float
    error: float


class Median(NamedTuple):
    """A median time with its interval.

    Attributes
    ----------
    time
        Median; infinite where the curve does not fall to one half.
    low
        Lower bound; NaN where too few events are seen to give one.
    high
        Upper bound; infinite where there is none.
    """

    time: float
    low: float
    high: float


def kaplan_meier(times: np.ndarray, events: np.ndarray, starts: np.ndarray | None = None) -> Curve:
    """Estimate the probability of being free of an event over time.

    Parameters
    ----------
    times
        (patients,) times to event or censoring, complete.
    events
        (patients,) true for an event. A patient censored at the time of an event counts as at risk.
    starts
        (patients,) times after which each is followed; None for the beginning.

    Returns
    -------
    Curve
        Empty without events.
    """
    times, events = np.asarray(times, dtype=float), np.asarray(events, dtype=bool)
    moments, died = np.unique(times[events], return_counts=True)
    followed = times[:, None] >= moments
    if starts is not None:
        followed &= np.asarray(starts, dtype=float)[:, None] < moments
    at_risk = followed.sum(axis=0)
    left = at_risk - died
    survival = np.cumprod(left / at_risk)
    steps = np.full(len(moments), np.inf)
    np.divide(died, at_risk * left, out=steps, where=left > 0)
    return Curve(moments, survival, np.cumsum(steps))


def median_time(curve: Curve, level: float) -> Median:
    """Return the median of a survival curve with the interval of Brookmeyer and Crowley on the log-log scale.

    Parameters
    ----------
    curve
        As from `kaplan_meier`.
    level
        Confidence level.

    Returns
    -------
    Median
        The time at which survival falls to one half; where it stays at one half for a while, the middle of that while,
        as SAS and R have it. The interval holds the times at which the log-log test does not reject one half.

    References
    ----------
    Brookmeyer and Crowley (1982), https://doi.org/10.2307/2530286
    """
    reach = float(ndtri(0.5 + level / 2))
    inner = (curve.survival > TIE_TOLERANCE) & (curve.survival < 1)
    low, high = curve.survival.copy(), curve.survival.copy()
    # At a survival of zero the scale has no spread: the lower curve is there, and the upper one is not known.
    high[curve.survival <= TIE_TOLERANCE] = 1.0
    logs = np.log(curve.survival[inner])
    spread = reach * np.sqrt(curve.variance[inner]) / np.abs(logs)
    low[inner], high[inner] = np.exp(logs * np.exp(spread)), np.exp(logs * np.exp(-spread))
    middle, first, last = (_time_at_half(curve.times, height) for height in (curve.survival, low, high))
    return Median(middle, first if math.isfinite(first) else math.nan, last)


def curve_bounds(curve: Curve, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pointwise bounds of a survival curve on the log-log scale.

    Parameters
    ----------
    curve
        As from `kaplan_meier`.
    level
        Confidence level.

    Returns
    -------
    low, high : numpy.ndarray
        (events,) NaN where survival is zero, at which the scale has no spread.
    """
    inner = (curve.survival > TIE_TOLERANCE) & (curve.survival < 1)
    logs = np.log(curve.survival[inner])
    spread = float(ndtri(0.5 + level / 2)) * np.sqrt(curve.variance[inner]) / np.abs(logs)
    low, high = (np.full(len(curve.survival), np.nan) for _ in range(2))
    low[inner], high[inner] = np.exp(logs * np.exp(spread)), np.exp(logs * np.exp(-spread))
    return low, high


def survival_at(times: np.ndarray, events: np.ndarray, moment: float, level: float) -> Interval:
    """Estimate the probability of being free of an event at a time.

    Parameters
    ----------
    times, events
        As for `kaplan_meier`.
    moment
        Time, in the unit of `times`.
    level
        Confidence level.

    Returns
    -------
    Interval
        Survival with its log-log interval; all NaN when nobody was followed so long, bounds NaN where survival is 0
        or 1.
    """
    if not len(times) or moment > np.max(times):
        return Interval(math.nan, math.nan, math.nan)
    curve = kaplan_meier(times, events)
    before = int(np.searchsorted(curve.times, moment, side="right"))
    if before == 0:
        return Interval(1.0, math.nan, math.nan)
    low, high = curve_bounds(curve, level)
    return Interval(float(curve.survival[before - 1]), float(low[before - 1]), float(high[before - 1]))


def curve_table(times: np.ndarray, events: np.ndarray, level: float) -> pd.DataFrame:
    """Tabulate a survival curve, from time 0 over every time at which somebody left.

    Parameters
    ----------
    times, events
        As for `kaplan_meier`.
    level
        Confidence level.

    Returns
    -------
    pandas.DataFrame
        time, at_risk (just before), events, censored (at that time), survival (just after), low, high.
    """
    times, events = np.asarray(times, dtype=float), np.asarray(events, dtype=bool)
    curve = kaplan_meier(times, events)
    moments = np.unique([0.0, *times])
    low, high = curve_bounds(curve, level)
    at = np.searchsorted(curve.times, moments, side="right")
    steps = {"survival": (1.0, curve.survival), "low": (np.nan, low), "high": (np.nan, high)}
    table = {
        "time": moments,
        "at_risk": count_at_risk(times, moments),
        "events": [int((events & (times == moment)).sum()) for moment in moments],
        "censored": [int((~events & (times == moment)).sum()) for moment in moments],
    }
    return pd.DataFrame(table | {name: np.r_[first, rest][at] for name, (first, rest) in steps.items()})


def count_at_risk(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return how many patients are still followed, free of the event, just before each of some times."""
    return (np.asarray(times, dtype=float)[:, None] >= np.asarray(moments, dtype=float)).sum(axis=0)


def restricted_mean(times: np.ndarray, events: np.ndarray, window: float) -> RestrictedMean:
    """Estimate the mean time free of the event within a window.

    Parameters
    ----------
    times, events
        As for `kaplan_meier`.
    window
        End of the window, in the unit of `times`.

    Returns
    -------
    RestrictedMean
        NaN when nobody was followed so long and the curve had not come down to zero.

    References
    ----------
    Royston and Parmar (2013), https://doi.org/10.1186/1471-2288-13-152
    """
    curve = kaplan_meier(times, events)
    ends_at_zero = bool(len(curve.survival)) and curve.survival[-1] <= TIE_TOLERANCE
    if not len(times) or (window > np.max(times) and not ends_at_zero):
        return RestrictedMean(math.nan, math.nan)
    inside = curve.times < window
    moments, survival = curve.times[inside], curve.survival[inside]
    widths = np.diff(np.r_[0.0, moments, window])
    areas = np.r_[1.0, survival] * widths
    left = np.cumsum(areas[::-1])[::-1][1:]
    steps = np.diff(np.r_[0.0, curve.variance[inside]])
    # Nothing is left of the area where survival ends at zero: its infinite step adds nothing.
    known = np.isfinite(steps)
    return RestrictedMean(float(areas.sum()), float(np.sqrt((left[known] ** 2 * steps[known]).sum())))


def log_rank(
    times: np.ndarray, events: np.ndarray, groups: np.ndarray, strata: np.ndarray | None = None
) -> tuple[float, float]:
    """Test whether groups have the same hazard, within strata if there are any.

    Parameters
    ----------
    times, events
        As for `kaplan_meier`.
    groups
        (patients,) group of each patient.
    strata
        (patients,) stratum of each patient.

    Returns
    -------
    statistic, p : float
        Chi-square statistic with one degree of freedom less than groups; NaN when there is but one group or no event.
    """
    from statsmodels.duration.survfunc import survdiff

    groups = np.asarray(groups)
    if len(np.unique(groups)) < 2 or not np.any(events):
        return math.nan, math.nan
    codes = None if strata is None else np.unique(strata, return_inverse=True)[1]
    statistic, p = survdiff(
        np.asarray(times, dtype=float),
        np.asarray(events, dtype=int),
        np.unique(groups, return_inverse=True)[1],
        strata=codes,
    )
    return float(np.squeeze(statistic)), float(np.squeeze(p))


def _time_at_half(times: np.ndarray, height: np.ndarray) -> float:
    """Return when a falling curve reaches one half; infinity when it does not."""
    reached = np.flatnonzero(height <= 0.5 + TIE_TOLERANCE)
    if not len(reached):
        return math.inf
    first = int(reached[0])
    stays = abs(height[first] - 0.5) <= TIE_TOLERANCE and first + 1 < len(times)
    return float((times[first] + times[first + 1]) / 2 if stays else times[first])
