"""Loops over sparse rows that numpy and scipy can only do with copies of the matrix.

Compiled once per machine (numba keeps them on disk). Each sum runs in the order of the matrix, so results do not depend
on the number of threads.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def sum_rows(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, member: np.ndarray) -> tuple:
    """Sum each row, count what is above 0, and sum the parts that lie in groups of columns.

    Parameters
    ----------
    data, indices, indptr
        CSR matrix of shape (rows, columns).
    member
        uint8, shape (groups, columns): 1 where a column belongs to a group.

    Returns
    -------
    tuple of ndarray
        Totals, float64 of shape (rows,); counts, int64 of shape (rows,); and parts, float64 of shape (groups, rows).
    """
    rows, groups = len(indptr) - 1, member.shape[0]
    total, above, part = np.zeros(rows), np.zeros(rows, dtype=np.int64), np.zeros((groups, rows))
    for row in range(rows):
        for at in range(indptr[row], indptr[row + 1]):
            value = float(data[at])
            total[row] += value
            above[row] += value > 0
            for group in range(groups):
                if member[group, indices[at]]:
                    part[group, row] += value
    return total, above, part


@numba.njit(cache=True, nogil=True)
def scale_rows(data: np.ndarray, indptr: np.ndarray, divisor: np.ndarray, out: np.ndarray) -> None:
    """Divide each row by a number.

    Parameters
    ----------
    data, indptr
        Values and row bounds of a CSR matrix.
    divisor
        float32, shape (rows,).
    out
        Where the values go, float32 of the shape of `data`.
    """
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            out[at] = np.float32(data[at]) / divisor[row]


@numba.njit(cache=True, nogil=True)
def add_moments(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    group: np.ndarray,
    factor: np.ndarray,
    moments: np.ndarray,
) -> None:
    """Add cells, sum and sum of squares of each column to the totals of the rows' groups.

    Parameters
    ----------
    data, indices, indptr
        CSR matrix of shape (rows, columns).
    group
        int, shape (rows,).
    factor
        float64, shape (rows,): what the values of each row are multiplied by.
    moments
        float64, shape (groups, 3, columns): rows with a value above 0, sum, sum of squares; added to in place.
    """
    for row in range(len(indptr) - 1):
        into = moments[group[row]]
        for at in range(indptr[row], indptr[row + 1]):
            column, value = indices[at], data[at] * factor[row]
            into[0, column] += value > 0
            into[1, column] += value
            into[2, column] += value * value
