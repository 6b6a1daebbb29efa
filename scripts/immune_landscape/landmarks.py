"""Landmarks: some cells, spread evenly over the space of all, that stand for them where there are too many.

Clusters, their stability and the map cost more than in proportion to the cells. They can be made of landmarks alone;
every other cell then joins the cluster of its nearest landmarks. Drawn evenly over space and not over cells, landmarks
keep kinds of cells that a random draw would lose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

AXES = 10
"""Leading components by which landmarks are spread: in more, each cell is alone in its box."""

CLOSE, ROUNDS = 0.05, 60
"""How near the number of boxes comes to what is asked for, and halvings in which it is looked for."""

VOTERS = 5
"""Nearest landmarks whose clusters and places a cell takes."""

JITTER = 0.02
"""Share of the map's side by which cells that share their landmarks are moved apart."""


class Spread(NamedTuple):
    """What landmarks tell of all cells.

    Attributes
    ----------
    cluster : ndarray of object, shape (cells,)
        Cluster that most of the nearest landmarks are in; of equal ones that of the nearest.
    places : ndarray of float32, shape (cells, 2)
        Places on the map: landmarks where they are, other cells at the mean of those voters that share their cluster.
    """

    cluster: np.ndarray
    places: np.ndarray


def choose_landmarks(points: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Choose cells that cover the space of all evenly: one of each box of a grid.

    Parameters
    ----------
    points
        Shape (cells, components), the component of largest variance first.
    number
        Landmarks wanted, fewer than cells.
    seed
        Seed of the cell that stands for a box.

    Returns
    -------
    ndarray of int64, ascending
        About as many cells as wanted, never more; each box of a grid of equal sides has one at most.

    References
    ----------
    Hie 2019, doi:10.1016/j.cels.2019.05.003 (geometric sketching).
    """
    space = np.asarray(points[:, :AXES], dtype=np.float64)
    space = space - space.min(axis=0)
    order = np.random.default_rng(seed).permutation(len(space))
    low, high = 0.0, float(space.max())
    chosen = np.zeros(1, dtype=np.int64)
    for _ in range(ROUNDS):
        side = (low + high) / 2
        found = _one_of_each_box(space[order], side)
        if len(found) > number:
            low = side
            continue
        high, chosen = side, found
        if len(found) >= (1 - CLOSE) * number:
            break
    return np.sort(order[chosen])


def _one_of_each_box(space: np.ndarray, side: float) -> np.ndarray:
    """Return the first cell of each box that holds any."""
    boxes = np.floor(space / side).astype(np.int64)
    factors = np.random.default_rng(0).integers(1, 1 << 62, boxes.shape[1])
    # A hash of 64 bits in place of rows: two boxes of a billion meet with a chance of a few per cent.
    return np.unique((boxes * factors).sum(axis=1), return_index=True)[1]


def spread_landmarks(
    points: np.ndarray, landmarks: np.ndarray, cluster: pd.Series, places: np.ndarray, seed: int, threads: int
) -> Spread:
    """Give every cell the cluster and a place of its nearest landmarks.

    Parameters
    ----------
    points
        float32, shape (cells, components).
    landmarks
        As `choose_landmarks` returns.
    cluster
        Cluster of each landmark.
    places
        Shape (landmarks, 2).
    seed
        Seed of the small moves that part cells of the same landmarks.
    threads
        Threads of the search.

    Returns
    -------
    Spread
        Landmarks keep their own cluster and place.
    """
    from immune_landscape.neighbour_search import search

    names, codes = np.unique(cluster.to_numpy(dtype=str), return_inverse=True)
    held = np.ascontiguousarray(points[landmarks])
    voters = min(VOTERS, len(landmarks))
    near, _ = search(held, voters, exact=True, seed=0, threads=threads, queries=np.ascontiguousarray(points))
    votes = codes[near]
    winner = _most_voted(votes, len(names))
    winner[landmarks] = codes
    agrees = (votes == winner[:, None]).astype(np.float64)
    agrees[agrees.sum(axis=1) == 0, 0] = 1  # a landmark none of whose neighbours is of its own cluster
    mean = np.einsum("cv,cvd->cd", agrees / agrees.sum(axis=1, keepdims=True), places[near])
    side = np.ptp(places, axis=0).max() * JITTER
    mean += np.random.default_rng(seed).normal(0, side / 2, mean.shape)
    mean[landmarks] = places
    return Spread(names[winner].astype(object), mean.astype(np.float32))


def _most_voted(votes: np.ndarray, kinds: int) -> np.ndarray:
    """Return the most frequent code of each row; of equally frequent ones that which comes first."""
    counts = np.zeros((len(votes), kinds), dtype=np.float32)
    width = votes.shape[1]
    for at in range(width):
        # An earlier voter weighs a little more, so that ties go to it.
        np.add.at(counts, (np.arange(len(votes)), votes[:, at]), np.float32(1 + (width - at) / (width + 1) ** 3))
    return counts.argmax(axis=1)
