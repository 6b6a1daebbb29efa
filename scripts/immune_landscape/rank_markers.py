"""Genes that mark groups of cells: lineages, subsets, clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape import streamed_steps
from immune_landscape.anchors import fold_over_rest
from immune_landscape.block_sums import moments_of_groups
from immune_landscape.blocked_counts import BlockedCounts, blocked
from immune_landscape.device import CPU, Devices

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

COLUMNS = ["branch", "kind", "group", "cells", "rank", "gene", "z", "auc", "log_fold", "share", "share_rest"]
KINDS = {"all": ("lineage",), "nk": ("subset", "cluster"), "t": ("subset", "cluster")}
"""What is ranked in each branch: columns of the labels."""


def rank_markers(
    counts: CellCounts, labels: pd.DataFrame, devices: Devices = CPU, *, target_sum: float, n_genes: int, min_cells: int
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
    counts = blocked(counts)
    labels = labels.loc[counts.obs_names]
    tables = [pd.DataFrame(columns=COLUMNS)]
    for branch, kinds in KINDS.items():
        here = np.ones(len(labels), dtype=bool) if branch == "all" else (labels["branch"] == branch).to_numpy()
        part = counts if branch == "all" else counts.kept(here)
        for kind in kinds:
            groups = labels.loc[here, kind].astype(str)
            for table in _ranked(part, groups, devices, target_sum, n_genes, min_cells):
                tables.append(table.assign(branch=branch, kind=kind)[COLUMNS])
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _ranked(
    counts: BlockedCounts, groups: pd.Series, devices: Devices, target_sum: float, n_genes: int, min_cells: int
) -> Iterator[pd.DataFrame]:
    """Yield the table of each group that is large enough, the largest first."""
    sizes = groups.value_counts()
    large = sizes.index[(sizes >= min_cells) & (len(groups) - sizes >= min_cells)]
    if large.empty:
        return
    codes = sizes.index.get_indexer(pd.Index(groups))
    moments = moments_of_groups(counts, codes, len(sizes), target_sum, devices.scheduler)
    seen = moments[:, 0].sum(axis=0)
    found = streamed_steps.rank_markers(counts.blocks, codes, len(sizes), seen, devices, target_sum=target_sum)
    sums = pd.DataFrame(moments[:, 1], index=sizes.index, columns=counts.var_names)
    folds = fold_over_rest(sums, sizes).to_numpy()
    for at in map(int, sizes.index.get_indexer(large)):
        cells = int(sizes.iloc[at])
        table = pd.DataFrame({"gene": counts.var_names, "z": found.z[at], "auc": found.auc[at], "log_fold": folds[at]})
        table["share"] = moments[at, 0] / cells
        table["share_rest"] = (seen - moments[at, 0]) / (len(groups) - cells)
        # In the order of symbols where ranks are equal, whatever the order of the file.
        best = table[table["auc"] > 0.5].sort_values(["z", "gene"], ascending=[False, True])[:n_genes]
        yield best.assign(group=sizes.index[at], cells=cells, rank=np.arange(1, len(best) + 1))
