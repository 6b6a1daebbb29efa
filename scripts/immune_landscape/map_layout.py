"""UMAP's layout of a fuzzy graph, on all threads and yet the same at each run.

umap-learn moves both ends of one edge after another, so that its threads race. Here each cell is moved by one thread
along its own edges, seeing the others where they were before the pass, with random numbers of its own. The order of
cells and the number of threads then make no difference. The loss, the schedule of edges and the rates are UMAP's.
"""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp

MANY_CELLS, PASSES_FEW, PASSES_MANY = 10_000, 500, 200
PARALLEL_FROM = 2_000
"""Cells from which waiting for threads at each pass pays."""

NEGATIVES = 5
"""Random cells that a cell is moved away from, for each edge along which it is drawn."""

SIDE, NOISE = 10.0, 1e-4
"""Side of the square in which cells start, and the noise that parts equal ones."""

LOWEST, OCTAVES, STEPS = -24, 40, 512
"""Tabulated squared distances: the lowest power of 2, how many powers, and values in each (below 0.1 % apart)."""

FURTHEST_MOVE = 4.0


def lay_out(graph: sp.csr_matrix, points: np.ndarray, *, min_dist: float, seed: int, threads: int) -> np.ndarray:
    """Lay cells out in two dimensions.

    Parameters
    ----------
    graph
        float32, shape (cells, cells), symmetric.
    points
        Shape (cells, components): the first two are where cells start.
    min_dist
        Least distance of points.
    seed
        Seed of noise and of negative samples.
    threads
        Threads; the result does not depend on them.

    Returns
    -------
    ndarray of float32, shape (cells, 2)
        Coordinates.

    References
    ----------
    McInnes 2018, arXiv:1802.03426; Kobak and Linderman 2021, doi:10.1038/s41587-020-00809-z (start from components).
    """
    places = start_places(points, seed)
    passes = PASSES_FEW if len(places) <= MANY_CELLS else PASSES_MANY
    weight = graph.data / graph.data.max() if graph.nnz else graph.data
    # An edge too weak to be drawn once is left out, as UMAP does.
    period = np.where(weight * passes >= 1, 1 / np.maximum(weight, 1e-12), np.inf).astype(np.float32)
    pull, push = _tables(*fit_curve(min_dist))
    before = numba.get_num_threads()
    worth = threads if len(places) >= PARALLEL_FROM else 1
    numba.set_num_threads(max(1, min(worth, before)))
    try:
        for number in range(passes):
            rate = np.float32(1 - number / passes)
            places = _move(places, graph.indptr, graph.indices, period, pull, push, number, rate, np.uint64(seed))
    finally:
        numba.set_num_threads(before)
    return places


def start_places(points: np.ndarray, seed: int) -> np.ndarray:
    """Return the first two components, scaled to a square, with a little noise.

    Parameters
    ----------
    points
        Shape (cells, components).
    seed
        Seed of the noise.

    Returns
    -------
    ndarray of float32, shape (cells, 2)
        Where cells start.
    """
    two = np.asarray(points[:, :2], dtype=np.float64)
    low, high = two.min(axis=0), two.max(axis=0)
    two = SIDE * (two - low) / np.where(high > low, high - low, 1)
    return (two + np.random.default_rng(seed).normal(0, NOISE, two.shape)).astype(np.float32)


def fit_curve(min_dist: float) -> tuple[float, float]:
    """Fit ``1 / (1 + a x^(2 b))`` to a membership that falls off exponentially beyond the least distance.

    Parameters
    ----------
    min_dist
        Least distance of points.

    Returns
    -------
    a, b : float
        Of the curve.
    """
    from scipy.optimize import curve_fit

    x = np.linspace(0, 3, 300)
    y = np.where(x < min_dist, 1.0, np.exp(-(x - min_dist)))
    (a, b), _ = curve_fit(_membership, x, y)
    return float(a), float(b)


def _membership(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """Return UMAP's membership at a distance."""
    return 1 / (1 + a * x ** (2 * b))


def _tables(a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of attraction and repulsion at the middle of each step of squared distance."""
    step = np.arange(OCTAVES * STEPS)
    squared = 2.0 ** (LOWEST + step // STEPS) * (1 + (step % STEPS + 0.5) / STEPS)
    powered = a * squared**b
    pull = -2 * b * powered / squared / (1 + powered)
    push = 2 * b / ((0.001 + squared) * (1 + powered))
    return pull.astype(np.float32), push.astype(np.float32)


@numba.njit(cache=True, nogil=True, inline="always")
def _step_of(squared: np.float32) -> int:
    """Return the step of a squared distance, read off the bits of the number: exponent, and the mantissa's first."""
    step = (np.float32(squared).view(np.int32) >> 14) - ((127 + LOWEST) << 9)
    if step < 0:
        return 0
    return int(step) if step < OCTAVES * STEPS else OCTAVES * STEPS - 1


@numba.njit(cache=True, nogil=True, inline="always")
def _clipped(move: np.float32) -> np.float32:
    """Return a move no longer than the furthest allowed."""
    if move > FURTHEST_MOVE:
        return np.float32(FURTHEST_MOVE)
    return np.float32(-FURTHEST_MOVE) if move < -FURTHEST_MOVE else move


@numba.njit(cache=True, nogil=True, inline="always")
def _mixed(state: np.uint64) -> np.uint64:
    """Return 64 random bits of a counter (splitmix64)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@numba.njit(cache=True, nogil=True, parallel=True)
def _move(
    places: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    period: np.ndarray,
    pull: np.ndarray,
    push: np.ndarray,
    number: int,
    rate: np.float32,
    seed: np.uint64,
) -> np.ndarray:
    """Return the places after one pass: each cell drawn along the edges that are due, and away from random cells."""
    cells = len(places)
    moved = np.empty_like(places)
    for cell in numba.prange(cells):
        x, y = places[cell, 0], places[cell, 1]
        state = _mixed(seed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(number) * np.uint64(cells) + np.uint64(cell))
        for at in range(indptr[cell], indptr[cell + 1]):
            if int((number + 1) / period[at]) == int(number / period[at]):
                continue
            other = indices[at]
            # Twice: as the head of this edge, and as the tail of the same edge seen from the other end.
            for _ in range(2):
                dx, dy = x - places[other, 0], y - places[other, 1]
                squared = dx * dx + dy * dy
                if squared > 0:
                    factor = pull[_step_of(squared)]
                    x += rate * _clipped(factor * dx)
                    y += rate * _clipped(factor * dy)
            for _ in range(NEGATIVES):
                state += np.uint64(0x9E3779B97F4A7C15)
                other = np.int64(((_mixed(state) >> np.uint64(32)) * np.uint64(cells)) >> np.uint64(32))
                if other == cell:
                    continue
                dx, dy = x - places[other, 0], y - places[other, 1]
                squared = dx * dx + dy * dy
                if squared > 0:
                    factor = push[_step_of(squared)]
                    x += rate * _clipped(factor * dx)
                    y += rate * _clipped(factor * dy)
        moved[cell, 0], moved[cell, 1] = x, y
    return moved
