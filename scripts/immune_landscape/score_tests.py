"""Whether a marker goes with the hazard: Cox's score test, by exchanging the markers of patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from immune_landscape.labelings import Booleans, Floats, ResidualPlan, stratum_codes
from immune_landscape.permutation import SPREAD_FLOOR, PermutationTest, Statistic, as_matrix, run_patterns


def permute_markers(
    values: Floats,
    times: Floats,
    events: Booleans,
    seed: int,
    *,
    strata: NDArray | None = None,
    max_exact: int,
    draws: int,
) -> PermutationTest:
    """Test whether markers go with the hazard of an event, by exchanging the markers of patients.

    Parameters
    ----------
    values
        (patients, features) one number per patient; NaN where a patient has none.
    times, events
        (patients,) times, and true for an event.
    seed
        Seed of the random permutations; unused when exact.
    strata
        (patients,) markers are exchanged, and risks compared, within equal values only.
    max_exact
        Enumerate every permutation up to this many, else draw.
    draws
        Random permutations when there are too many to enumerate.

    Returns
    -------
    PermutationTest
        `effect` is the score over its information, the first step of a Cox model towards its log hazard ratio per unit;
        `statistic` the score over its standard error. NaN for a feature without an event that tells patients apart.

    Notes
    -----
    Times and events stay together and markers move, so that the test is exact where a marker has to do with neither
    the event nor the censoring. Ties as Efron has them. The maximum over features, missing values and p values are as
    in `permutation.permute_labels`.
    """
    values, times, events = as_matrix(values), np.asarray(times, dtype=float), np.asarray(events, dtype=bool)
    blocks = stratum_codes(strata, len(times))

    def prepare(rows: Booleans, features: NDArray) -> Statistic | None:
        """Set up the test of features that share these patients; none where no event has a choice of patients."""
        weights = risk_weights(times[rows], events[rows], blocks[rows])
        if not ((weights > 0).sum(axis=1) > 1).any():
            return None
        outcome = np.stack([blocks[rows], times[rows], events[rows]], axis=1)
        alike = np.unique(outcome, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
        plan = ResidualPlan(np.zeros(int(rows.sum()), dtype=bool), alike, blocks[rows], seed, max_exact, draws)
        return _score_statistic(values[np.ix_(rows, features)], events[rows], weights, plan)

    return run_patterns(values, prepare)


def risk_weights(times: Floats, events: Booleans, blocks: NDArray) -> Floats:
    """Return the share of each patient in the risk at each event, without any marker.

    Parameters
    ----------
    times, events, blocks
        (patients,) times, true for an event, and codes of strata.

    Returns
    -------
    numpy.ndarray
        (events, patients) rows that add up to 1; of events at one time the first has all at risk and the others less of
        those with the event, as Efron's approximation has it.
    """
    at = np.flatnonzero(events)
    same = blocks[at][:, None] == blocks[None, :]
    tied = same & events[None, :] & (times[at][:, None] == times[None, :])
    before = np.tril(tied[:, at], -1).sum(axis=1) / np.maximum(tied.sum(axis=1), 1)
    weights = (same & (times[None, :] >= times[at][:, None])) - before[:, None] * tied
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _score_statistic(values: Floats, events: Booleans, weights: Floats, plan: ResidualPlan) -> Statistic:
    spread = values.std(axis=0)
    unit = np.where(spread > 0, spread, 1.0)
    scaled = (values - values.mean(axis=0)) / unit
    residuals = events - weights.sum(axis=0)

    def parts(orders: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return (permutations, features) scores and their information."""
        scores, information = (np.empty((len(orders), scaled.shape[1])) for _ in range(2))
        moved = np.empty(orders.shape)
        for at, column in enumerate(scaled.T):
            np.put_along_axis(moved, orders, np.broadcast_to(column, orders.shape), axis=1)
            scores[:, at] = moved @ residuals
            information[:, at] = ((moved**2) @ weights.T - (moved @ weights.T) ** 2).sum(axis=1)
        return scores, np.maximum(information, SPREAD_FLOOR**2)

    def compute(orders: NDArray[np.int64]) -> Floats:
        """Return the studentised scores, (permutations, features)."""
        scores, information = parts(orders)
        return np.asarray(scores / np.sqrt(information))

    scores, information = parts(plan.observed)
    return Statistic(plan, scores[0] / information[0] / unit, np.ones(len(unit)), compute)
