"""Nearest neighbours by faiss: all pairs, or an index of cells around centres."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

# It tells at each import which of its builds it tried.
logging.getLogger("faiss").setLevel(logging.WARNING)

MARGIN = 8
"""Further neighbours that are looked for, so that those whose distances differ by rounding are put in order."""

LISTS_PER_ROOT, PROBES, PROBES_UPTO, GROWTH = 2, 32, 250_000, 0.3
"""Centres per root of the number of points, and how many of them a search looks into, so that the recall of 15 is 0.95:
as many up to a number of points, then more by a power of it."""

CANDIDATES = 3
"""Points per neighbour whose codes are nearest, and whose distances are computed; twice as many find hardly more."""

ROUNDS, POINTS_PER_CENTRE = 10, 64
"""Rounds and points in which centres are learnt. More take ten times as long and find no further neighbours."""


def search(
    points: np.ndarray,
    n_neighbors: int,
    *,
    exact: bool,
    seed: int,
    threads: int = 1,
    queries: np.ndarray | None = None,
    probes: int | None = None,
) -> tuple:
    """Search each point's nearest points, itself among them.

    Parameters
    ----------
    points
        float32, shape (points, dimensions), C order.
    n_neighbors
        How many, at most the number of points.
    exact
        Look at all pairs, or at those around the same centres.
    seed
        Seed of the centres.
    threads
        Threads; the result does not depend on them.
    queries
        float32, shape (queries, dimensions): whose neighbours are searched; all points unless given.
    probes
        Centres that a search looks into unless it is exact; as many as the neighbours of a graph need unless given.

    Returns
    -------
    indices : ndarray of int64, shape (queries, n_neighbors)
        Nearest first; -1 where an index that is not exact found fewer.
    squared : ndarray of float32, shape (queries, n_neighbors)
        Squared distances, to the precision of float32 products.
    """
    with _threads(threads):
        index = _all_pairs(points) if exact else _around_centres(points, seed, probes)
        squared, indices = index.search(points if queries is None else queries, n_neighbors)
    return indices, squared


def nearest(points: np.ndarray, n_neighbors: int, *, exact: bool, seed: int, threads: int) -> tuple:
    """Return each point's nearest points, itself first, in the order of distances that are computed anew.

    Parameters
    ----------
    points, exact, seed, threads
        As for `search`.
    n_neighbors
        How many, itself among them.

    Returns
    -------
    indices : ndarray of int32, shape (points, n_neighbors)
        Nearest first; of equal ones the lower is first.
    distances : ndarray of float32, shape (points, n_neighbors)
        Euclidean, ascending.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    wanted = min(n_neighbors + MARGIN, len(points))
    found, _ = search(points, wanted, exact=exact, seed=seed, threads=threads)
    if exact or (found >= 0).all():
        return _in_order(points, found, n_neighbors)
    # A point far from all centres: so few that all pairs of theirs cost nothing.
    short = np.flatnonzero((found < 0).any(axis=1))
    found[short] = _of_all(points, short, wanted)
    return _in_order(points, found, n_neighbors)


def _of_all(points: np.ndarray, rows: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the nearest points of some rows among all."""
    return _all_pairs(points).search(points[rows], n_neighbors)[1]


@numba.njit(cache=True, nogil=True)
def _in_order(points: np.ndarray, found: np.ndarray, n_neighbors: int) -> tuple:
    """Keep the nearest of what was found, by distances in double precision, the point itself first."""
    count, dimensions = points.shape
    indices = np.empty((count, n_neighbors), dtype=np.int32)
    distances = np.empty((count, n_neighbors), dtype=np.float32)
    for row in range(count):
        others = np.sort(found[row])
        squared = np.empty(len(others))
        for at in range(len(others)):
            total = 0.0
            for axis in range(dimensions):
                difference = float(points[row, axis]) - float(points[others[at], axis])
                total += difference * difference
            squared[at] = -1.0 if others[at] == row else total
        order = np.argsort(squared, kind="mergesort")
        indices[row, 0], distances[row, 0] = row, 0
        own = 1 if squared[order[0]] < 0 else 0
        for at in range(1, n_neighbors):
            chosen = order[at - 1 + own]
            indices[row, at], distances[row, at] = others[chosen], np.sqrt(squared[chosen])
    return indices, distances


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Give faiss so many threads for a while."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _all_pairs(points: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    return index


def _around_centres(points: np.ndarray, seed: int, probes: int | None) -> Any:
    """Index points by their nearest centre and by four bits of each coordinate, which pick whom to measure."""
    import faiss

    dimensions = points.shape[1]
    centres = max(1, min(round(LISTS_PER_ROOT * np.sqrt(len(points))), len(points) // 39))
    coded = faiss.IndexIVFPQFastScan(faiss.IndexFlatL2(dimensions), dimensions, centres, dimensions, 4)
    coded.cp.seed = coded.pq.cp.seed = seed & 0x7FFFFFFF
    coded.cp.niter, coded.cp.max_points_per_centroid = ROUNDS, POINTS_PER_CENTRE
    coded.train(points)
    usual = round(PROBES * max(1.0, len(points) / PROBES_UPTO) ** GROWTH)
    coded.nprobe = min(probes or usual, centres)
    index = faiss.IndexRefineFlat(coded)
    index.k_factor = CANDIDATES
    index.add(points)
    return index
