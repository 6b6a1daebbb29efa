"""Effects shrunken by what the effects of all features have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NULL_PSEUDO_COUNT = 10.0
"""Features that count as without effect before any is seen (ash's default prior)."""

GRID_STEP = np.sqrt(2.0)
ROUNDS = 1000
CLOSE = 1e-4
"""Change of the mixture's weights below which it counts as fitted."""

LARGEST_Z = 37.0
"""Beyond it the tail of the normal distribution is zero in double precision."""


def shrink_effects(effects: Floats, p: Floats) -> Floats:
    """Shrink effects towards zero by adaptive shrinkage, for ranking.

    Parameters
    ----------
    effects
        (features,) estimates.
    p
        (features,) their two-sided p values, from which the standard errors are taken that a normal estimate would
        have, so that moderated t statistics keep their tails.

    Returns
    -------
    numpy.ndarray
        (features,) posterior means: never larger than the effect and never of the other sign.

    Notes
    -----
    The effects are taken as draws from a mixture of a point at zero and normal distributions of several widths around
    it, whose weights are fitted by expectation and maximisation.

    References
    ----------
    Stephens (2017), False discovery rates: a new deal, https://doi.org/10.1093/biostatistics/kxw041.
    """
    errors = normal_errors(effects, p)
    known = errors > 0
    if not known.any():
        return np.zeros_like(effects)
    widths = _grid(effects[known], errors[known])
    total = widths**2 + errors[known, None] ** 2
    logs = -0.5 * (np.log(total) + effects[known, None] ** 2 / total)
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = likelihood * _fit_weights(likelihood)
    weights /= weights.sum(axis=1, keepdims=True)
    shrunken = np.zeros_like(effects)
    shrunken[known] = (weights * (widths**2 / total)).sum(axis=1) * effects[known]
    return shrunken


def normal_errors(effects: Floats, p: Floats) -> Floats:
    """Return the standard errors with which a normal estimate would have these p values.

    Parameters
    ----------
    effects
        (features,) estimates.
    p
        (features,) two-sided p values.

    Returns
    -------
    numpy.ndarray
        (features,) zero where the effect is.
    """
    from scipy.special import ndtri

    with np.errstate(divide="ignore"):
        z = np.minimum(-ndtri(p / 2), LARGEST_Z)
    return np.divide(np.abs(effects), z, out=np.zeros_like(effects), where=z > 0)


def _grid(effects: Floats, errors: Floats) -> Floats:
    """Return standard deviations of the mixture, from none to beyond the largest effect."""
    smallest = errors.min() / 10
    excess = float((effects**2 - errors**2).max())
    largest = 2 * np.sqrt(excess) if excess > 0 else 8 * smallest
    steps = int(np.ceil(np.log(max(largest / smallest, 1.0)) / np.log(GRID_STEP)))
    return np.concatenate([[0.0], largest / GRID_STEP ** np.arange(steps, -1, -1)])


def _fit_weights(likelihood: Floats) -> Floats:
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    prior = np.zeros(likelihood.shape[1])
    prior[0] = NULL_PSEUDO_COUNT - 1
    for _ in range(ROUNDS):
        held = likelihood * weights
        counts = (held / held.sum(axis=1, keepdims=True)).sum(axis=0) + prior
        new = counts / counts.sum()
        done = np.abs(new - weights).max() < CLOSE
        weights = new
        if done:
            break
    return weights
