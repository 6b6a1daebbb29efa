"""Who is at risk at each event: what the likelihoods of Cox regression run over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Floats = np.ndarray


class Entries(NamedTuple):
    """Who had not yet come under observation at each event.

    Attributes
    ----------
    order
        (patients,) places of the patients, sorted by stratum, and in it from the latest start down.
    first, end
        (events,) range of that order that starts at the event or after it.
    """

    order: Floats
    first: Floats
    end: Floats


class RiskSets(NamedTuple):
    """Who was at risk at each event; patients are sorted by stratum, and in it from the longest time down.

    Where covariates change over time, a row is the while of a patient during which they stay the same.

    Attributes
    ----------
    covariates
        (patients, parameters), centred and scaled.
    scale
        (parameters,) standard deviation of each covariate as given.
    events
        (events,) place of each event among the patients.
    first, last
        (events,) place of the first patient of the stratum, and of the last one at risk.
    tie
        (events,) number of the set of events at the same time of the same stratum.
    fraction
        (events,) share of that set that Efron's approximation takes out of those at risk.
    entries
        Who came under observation later; None where everybody was from the start.
    """

    covariates: Floats
    scale: Floats
    events: Floats
    first: Floats
    last: Floats
    tie: Floats
    fraction: Floats
    entries: Entries | None = None


def risk_sets(
    times: Floats, events: Floats, covariates: Floats, strata: Floats | None = None, starts: Floats | None = None
) -> RiskSets:
    """Sort patients into the sets at risk at each event.

    Parameters
    ----------
    times, events
        (patients,) times, and true for an event.
    covariates
        (patients, parameters) or (patients,), none constant.
    strata
        (patients,) stratum of each patient, each with a baseline hazard of its own.
    starts
        (patients,) times after which each row is at risk, up to its time and with it; None for the beginning. A patient
        whose covariates change has several rows, each beginning where the one before ends.

    Returns
    -------
    RiskSets
        As `partial_likelihood` takes them.

    References
    ----------
    Andersen and Gill (1982), https://doi.org/10.1214/aos/1176345976
    """
    times, events = np.asarray(times, dtype=float), np.asarray(events, dtype=bool)
    table = np.asarray(covariates, dtype=float).reshape(len(times), -1)
    codes = np.zeros(len(times), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    order = np.lexsort((-times, codes))
    times, events, codes = times[order], events[order], codes[order]
    scale = table.std(axis=0)
    scale[scale == 0] = 1.0
    at = np.flatnonzero(events)
    pairs = np.stack([codes, -times])
    _, groups = np.unique(pairs, axis=1, return_inverse=True)
    ends = np.searchsorted(groups.ravel(), groups.ravel()[at], side="right") - 1
    _, tie, counts = np.unique(groups.ravel()[at], return_inverse=True, return_counts=True)
    place = np.arange(len(at)) - np.r_[0, np.cumsum(counts)[:-1]][tie]
    first = np.searchsorted(codes, codes[at])
    centred = (table[order] - table.mean(axis=0)) / scale
    entries = None if starts is None else _entries(np.asarray(starts, dtype=float)[order], codes, times[at], codes[at])
    return RiskSets(centred, scale, at, first, ends, tie, place / counts[tie], entries)


def _entries(starts: Floats, codes: Floats, moments: Floats, strata: Floats) -> Entries:
    """Find the rows that start at an event of their stratum or after it."""
    order = np.lexsort((-starts, codes))
    first = np.searchsorted(codes, strata)
    later = [int((starts[codes == code] >= moment).sum()) for code, moment in zip(strata, moments, strict=True)]
    return Entries(order, first, first + np.array(later, dtype=int))
