"""Draw random subsets of a repertoire, held as sizes and the number of clonotypes of each."""

from __future__ import annotations

import numpy as np

_GROUP = 1.0
"""Clonotypes of one size are drawn together where they are more than this times the square of the size (timed)."""


def draw_sizes(counts: np.ndarray, depth: int, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw templates of a repertoire without replacement, many times at once.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype, whole numbers above 0.
    depth
        Templates in a draw, at most the sum of the counts.
    draws
        Number of draws.
    rng
        Source of the draws.

    Returns
    -------
    sizes, clones
        Both (draws, sizes): templates drawn of a clonotype, and the clonotypes of which so many were drawn. Sizes
        ascend but for those of 0 clonotypes.

    Notes
    -----
    The same multivariate hypergeometric as drawing clonotype by clonotype. Which clonotypes were drawn does not matter
    for a measure of diversity, so that those of a size that many have are drawn together: the templates of each size
    first, then how they fall on its clonotypes.
    """
    clones = np.bincount(counts)
    grouped = np.flatnonzero(clones > _GROUP * np.arange(len(clones)) ** 2)
    grouped = grouped[grouped > 0]
    single = counts[~np.isin(counts, grouped)]
    held = np.concatenate([grouped * clones[grouped], single])
    drawn = rng.multivariate_hypergeometric(held, depth, draws, method="marginals")
    found = _spread(clones[grouped], grouped, drawn[:, : len(grouped)], rng)
    return _join(found, drawn[:, len(grouped) :])


def _spread(clones: np.ndarray, sizes: np.ndarray, taken: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let the templates drawn of each size fall on its clonotypes.

    The first templates of all clonotypes of a size are drawn together, then all second ones, and so on: each time a
    random subset of the clonotypes is hit, whatever was drawn of them before.

    Returns
    -------
    numpy.ndarray
        (draws, largest size + 1) clonotypes by the templates drawn of them.
    """
    turns = int(sizes.max(initial=0))
    found = np.zeros((turns + 1, *taken.shape), dtype=np.int64)
    found[0] = clones
    left = taken.copy()
    for turn in range(turns):
        hits = rng.hypergeometric(clones, clones * np.maximum(sizes - 1 - turn, 0), left)
        left -= hits
        room = np.broadcast_to(clones, taken.shape)
        moved = np.zeros((turn + 1, *taken.shape), dtype=np.int64)
        for before in range(turn + 1):
            room = room - found[before]
            moved[before] = rng.hypergeometric(found[before], room, hits)
            hits = hits - moved[before]
        found[: turn + 1] -= moved
        found[1 : turn + 2] += moved
    return found.sum(axis=2).T


def _join(found: np.ndarray, single: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put clonotypes drawn one by one beside those drawn together, small ones among the latter."""
    draws, width = found.shape
    row, place = np.nonzero(single < width)
    small = np.bincount(row * width + single[row, place], minlength=draws * width).reshape(draws, width)
    large = np.sort(np.where(single < width, 0, single), axis=1)
    sizes = np.hstack([np.broadcast_to(np.arange(width), (draws, width)), large])
    clones = np.hstack([found + small, large > 0])
    clones[:, 0] = 0
    return sizes, clones
