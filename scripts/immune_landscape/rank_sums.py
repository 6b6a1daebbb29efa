"""Rank sums of genes in groups of cells: an order of marker genes, no test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import numpy as np
import scipy.sparse as sp


def rank_groups(normal: sp.csr_matrix, groups: np.ndarray, n_groups: int, threads: int) -> tuple:
    """Rank the genes of each group against all other cells, with ties corrected for and without continuity correction.

    Parameters
    ----------
    normal
        Cells x genes, no value below 0.
    groups
        int, shape (cells,): 0 to ``n_groups - 1``.
    n_groups
        Number of groups.
    threads
        Genes are dealt to so many threads.

    Returns
    -------
    z, auc : ndarray of float64, shape (groups, genes)
        Standardised rank sum, and chance that a cell of the group has the higher value; NaN where a group has no cell
        or all. A gene without two different values has z 0.

    References
    ----------
    Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    import anndata
    import pandas as pd
    from illico import asymptotic_wilcoxon

    z, auc = (np.full((n_groups, normal.shape[1]), np.nan) for _ in range(2))
    present, sizes = np.unique(groups, return_counts=True)
    if len(present) < 2 or not normal.shape[1]:
        return z, auc
    # Names that sort as numbers do: groups come back in the order of their names.
    names = pd.DataFrame({"group": [f"{group:09d}" for group in groups]}, index=[str(i) for i in range(len(groups))])
    with _quiet():
        found = asymptotic_wilcoxon(
            anndata.AnnData(_common_index(normal), obs=names),
            is_log1p=True,
            group_keys="group",
            n_threads=threads,
            use_continuity=False,
            tie_correct=True,
        )
    shape = len(present), normal.shape[1]
    z[present] = np.nan_to_num(found["z_score"].to_numpy().reshape(shape))
    auc[present] = found["statistic"].to_numpy().reshape(shape) / (sizes * (len(groups) - sizes))[:, None]
    return z, auc


def _common_index(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the matrix with row bounds of the type of its column indices, sharing its values."""
    bounds = matrix.indptr.astype(matrix.indices.dtype, copy=False)
    return sp.csr_matrix((matrix.data, matrix.indices, bounds), shape=matrix.shape)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars and messages out of the rule's log."""
    from loguru import logger

    logger.disable("illico")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        yield
