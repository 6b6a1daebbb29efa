"""Scores of gene sets against genes of like expression, and random sets to compare them with.

The score is that of `scanpy.tl.score_genes` with every gene of an expression bin as a control: mean of the set's genes
less mean of all other genes in the bins that the set occupies. Scanpy draws some of these controls at random; taking
all of them leaves nothing to chance. The score is linear in expression, so the mean score of some cells is the score of
their mean profile.

References
----------
Tirosh 2016, doi:10.1126/science.aad0501 (the score, with bins of expression).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def expression_bins(mean: Floats, n_bins: int) -> Integers:
    """Group genes by the rank of their mean expression, as `scanpy.tl.score_genes` does.

    Parameters
    ----------
    mean
        (genes,) mean expression.
    n_bins
        Number of bins.

    Returns
    -------
    numpy.ndarray
        (genes,) bin of each gene, from the lowest; equal means share a bin.
    """
    size = max(1, int(np.round(len(mean) / (n_bins - 1))))
    return np.asarray(pd.Series(mean).rank(method="min") // size, dtype=np.int64)


def score_sets(profiles: Floats, bins: Integers, sets: Integers) -> Floats:
    """Score gene sets that occupy the same bins in mean profiles, or in cells.

    Parameters
    ----------
    profiles
        (rows, genes) log-normalised expression, or means of it.
    bins
        (genes,) as `expression_bins` returns.
    sets
        (sets, size) columns of the genes of each set; the k-th genes of all sets share a bin.

    Returns
    -------
    numpy.ndarray
        (rows, sets) scores; NaN when the sets fill their bins and leave no control.
    """
    inside = np.isin(bins, bins[sets[0]])
    size, controls = sets.shape[1], int(inside.sum()) - sets.shape[1]
    if controls < 1:
        return np.full((len(profiles), len(sets)), np.nan)
    own = np.zeros((len(profiles), len(sets)))
    for column in sets.T:
        own += profiles[:, column]
    rest = profiles[:, inside].sum(axis=1, dtype=np.float64)[:, None] - own
    return own / size - rest / controls


def draw_sets(bins: Integers, genes: Integers, excluded: Integers, draws: int, seed: int) -> Integers | None:
    """Draw random gene sets of the size and the expression of a set.

    Parameters
    ----------
    bins
        (genes,) as `expression_bins` returns.
    genes
        Columns of the set.
    excluded
        Columns that are not drawn.
    draws
        Number of sets.
    seed
        Seed of the draws.

    Returns
    -------
    numpy.ndarray or None
        (draws, size) columns, the k-th of the bin of the set's k-th gene and none twice in a set; None when a bin has
        too few other genes.
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, len(genes)), dtype=np.int64)
    free = np.ones(len(bins), dtype=bool)
    free[excluded] = False
    for level in np.unique(bins[genes]):
        places = np.flatnonzero(bins[genes] == level)
        candidates = np.flatnonzero(free & (bins == level))
        if len(candidates) < len(places):
            return None
        order = rng.random((draws, len(candidates))).argsort(axis=1)[:, : len(places)]
        drawn[:, places] = candidates[order]
    return drawn
