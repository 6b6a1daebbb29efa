"""UMAP's fuzzy graph of nearest neighbours, without the import of umap-learn, which compiles for many seconds."""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp

ITERATIONS, TOLERANCE, MIN_SCALE = 64, 1e-5, 1e-3
"""Bisections for the bandwidth of a cell, how close they come, and the least bandwidth over the mean distance."""


def build_fuzzy_graph(indices: np.ndarray, distances: np.ndarray) -> sp.csr_matrix:
    """Build the fuzzy graph: weights fall off with distance by a bandwidth of each cell, and are joined by a union.

    Parameters
    ----------
    indices
        int, shape (cells, neighbours), nearest first, the cell itself among them.
    distances
        float32, same shape.

    Returns
    -------
    csr_matrix of float32, shape (cells, cells)
        Symmetric, 0 to 1, sorted indices, empty diagonal.

    References
    ----------
    McInnes 2018, arXiv:1802.03426, section 3.1.
    """
    cells, neighbours = indices.shape
    weights = _memberships(np.ascontiguousarray(indices), np.ascontiguousarray(distances, dtype=np.float32))
    start = np.arange(0, cells * neighbours + 1, neighbours)
    directed = sp.csr_matrix((weights.ravel(), indices.flatten(), start), shape=(cells, cells))
    directed.eliminate_zeros()
    back = directed.T.tocsr()
    graph = (directed + back - directed.multiply(back)).tocsr()
    graph.sort_indices()
    return graph


@numba.njit(cache=True, nogil=True)
def _memberships(indices: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return the weight of each neighbour of each cell; 0 for the cell itself."""
    cells, neighbours = distances.shape
    weights = np.zeros((cells, neighbours), dtype=np.float32)
    overall = distances.mean()
    for cell in range(cells):
        row = distances[cell]
        nearest = np.float32(0)
        for distance in row:
            if distance > 0:
                nearest = distance
                break
        least = MIN_SCALE * (row.mean() if nearest > 0 else overall)
        width = np.float32(max(_bandwidth(row, nearest), least))
        for at in range(neighbours):
            if indices[cell, at] != cell:
                far = row[at] - nearest
                weights[cell, at] = 1.0 if far <= 0 or width == 0 else np.exp(-far / width)
    return weights


@numba.njit(cache=True, nogil=True)
def _bandwidth(row: np.ndarray, nearest: np.float32) -> float:
    """Return the bandwidth at which a cell's weights sum to the logarithm of its number of neighbours."""
    target = np.log2(len(row))
    low, high, width = 0.0, np.inf, 1.0
    for _ in range(ITERATIONS):
        total = 0.0
        for at in range(1, len(row)):
            far = row[at] - nearest
            total += np.exp(-far / width) if far > 0 else 1.0
        if abs(total - target) < TOLERANCE:
            break
        if total > target:
            high = width
            width = (low + high) / 2
        elif high == np.inf:
            low = width
            width *= 2
        else:
            low = width
            width = (low + high) / 2
    return width
