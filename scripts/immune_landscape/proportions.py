"""Shares of patients with exact intervals, and their difference between two groups."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betaincinv

from immune_landscape.survival import Interval


def exact_share(count: int, total: int, level: float) -> Interval:
    """Return a share with the interval of Clopper and Pearson.

    Parameters
    ----------
    count, total
        Patients counted, and all.
    level
        Confidence level.

    Returns
    -------
    Interval
        All NaN without patients.

    References
    ----------
    Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404
    """
    if not total:
        return Interval(math.nan, math.nan, math.nan)
    tail = (1 - level) / 2
    low = betaincinv(count, total - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return Interval(count / total, float(low), float(high))


def upper_bound(count: int, total: int, level: float) -> float:
    """Return the exact one-sided upper bound of a share; 1 when all were counted, NaN without patients."""
    if not total:
        return math.nan
    return 1.0 if count == total else float(betaincinv(count + 1, total - count, level))


def share_difference(counts: tuple[int, int], totals: tuple[int, int], level: float) -> Interval:
    """Return the difference of two shares with the interval of Newcombe, first less second.

    Parameters
    ----------
    counts, totals
        Patients counted, and all, of the two groups.
    level
        Confidence level.

    Returns
    -------
    Interval
        All NaN when a group has no patient.

    References
    ----------
    Newcombe (1998), method 10,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    if not all(totals):
        return Interval(math.nan, math.nan, math.nan)
    low, high = confint_proportions_2indep(
        counts[0], totals[0], counts[1], totals[1], method="newcomb", compare="diff", alpha=1 - level
    )
    return Interval(counts[0] / totals[0] - counts[1] / totals[1], float(low), float(high))


def difference_p(counts: tuple[int, int], totals: tuple[int, int]) -> float:
    """Return the two-sided p of Fisher's exact test of two shares; NaN when a group has no patient."""
    from scipy.stats import fisher_exact

    if not all(totals):
        return math.nan
    table = np.array([counts, np.subtract(totals, counts)])
    return float(fisher_exact(table).pvalue)
