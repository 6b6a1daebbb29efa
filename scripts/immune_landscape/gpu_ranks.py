"""Rank sums of sparse columns on a GPU: only what is stored is sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp


def rank_sums(columns: sp.csc_matrix, member: Any, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum the ranks of each group's cells, column by column.

    Parameters
    ----------
    columns
        Cells x genes, no value below 0; zeros are one tie, the lowest.
    member
        int, shape (cells,), on the GPU: group of each cell.
    n_groups
        Number of groups.

    Returns
    -------
    sums : ndarray of float64, shape (groups, genes)
        Sums of ranks, ties at their mean rank. Exact: they are multiples of a half.
    ties : ndarray of float64, shape (genes,)
        Sum of t^3 - t over the ties of t cells.
    """
    import cupy as cp

    cells, genes = columns.shape
    above = columns.data > 0
    gene = cp.asarray(np.repeat(np.arange(genes), np.diff(columns.indptr))[above])
    values, group = cp.asarray(columns.data[above]), member[cp.asarray(columns.indices[above])]
    order = cp.lexsort(cp.stack([values, gene.astype(values.dtype)]))
    gene, values, group = gene[order], values[order], group[order]
    stored = cp.bincount(gene, minlength=genes)
    zeros, first = cells - stored, cp.cumsum(stored) - stored
    place, sizes = _tied_places(gene, values)
    rank = place - first[gene] + zeros[gene] + 1
    key = group * genes + gene
    shape = (n_groups, genes)
    sums = cp.bincount(key, weights=rank, minlength=n_groups * genes).reshape(shape)
    present = cp.bincount(key, minlength=n_groups * genes).reshape(shape)
    absent = cp.bincount(member, minlength=n_groups)[:, None] - present
    sums = sums + absent * ((zeros + 1) / 2)[None, :]
    ties = cp.bincount(gene, weights=sizes**2 - 1, minlength=genes) + zeros.astype(cp.float64) ** 3 - zeros
    return cp.asnumpy(sums), cp.asnumpy(ties)


def _tied_places(gene: Any, values: Any) -> tuple[Any, Any]:
    """Return the mean place of each value's tie in the sorted order, and the size of the tie."""
    import cupy as cp

    starts = cp.ones(len(values), dtype=cp.int64)
    starts[1:] = (gene[1:] != gene[:-1]) | (values[1:] != values[:-1])
    tie = cp.cumsum(starts) - 1
    sizes = cp.bincount(tie).astype(cp.float64)
    begin = cp.cumsum(sizes) - sizes
    return (begin + (sizes - 1) / 2)[tie], sizes[tie]
