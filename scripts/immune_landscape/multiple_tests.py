"""Correction of p values for their number."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p values for their number, stepping down from the smallest.

    Parameters
    ----------
    p
        (tests,) p values, complete.

    Returns
    -------
    numpy.ndarray
        (tests,) corrected p values, at most 1.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return corrected


def false_discovery_rates(p: np.ndarray) -> np.ndarray:
    """Return the false discovery rate at which each test would be the last found.

    As ``scipy.stats.false_discovery_control``, which takes longer to import than most rules work.

    Parameters
    ----------
    p
        (tests,) p values, complete.

    Returns
    -------
    numpy.ndarray
        (tests,) rates, at most 1.

    References
    ----------
    Benjamini and Hochberg (1995), https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")[::-1]
    rates = np.empty(len(values))
    rates[order] = np.minimum.accumulate(values[order] * len(values) / np.arange(len(values), 0, -1))
    return np.minimum(rates, 1.0)
