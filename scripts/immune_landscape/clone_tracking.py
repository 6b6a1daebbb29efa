"""Whether a clone changed between two samples of a patient by more than sampling and technical noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln, gammaln

from immune_landscape.multiple_tests import false_discovery_rates

SMALLEST_OVERDISPERSION = 1e-6
"""Below it sampling is all there is, whatever the total."""

EXACT_TO = 400
"""Total of a clone up to which chances are summed; above, a beta distribution of equal moments stands for them."""

_STEPS = 20


class ChangeTails:
    """Tails of the later count of a clone, given its total over both samples.

    Parameters
    ----------
    share
        Share of the later sample in the templates of both.
    overdispersion
        Correlation within a clone, 0 for plain sampling.

    Notes
    -----
    A clone of unchanged frequency, sampled twice, has a later count that is binomial given its total; with noise that
    multiplies its frequency in each sample (amplification, clumps of cells in the tube, drift) it is beta-binomial with
    variance ``n p q (1 + (n - 1) rho)``.
    """

    def __init__(self, share: float, overdispersion: float) -> None:
        self.share, self.rho = share, overdispersion
        self._sums: dict[int, np.ndarray] = {}

    def tails(self, later: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the chance of fewer, of exactly, and of more.

        Parameters
        ----------
        later, total
            (clones,) counts; totals from 1.

        Returns
        -------
        tuple of numpy.ndarray
            Three of (clones,), which sum to 1.
        """
        pairs, place = np.unique(np.column_stack([total, later]), axis=0, return_inverse=True)
        below, upto = np.empty(len(pairs)), np.empty(len(pairs))
        small = pairs[:, 0] <= EXACT_TO
        for row in np.flatnonzero(small):
            sums = self._cumulated(int(pairs[row, 0]))
            below[row], upto[row] = sums[pairs[row, 1]], sums[pairs[row, 1] + 1]
        below[~small], upto[~small] = self._approximate(*pairs[~small].T)
        place = place.ravel()
        return below[place], (upto - below)[place], 1 - upto[place]

    def _cumulated(self, total: int) -> np.ndarray:
        """Return the chances of fewer than 0, 1, ... total + 1."""
        if total not in self._sums:
            values = np.arange(total + 1)
            choose = gammaln(total + 1) - gammaln(values + 1) - gammaln(total - values + 1)
            if self.rho > 0:
                a, b = self._shape(self.rho)
                logs = choose + betaln(values + a, total - values + b) - betaln(a, b)
            else:
                logs = choose + values * np.log(self.share) + (total - values) * np.log1p(-self.share)
            sums = np.concatenate([[0.0], np.cumsum(np.exp(logs))])
            self._sums[total] = np.minimum(sums / sums[-1], 1.0)
        return self._sums[total]

    def _approximate(self, total: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rho = (1 + (total - 1) * self.rho) / total
        a, b = self._shape(rho)
        below = betainc(a, b, np.clip((later - 0.5) / total, 0, 1))
        upto = betainc(a, b, np.clip((later + 0.5) / total, 0, 1))
        return np.where(later == 0, 0.0, below), np.where(later == total, 1.0, upto)

    def _shape(self, rho: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = 1 / np.asarray(rho, dtype=float) - 1
        return self.share * size, (1 - self.share) * size


def estimate_overdispersion(later: np.ndarray, total: np.ndarray, share: float, largest: float) -> float:
    """Estimate by how much clones of a patient vary beyond sampling, from the clones themselves.

    Parameters
    ----------
    later, total
        (clones,) later count and sum of both counts, of clones seen in both samples.
    share
        Share of the later sample in the templates of both.
    largest
        Correlation that is still taken for noise.

    Returns
    -------
    float
        Correlation within a clone, from 0 to `largest`.

    Notes
    -----
    Without replicates of a sample, the typical clone that is there at both times has to stand for one that did not
    change: the correlation is that under which half of these clones have a two-sided mid-p below one half, given that
    they were seen twice. Clones that truly changed hardly move it while they are few. Where most changed, or a few took
    up so much that the share of all others fell, it is too large, and the test too strict; hence the limit.
    """

    def median_chance(rho: float) -> float:
        """Return the median over clones of the two-sided mid-p, given that a clone is in both samples."""
        tails = ChangeTails(share, rho)
        below, at, above = tails.tails(later, total)
        none, every = tails.tails(np.zeros_like(total), total)[1], tails.tails(total, total)[1]
        return float(np.median((2 * np.minimum(below - none, above - every) + at) / (1 - none - every)))

    low, high = 0.0, largest
    if median_chance(low) >= 0.5:
        return low
    if median_chance(high) <= 0.5:
        return high
    # Correlations span decades, hence steps of equal ratio above the smallest that matters.
    low = SMALLEST_OVERDISPERSION
    for _ in range(_STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if median_chance(middle) < 0.5 else (low, middle)
    return high


def find_changes(
    before: np.ndarray, after: np.ndarray, tails: ChangeTails, *, min_count: int, alpha: float
) -> pd.DataFrame:
    """Test each clone of a pair of samples, and correct within the pair.

    Parameters
    ----------
    before, after
        (clones,) counts; not both 0.
    tails
        Noise of this pair.
    min_count
        Total from which a clone is tested.
    alpha
        False discovery rate.

    Returns
    -------
    pandas.DataFrame
        One row per clone: ``presence`` (new, lost, persistent), as seen, whatever the chance to see it; ``p`` and ``q``
        (Benjamini-Hochberg), missing for clones not tested; ``change`` (expanded, contracted, stable, untested).

    Notes
    -----
    `p` is twice the smaller tail, the count seen included: exact and conservative. It says that this clone changed in
    this patient, and nothing about patients.
    """
    total = before + after
    tested = total >= min_count
    below, at, above = tails.tails(after[tested], total[tested])
    chance = np.full(len(total), np.nan)
    chance[tested] = np.minimum(1.0, 2 * (np.minimum(below, above) + at))
    q = np.full(len(total), np.nan)
    if tested.any():
        q[tested] = false_discovery_rates(chance[tested])
    rises = np.zeros(len(total), dtype=bool)
    rises[tested] = above < below
    found = np.nan_to_num(q, nan=1.0) <= alpha
    change = np.select([~tested, found & rises, found], ["untested", "expanded", "contracted"], "stable")
    presence = np.select([before == 0, after == 0], ["new", "lost"], "persistent")
    return pd.DataFrame({"presence": presence, "p": chance, "q": q, "change": change})


SUMMARY_UNITS = {
    "share_new": "of the later repertoire",
    "share_persistent": "of the later repertoire",
    "share_lost": "of the earlier repertoire",
    "share_expanded": "of the later repertoire",
    "share_contracted": "of the earlier repertoire",
    "clones_new": "clonotypes",
    "clones_persistent": "clonotypes",
    "clones_lost": "clonotypes",
    "clones_expanded": "clonotypes",
    "clones_contracted": "clonotypes",
    "clones_tested": "clonotypes",
}
"""Number told of a pair of samples and its unit; all depend on depth."""


def summarise_changes(before: np.ndarray, after: np.ndarray, changes: pd.DataFrame) -> dict[str, float]:
    """Sum up what happened to the clones of a pair.

    Parameters
    ----------
    before, after
        (clones,) counts.
    changes
        Table of `find_changes`.

    Returns
    -------
    dict
        Value of each of `SUMMARY_UNITS`; shares of an empty repertoire are NaN.
    """
    presence, change = changes["presence"].to_numpy(), changes["change"].to_numpy()
    shares = {
        "share_new": _share(after, presence == "new"),
        "share_persistent": _share(after, presence == "persistent"),
        "share_lost": _share(before, presence == "lost"),
        "share_expanded": _share(after, change == "expanded"),
        "share_contracted": _share(before, change == "contracted"),
    }
    numbers = {f"clones_{name}": presence == name for name in ("new", "persistent", "lost")}
    numbers |= {f"clones_{name}": change == name for name in ("expanded", "contracted")}
    numbers["clones_tested"] = change != "untested"
    return shares | {name: float(rows.sum()) for name, rows in numbers.items()}


def _share(counts: np.ndarray, rows: np.ndarray) -> float:
    total = counts.sum()
    return float(counts[rows].sum() / total) if total else np.nan
