"""STARTRAC's indices of one patient's clones: expansion, migration between tissues, transition between subsets.

References
----------
Zhang L. 2018, doi:10.1038/s41586-018-0694-x (STARTRAC), in the form of its R package: entropies in bits, not divided by
their maximum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def count_places(clone: Integers, place: Integers, places: int) -> Integers:
    """Count the cells of each clone in each place.

    Parameters
    ----------
    clone, place
        (cells,) codes from 0.
    places
        Number of places.

    Returns
    -------
    numpy.ndarray
        (clones, places), clones up to the largest code.
    """
    clones = int(clone.max()) + 1 if len(clone) else 0
    return np.bincount(clone * places + place, minlength=clones * places).reshape(clones, places)


def entropy(counts: Integers) -> Floats:
    """Return the Shannon entropy of each row.

    Parameters
    ----------
    counts
        (rows, places).

    Returns
    -------
    numpy.ndarray
        (rows,) in bits; 0 for an empty row.
    """
    totals = counts.sum(axis=1)
    return np.asarray((_weigh(totals) - _weigh(counts).sum(axis=1)) / np.maximum(totals, 1))


def expansion(counts: Integers) -> Floats:
    """Return 1 less the entropy of clone sizes over its maximum.

    Parameters
    ----------
    counts
        (rows, clones) cells; zeros are ignored.

    Returns
    -------
    numpy.ndarray
        (rows,) 0 where all clones are equal, near 1 where one holds nearly all; NaN for fewer than two clones.
    """
    present = (counts > 0).sum(axis=1)
    evenness = entropy(counts) / np.log2(np.maximum(present, 2))
    return np.where(present > 1, np.maximum(1 - evenness, 0.0), np.nan)


def mean_entropy(counts: Integers, spread: Floats) -> Floats:
    """Average the entropies of clones over the cells of each subset.

    Parameters
    ----------
    counts
        (clones, subsets) cells.
    spread
        (clones,) entropy of each clone over subsets (transition) or over tissues (migration).

    Returns
    -------
    numpy.ndarray
        (subsets,) in bits; NaN for a subset without cells.
    """
    totals = counts.sum(axis=0)
    return np.where(totals > 0, spread @ counts / np.maximum(totals, 1), np.nan)


def pairwise(counts: Integers) -> Floats:
    """Return the index of each pair of places, from the cells in these two alone.

    Parameters
    ----------
    counts
        (clones, places) cells.

    Returns
    -------
    numpy.ndarray
        (pairs,) in bits, pairs as `itertools.combinations` has them: the mean over the cells of both places of the
        entropy of their clone over the two; NaN for a pair without cells.
    """
    first, second = np.triu_indices(counts.shape[1], k=1)
    # Only clones in two places at least have an entropy.
    several = counts[(counts > 0).sum(axis=1) > 1]
    own = _weigh(several)
    bits = (_weigh(several[:, first] + several[:, second]) - own[:, first] - own[:, second]).sum(axis=0)
    cells = counts.sum(axis=0)[first] + counts.sum(axis=0)[second]
    return np.where(cells > 0, bits / np.maximum(cells, 1), np.nan)


def _weigh(counts: Integers) -> Floats:
    """Return n log2 n, 0 for 0."""
    return np.asarray(counts * np.log2(np.maximum(counts, 1)), dtype=np.float64)
