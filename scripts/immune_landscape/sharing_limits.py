"""How many clones two patients may share before one of them is suspected to hold cells or reads of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

ROUNDS = 20


@dataclass(frozen=True)
class SharingRule:
    """When two patients share more clones than unrelated people do.

    Attributes
    ----------
    min_shared
        Clones below which no pair is flagged.
    max_identity
        Largest chance that a clone of one patient is also a given clone of an unrelated one; 0 where people share none.
    chance
        Chance that any pair of a cohort without contamination is flagged.
    min_pairs
        Other pairs from which the sharing in the cohort is learnt.
    """

    min_shared: int
    max_identity: float
    chance: float
    min_pairs: int


def limit_sharing(pairs: pd.DataFrame, rule: SharingRule) -> pd.DataFrame:
    """Say what is expected of each pair of patients, and where the alarm begins.

    Parameters
    ----------
    pairs
        One row per pair of patients: clones_a, clones_b, shared.
    rule
        Bounds.

    Returns
    -------
    pandas.DataFrame
        ``expected`` and ``limit``, the largest number shared that raises no alarm; index as `pairs`.

    Notes
    -----
    Unrelated people share public clones, in proportion to the product of their numbers of clones. The rate and its
    spread between pairs (negative binomial) are those of the other pairs of the cohort, without those above a bound of
    their own: that of ``max_identity``, and later the limit itself. Without enough other pairs the expectation is that
    bound. No pair may share more than the bound allows, so that a cohort in which everything is mixed with everything
    does not pass for a cohort of alike patients.
    """
    from scipy.stats import poisson

    products = pairs["clones_a"].to_numpy(dtype=float) * pairs["clones_b"].to_numpy(dtype=float)
    shared = pairs["shared"].to_numpy(dtype=float)
    chance = rule.chance / max(len(pairs), 1)
    most = rule.max_identity * products
    bound = np.maximum(poisson.isf(chance, most), rule.min_shared - 1)
    expected, limit = most, bound
    clean = shared <= bound
    for _ in range(ROUNDS):
        rate, spread, others = _learn(shared, products, clean)
        known = others >= rule.min_pairs
        expected = np.where(known, np.minimum(rate * products, most), most)
        learnt = np.maximum(_quantile(chance, expected, spread), rule.min_shared - 1)
        limit = np.where(known, np.minimum(learnt, bound), bound)
        found = shared <= limit
        if (found == clean).all():
            break
        clean = found
    return pd.DataFrame({"expected": expected, "limit": limit.astype(int)}, index=pairs.index)


def _learn(shared: np.ndarray, products: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rate, spread and number of the other clean pairs, for each pair."""
    count = clean.sum() - clean
    of_clean, held = shared * clean, products * clean
    total, exposure = of_clean.sum() - of_clean, held.sum() - held
    # Half a clone keeps a cohort that shares none from being sure that its next pair cannot either.
    rate = np.divide(total + 0.5, exposure, out=np.zeros(len(shared)), where=exposure > 0)
    usual = rate * products
    excess = ((shared - usual) ** 2 - usual) * clean
    squares = usual**2 * clean
    above, below = excess.sum() - excess, squares.sum() - squares
    spread = np.divide(above, below, out=np.zeros(len(shared)), where=below > 0)
    return rate, np.clip(spread, 0, None), count


def _quantile(chance: float, expected: np.ndarray, spread: np.ndarray) -> np.ndarray:
    from scipy.stats import nbinom

    size = 1 / np.maximum(spread, 1e-6)
    return nbinom.isf(chance, size, size / (size + expected))
