"""Times to an event with censoring: survival curve, and median with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

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


def kaplan_meier(times: np.ndarray, events: np.ndarray) -> Curve:
    """Estimate the probability of being free of an event over time.

    Parameters
    ----------
    times
        (patients,) times to event or censoring, complete.
    events
        (patients,) true for an event. A patient censored at the time of an event counts as at risk.

    Returns
    -------
    Curve
        Empty without events.
    """
    times, events = np.asarray(times, dtype=float), np.asarray(events, dtype=bool)
    moments, died = np.unique(times[events], return_counts=True)
    at_risk = (times[:, None] >= moments).sum(axis=0)
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
    reach = float(norm.ppf(0.5 + level / 2))
    inner = (curve.survival > TIE_TOLERANCE) & (curve.survival < 1)
    low, high = curve.survival.copy(), curve.survival.copy()
    # At a survival of zero the scale has no spread: the lower curve is there, and the upper one is not known.
    high[curve.survival <= TIE_TOLERANCE] = 1.0
    logs = np.log(curve.survival[inner])
    spread = reach * np.sqrt(curve.variance[inner]) / np.abs(logs)
    low[inner], high[inner] = np.exp(logs * np.exp(spread)), np.exp(logs * np.exp(-spread))
    middle, first, last = (_time_at_half(curve.times, height) for height in (curve.survival, low, high))
    return Median(middle, first if math.isfinite(first) else math.nan, last)


def _time_at_half(times: np.ndarray, height: np.ndarray) -> float:
    """Return when a falling curve reaches one half; infinity when it does not."""
    reached = np.flatnonzero(height <= 0.5 + TIE_TOLERANCE)
    if not len(reached):
        return math.inf
    first = int(reached[0])
    stays = abs(height[first] - 0.5) <= TIE_TOLERANCE and first + 1 < len(times)
    return float((times[first] + times[first + 1]) / 2 if stays else times[first])
