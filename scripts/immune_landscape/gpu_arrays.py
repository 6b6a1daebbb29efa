"""Matrices of the host on a GPU, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

BLOCK_VALUES = 1 << 28
"""Values that are sent to the GPU at once: 3 GiB with their places, and far below the 2^31 of cupy's matrices."""

DENSE_ROWS = 1 << 16
"""Cells whose chosen genes are spread out at once."""

RANKED_VALUES = 1 << 26
"""Values that are sorted at once."""


def cuts(indptr: np.ndarray, values: int, rows: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield bounds of blocks of rows of a CSR matrix, or of columns of a CSC matrix.

    Parameters
    ----------
    indptr
        Its bounds of rows.
    values
        Values that a block holds at most, unless one row holds more.
    rows
        Rows of a block at most; None for any number.

    Yields
    ------
    tuple of int
        First row of a block, and the one behind its last.
    """
    start, last = 0, len(indptr) - 1
    while start < last:
        end = int(np.searchsorted(indptr, indptr[start] + values, side="right")) - 1
        end = min(max(end, start + 1), last, last if rows is None else start + rows)
        yield start, end
        start = end


def blocks(matrix: sp.csr_matrix, rows: int | None = None) -> Iterator[tuple[slice, Any]]:
    """Yield blocks of rows as matrices on the GPU.

    Parameters
    ----------
    matrix
        Any CSR matrix in host memory.
    rows
        Rows of a block at most.

    Yields
    ------
    rows : slice
        Rows of the block.
    block : cupyx.scipy.sparse.csr_matrix
        Values as float32.
    """
    import cupy as cp
    import cupyx.scipy.sparse as on_gpu

    for start, end in cuts(matrix.indptr, BLOCK_VALUES, rows):
        bounds = matrix.indptr[start : end + 1]
        part = slice(bounds[0], bounds[-1])
        values = cp.asarray(matrix.data[part], dtype=cp.float32)
        places = cp.asarray(matrix.indices[part], dtype=cp.int32)
        ends = cp.asarray(bounds - bounds[0], dtype=cp.int32)
        yield slice(start, end), on_gpu.csr_matrix((values, places, ends), shape=(end - start, matrix.shape[1]))


def rows_of(block: Any) -> Any:
    """Return the row of each stored value.

    Parameters
    ----------
    block
        CSR matrix on the GPU.

    Returns
    -------
    cupy.ndarray of int
        In the order of the values.
    """
    import cupy as cp

    return cp.searchsorted(block.indptr, cp.arange(block.nnz), side="right") - 1


def to_host(values: Any) -> Any:
    """Bring an array or a matrix back.

    Parameters
    ----------
    values
        On the GPU, or in host memory already.

    Returns
    -------
    ndarray or scipy.sparse matrix
        In host memory.
    """
    return values.get() if hasattr(values, "get") and not isinstance(values, np.ndarray) else values
