"""Genes that mark groups of cells: lineages, subsets, clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.anchors import fold_over_rest
from immune_landscape.device import CPU, Devices
from immune_landscape.gene_dispersion import batch_moments

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData

COLUMNS = ["branch", "kind", "group", "cells", "rank", "gene", "z", "auc", "log_fold", "share", "share_rest"]
KINDS = {"all": ("lineage",), "nk": ("subset", "cluster"), "t": ("subset", "cluster")}
"""What is ranked in each branch: columns of the labels."""


def rank_markers(
    counts: AnnData, labels: pd.DataFrame, devices: Devices = CPU, *, target_sum: float, n_genes: int, min_cells: int
) -> pd.DataFrame:
    """Rank the genes of each group of cells against the other cells of its branch.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        As `define_labels.define_labels` returns, indexed by cell: ``lineage``, ``branch``, ``subset``, ``cluster``.
    devices
        Where the steps are done.
    target_sum
        Molecules per cell after normalisation.
    n_genes
        Genes per group at most; only those that a cell of the group rather has more of than one outside.
    min_cells
        Cells that a group needs, and that must be outside it.

    Returns
    -------
    pandas.DataFrame
        One row per branch, kind (``lineage``, ``subset`` or ``cluster``), group and gene: ``cells`` of the group,
        ``rank`` (1 is the first), ``z`` (tie-corrected rank sum, which orders genes and tests nothing), ``auc`` (0-1),
        ``log_fold`` (log2 of the mean over that of the other cells), ``share`` and ``share_rest`` (0-1) of cells with
        the gene, in the group and outside.

    Notes
    -----
    No p-value is given: cells of one patient are no replicates, and with enough of them every gene would differ.
    """
    labels = labels.loc[counts.obs_names]
    normal = devices.step("normalise")(counts.X.tocsr(), target_sum)
    tables = [pd.DataFrame(columns=COLUMNS)]
    for branch, kinds in KINDS.items():
        rows = np.arange(len(labels)) if branch == "all" else np.flatnonzero(labels["branch"] == branch)
        values = normal if branch == "all" else normal[rows]
        for kind in kinds:
            groups = labels[kind].astype(str).iloc[rows]
            for table in _ranked(values, groups, counts.var_names, devices, n_genes, min_cells):
                tables.append(table.assign(branch=branch, kind=kind)[COLUMNS])
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _ranked(
    values: sp.csr_matrix, groups: pd.Series, genes: pd.Index, devices: Devices, n_genes: int, min_cells: int
) -> Iterator[pd.DataFrame]:
    """Yield the table of each group that is large enough, the largest first."""
    sizes = groups.value_counts()
    large = sizes.index[(sizes >= min_cells) & (len(groups) - sizes >= min_cells)]
    if large.empty:
        return
    codes = sizes.index.get_indexer(pd.Index(groups))
    found = devices.step("rank_markers")(values, codes, len(sizes))
    moments = batch_moments(values, codes, len(sizes))
    sums = pd.DataFrame(moments[:, 1], index=sizes.index, columns=genes)
    folds = fold_over_rest(sums, sizes).to_numpy()
    for at in map(int, sizes.index.get_indexer(large)):
        cells = int(sizes.iloc[at])
        table = pd.DataFrame({"gene": genes, "z": found.z[at], "auc": found.auc[at], "log_fold": folds[at]})
        table["share"] = moments[at, 0] / cells
        table["share_rest"] = (moments[:, 0].sum(axis=0) - moments[at, 0]) / (len(groups) - cells)
        # In the order of symbols where ranks are equal, whatever the order of the file.
        best = table[table["auc"] > 0.5].sort_values(["z", "gene"], ascending=[False, True])[:n_genes]
        yield best.assign(group=sizes.index[at], cells=cells, rank=np.arange(1, len(best) + 1))
