"""What is expected of a random subset of a repertoire, without drawing it."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln


def chance_seen(counts: np.ndarray, depth: int) -> np.ndarray:
    """Return the chance that a subset holds each clonotype.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype.
    depth
        Templates drawn without replacement, at most the sum of the counts.

    Returns
    -------
    numpy.ndarray
        (clonotypes,); the sum is the expected richness.

    References
    ----------
    Hurlbert 1971, doi:10.2307/1934145.
    """
    sizes, place = np.unique(np.asarray(counts, dtype=np.int64), return_inverse=True)
    total = int(np.asarray(counts).sum())
    left = total - sizes - depth
    fits = left >= 0
    missed = np.zeros(len(sizes))
    rest = total - sizes[fits]
    logs = gammaln(rest + 1) - gammaln(left[fits] + 1) - gammaln(total + 1) + gammaln(total - depth + 1)
    missed[fits] = np.exp(logs)
    return (1 - missed)[place.ravel()]


def expected_overlap(
    counts_a: np.ndarray, counts_b: np.ndarray, shared_a: np.ndarray, shared_b: np.ndarray, depth: int
) -> dict[str, float]:
    """Compare two repertoires at one depth.

    Parameters
    ----------
    counts_a, counts_b
        (clonotypes,) templates of all clonotypes of each repertoire.
    shared_a, shared_b
        (shared,) places of the clonotypes that both hold, in one order.
    depth
        Templates drawn from each, without replacement.

    Returns
    -------
    dict
        ``shared``: clonotypes expected in both subsets. ``jaccard``: those over the ones expected in either.
        ``overlap_coefficient``: those over the ones expected in the poorer one. ``morisita_horn``: of expected products
        and squares of the frequencies in the subsets.

    Notes
    -----
    Ratios are those of expectations, which differ from the mean over draws by less than draws do. The clonotypes of the
    two subsets are independent given the repertoires.

    References
    ----------
    Morisita-Horn: Horn 1966, doi:10.1086/282436, as immunarch and scRepertoire compute it.
    """
    seen = [chance_seen(counts, depth) for counts in (counts_a, counts_b)]
    both = float((seen[0][shared_a] * seen[1][shared_b]).sum())
    richness = [float(each.sum()) for each in seen]
    share_a, share_b = counts_a / counts_a.sum(), counts_b / counts_b.sum()
    product = float((share_a[shared_a] * share_b[shared_b]).sum())
    squares = sum(_expected_concentration(counts, depth) for counts in (counts_a, counts_b))
    return {
        "shared": both,
        "jaccard": both / (sum(richness) - both),
        "overlap_coefficient": both / min(richness),
        "morisita_horn": 2 * product / squares,
    }


def _expected_concentration(counts: np.ndarray, depth: int) -> float:
    """Return the expected sum of squared frequencies in a subset."""
    total = int(counts.sum())
    pairs = float((counts / total * (counts - 1)).sum() / (total - 1)) if total > 1 else 0.0
    return 1 / depth + (1 - 1 / depth) * pairs
