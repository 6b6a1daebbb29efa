"""How complete a repertoire was sampled, and the depth at which several are equally complete."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln


def coverage_of(counts: np.ndarray) -> float:
    """Estimate the share of the templates in the blood whose clonotypes were seen.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype, whole numbers; zeros are ignored.

    Returns
    -------
    float
        0 to 1; NaN for an empty repertoire.

    References
    ----------
    Chao & Jost 2012, doi:10.1890/11-1952.1, equation 4a; without a clonotype seen twice, as iNEXT, by the expected
    number of those.
    """
    sizes = np.asarray(counts, dtype=np.int64)
    total, once, twice = int(sizes.sum()), int((sizes == 1).sum()), int((sizes == 2).sum())
    if total == 0:
        return np.nan
    if once == 0:
        return 1.0
    if total == 1:
        return 0.0
    unseen = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    unseen *= (total - 1) / total
    weight = total * unseen / (total * unseen + once)
    return float(1 - once / total * weight)


def coverage_at(counts: np.ndarray, depth: int) -> float:
    """Return the coverage that is expected of a smaller sample.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype.
    depth
        Templates drawn without replacement, fewer than there are.

    Returns
    -------
    float
        0 to 1.

    References
    ----------
    Chao & Jost 2012, doi:10.1890/11-1952.1, equation 4b.
    """
    clones = np.bincount(np.asarray(counts, dtype=np.int64), minlength=1)
    sizes = np.flatnonzero(clones)
    sizes = sizes[sizes > 0]
    total = int(sizes @ clones[sizes])
    # No template of a clonotype of this size among `depth`, given that another one of it was left out.
    room = total - sizes - depth
    fits = room >= 0
    missed = np.zeros(len(sizes))
    x, left = sizes[fits], room[fits]
    logs = gammaln(total - x + 1) - gammaln(left + 1) - gammaln(total) + gammaln(total - depth)
    missed[fits] = x / total * np.exp(logs)
    return float(1 - (clones[sizes] * missed).sum())


def depth_for(counts: np.ndarray, coverage: float) -> int:
    """Find the depth at which a repertoire is expected to be as complete as wanted.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype.
    coverage
        Wanted, at most that of the whole sample.

    Returns
    -------
    int
        Fewest templates that reach it; all of them where a smaller sample does not.
    """
    low, high = 1, int(np.asarray(counts).sum())
    while low < high:
        middle = (low + high) // 2
        if coverage_at(counts, middle) >= coverage:
            high = middle
        else:
            low = middle + 1
    return low
