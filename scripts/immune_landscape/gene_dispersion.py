"""Highly variable genes by dispersion within bins of mean expression, as scanpy's flavour "seurat" chooses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.sparse_kernels import add_moments

if TYPE_CHECKING:
    import scipy.sparse as sp

N_BINS = 20
BLOCK = 8192
"""Rows whose values are taken back from their logarithm at once."""

CUTOFFS = {"min_mean": 0.0125, "max_mean": 3.0, "min_dispersion": 0.5}
"""Scanpy's, where no number of genes is asked for."""


def count_moments(matrix: sp.csr_matrix, factor: np.ndarray) -> np.ndarray:
    """Sum the values of each gene and their squares.

    Parameters
    ----------
    matrix
        Cells x genes.
    factor
        Shape (cells,): what the values of each cell are multiplied by.

    Returns
    -------
    ndarray of float64, shape (3, genes)
        Cells with a value above 0, sum, sum of squares.
    """
    moments = np.zeros((1, 3, matrix.shape[1]))
    group = np.zeros(matrix.shape[0], dtype=np.int64)
    add_moments(matrix.data, matrix.indices, matrix.indptr, group, factor, moments)
    return moments[0]


def batch_moments(normal: sp.csr_matrix, batch: np.ndarray, n_batches: int) -> np.ndarray:
    """Sum expression and its squares per gene and batch, in one pass and without a copy of the matrix.

    Parameters
    ----------
    normal
        Cells x genes, log1p of normalised counts; the counts are what is summed.
    batch
        int, shape (cells,): 0 to ``n_batches - 1``.
    n_batches
        Number of batches.

    Returns
    -------
    ndarray of float64, shape (batches, 3, genes)
        Cells with a value above 0, sum, sum of squares.
    """
    moments = np.zeros((n_batches, 3, normal.shape[1]))
    for start in range(0, normal.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        bounds = normal.indptr[start : start + BLOCK + 1]
        part = slice(bounds[0], bounds[-1])
        values = np.expm1(normal.data[part])
        ones = np.ones(len(bounds) - 1)
        add_moments(values, normal.indices[part], bounds - bounds[0], batch[rows], ones, moments)
    return moments


def measure_dispersion(moments: np.ndarray, cells: int) -> pd.DataFrame:
    """Normalise the dispersion of each gene by that of genes of like mean.

    Parameters
    ----------
    moments
        float64, shape (3, genes), as `count_moments` returns.
    cells
        How many cells there are.

    Returns
    -------
    DataFrame
        Index: position of the gene; ``mean`` (log1p), ``dispersion`` (normalised; NaN for a gene that does not vary).

    References
    ----------
    Satija 2015, doi:10.1038/nbt.3192.
    """
    mean = moments[1] / cells
    variance = (moments[2] / cells - mean**2) * (cells / max(cells - 1, 1))
    mean[mean == 0] = 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = np.log(np.where(variance > 0, variance, np.nan) / mean)
    table = pd.DataFrame({"mean": np.log1p(mean), "raw": raw})
    bins = pd.cut(table["mean"], bins=N_BINS)
    of_bin = table.groupby(bins, observed=True)["raw"].agg(["mean", "std"])
    alone = of_bin["std"].isna()
    # A gene alone in its bin has dispersion 1.
    of_bin["std"] = of_bin["std"].where(~alone, of_bin["mean"])
    of_bin["mean"] = of_bin["mean"].where(~alone, 0.0)
    own = of_bin.loc[bins].set_index(table.index)
    return pd.DataFrame({"mean": table["mean"], "dispersion": (table["raw"] - own["mean"]) / own["std"]})


def within_cutoffs(table: pd.DataFrame) -> np.ndarray:
    """Tell which genes lie within scanpy's default cut-offs.

    Parameters
    ----------
    table
        As `measure_dispersion` returns.

    Returns
    -------
    ndarray of bool, shape (genes,)
        Chosen genes.
    """
    mean, dispersion = table["mean"].to_numpy(), table["dispersion"].fillna(0.0).to_numpy()
    between = (mean > CUTOFFS["min_mean"]) & (mean < CUTOFFS["max_mean"])
    return between & (dispersion > CUTOFFS["min_dispersion"])


def most_dispersed(table: pd.DataFrame, number: int) -> np.ndarray:
    """Tell which genes are among the most dispersed ones.

    Parameters
    ----------
    table
        As `measure_dispersion` returns.
    number
        How many; genes tied with the last one come too.

    Returns
    -------
    ndarray of bool, shape (genes,)
        Chosen genes.
    """
    known = np.sort(table["dispersion"].dropna().to_numpy())[::-1]
    if not len(known):
        return np.zeros(len(table), dtype=bool)
    last = known[min(number, len(known)) - 1]
    return np.nan_to_num(table["dispersion"].to_numpy(), nan=-np.inf) >= last


def chosen_in_batches(moments: np.ndarray, cells: np.ndarray, number: int) -> np.ndarray:
    """Choose the genes that are highly variable in most batches, then those of highest mean dispersion.

    Parameters
    ----------
    moments
        float64, shape (batches, 3, genes), as `batch_moments` returns.
    cells
        Cells of each batch.
    number
        How many genes.

    Returns
    -------
    ndarray of bool, shape (genes,)
        Chosen genes.
    """
    genes = moments.shape[2]
    votes, total, told = np.zeros(genes, dtype=int), np.zeros(genes), np.zeros(genes, dtype=int)
    for of_batch, size in zip(moments, cells, strict=True):
        seen = np.flatnonzero(of_batch[0] > 0)
        table = measure_dispersion(of_batch[:, seen], size)
        votes[seen] += most_dispersed(table, number)
        # A gene without a value in the batch counts with dispersion 0, one that does not vary there not at all.
        dispersion = np.zeros(genes)
        dispersion[seen] = table["dispersion"]
        total += np.nan_to_num(dispersion)
        told += ~np.isnan(dispersion)
    mean = pd.Series(total / np.where(told > 0, told, np.nan))
    order = pd.DataFrame({"votes": votes, "mean": mean}).sort_values(["votes", "mean"], ascending=False)
    chosen = np.zeros(genes, dtype=bool)
    chosen[order.index[:number]] = True
    return chosen
