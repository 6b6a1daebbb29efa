"""Leading eigenpairs of symmetric matrices: what principal components are made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

DENSE_BELOW = 200
"""Rows below which all eigenpairs are computed: a search for a few takes as long."""

BLOCK = 4096
"""Rows that are dense at once."""


def leading_pairs(matrix: np.ndarray, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvectors of the largest eigenvalues.

    Parameters
    ----------
    matrix
        Shape (size, size), symmetric, float32 or float64.
    width
        How many, 1 to ``size - 1``.
    seed
        Seed of the vector that the search starts from.

    Returns
    -------
    vectors : ndarray, shape (size, width)
        Columns, that of the largest eigenvalue first; the entry of largest absolute value is positive.
    values : ndarray, shape (width,)
        Eigenvalues, descending.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh

    size = len(matrix)
    if size < DENSE_BELOW or 2 * width >= size:
        values, vectors = eigh(matrix, subset_by_index=[size - width, size - 1])
    else:
        start = np.random.default_rng(seed).standard_normal(size).astype(matrix.dtype)
        values, vectors = eigsh(matrix, width, v0=start)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(width)]
    return vectors * np.where(largest < 0, -1, 1).astype(vectors.dtype), values


def centred_products(matrix: sp.csr_matrix, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the columns of a sparse matrix, and the products of its centred columns.

    Parameters
    ----------
    matrix
        Shape (rows, columns), float32; dense in blocks of `BLOCK` rows, never as a whole.
    threads
        Blocks worked on at once; they are added up in order, so the result does not depend on it.

    Returns
    -------
    mean : ndarray of float64, shape (columns,)
        Means.
    products : ndarray of float64, shape (columns, columns)
        Sums of squares and cross products about the means.
    """
    rows, columns = matrix.shape
    mean = np.asarray(matrix.sum(axis=0, dtype=np.float64)).ravel() / rows
    shift = mean.astype(np.float32)

    def products_of(start: int) -> np.ndarray:
        """Return the products of a block about nearly the mean, as products about 0 would lose digits."""
        block = matrix[start : start + BLOCK].toarray()
        block -= shift
        return block.T @ block

    products = np.zeros((columns, columns))
    starts = range(0, rows, BLOCK)
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(starts), threads):
            for part in pool.map(products_of, starts[first : first + threads]):
                products += part
    return mean, products
