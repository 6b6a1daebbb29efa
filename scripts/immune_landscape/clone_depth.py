"""Chances of a cell's clone at a smaller depth, without drawing it."""

from __future__ import annotations

import numpy as np


def chance_of_size(sizes: np.ndarray, total: int, depth: int, above: float, upto: float) -> np.ndarray:
    """Return the chance that a cell's clone falls into a range of sizes, given that the cell is drawn.

    Parameters
    ----------
    sizes
        (cells,) size of the clone of each cell, itself counted.
    total
        Cells that are drawn from.
    depth
        Cells drawn without replacement, at most `total`.
    above, upto
        Range of sizes among the cells drawn: above < size <= upto. Need not be whole.

    Returns
    -------
    numpy.ndarray
        (cells,). The mean over the cells of a subset is the share of its cells drawn that is expected to fall into the
        range: each cell is drawn with one and the same chance.

    Notes
    -----
    The other cells of the clone that are drawn follow a hypergeometric distribution.
    """
    from scipy.stats import hypergeom

    distinct, place = np.unique(np.asarray(sizes, dtype=np.int64), return_inverse=True)
    # Bounds are shares times a depth; rounding must not carry a whole number below itself.
    low, high = (np.floor(round(bound, 9)) - 1 for bound in (above, upto))
    others = hypergeom(total - 1, distinct - 1, depth - 1)
    chance = others.cdf(high) - others.cdf(low)
    return np.asarray(np.clip(chance, 0.0, 1.0)[place.ravel()])
