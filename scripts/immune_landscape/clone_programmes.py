"""What the expanded cells and the singletons of a subset of a sample express."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.block_sums import count_molecules, sum_normal
from immune_landscape.clone_cells import BRANCH, INVARIANT, is_closed
from immune_landscape.marker_scores import TARGET_SUM
from immune_landscape.score_signatures import score_signature, set_columns
from immune_landscape.signature_registry import scored_rows

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

EXPANDED, SINGLETON = "expanded", "singleton"
CONTROL = "log_counts"
"""Row that is no signature: log1p of a cell's molecules. A cell with few may lose a chain, and seem a singleton."""


def score_sides(
    carriers: pd.DataFrame,
    counts: CellCounts,
    bins: np.ndarray,
    registry: pd.DataFrame,
    *,
    expanded_from: int,
    min_profile_cells: int,
) -> pd.DataFrame:
    """Score the mean profiles of the expanded and of the singleton cells of each subset of each sample.

    Parameters
    ----------
    carriers
        As `clone_cells.label_carriers` returns.
    counts
        Cells x genes, raw counts.
    bins
        (genes,) bin of the expression of each gene in T cells.
    registry
        As `signature_registry.registry_table` returns.
    expanded_from
        Cells of a sample from which its clonotype is expanded there; a singleton has one cell, clones between the two
        are on neither side.
    min_profile_cells
        Cells that both sides of a subset of a sample need.

    Returns
    -------
    pandas.DataFrame
        ``sample, patient, tissue, subset, side, cells, invariant_share``, one column per signature scored in T cells,
        and `CONTROL`.
    """
    table = _sides(carriers, expanded_from, min_profile_cells)
    keys = ["sample", "patient", "tissue", "subset", "side"]
    groups = table.groupby(keys, sort=True)
    rows = groups.agg(cells=("clonotype", "size"), invariant_share=("invariant", "mean")).reset_index()
    means = _means(counts, table.index, groups.ngroup().to_numpy(), len(rows))
    for row in scored_rows(registry, BRANCH):
        rows[row["signature"]] = score_signature(means, bins, *set_columns(counts.var_names, row))[:, 0]
    totals = pd.Series(np.log1p(count_molecules(counts)), index=counts.obs_names).loc[table.index]
    rows[CONTROL] = totals.groupby([table[key] for key in keys]).mean().to_numpy()
    return rows


def _sides(carriers: pd.DataFrame, expanded_from: int, min_profile_cells: int) -> pd.DataFrame:
    """Keep the cells of the subsets of a sample that have enough cells on both sides."""
    size = carriers.groupby(["sample", "clonotype"])["subset"].transform("size")
    side = pd.Series(np.where(size >= expanded_from, EXPANDED, SINGLETON), index=carriers.index)
    table = carriers.assign(side=side, invariant=carriers["receptor"].isin(INVARIANT))
    table = table[((size >= expanded_from) | (size == 1)) & carriers["subset"].map(is_closed).astype(bool)]
    cells = table.groupby(["sample", "subset", "side"])["clonotype"].transform("size")
    table = table[cells >= min_profile_cells]
    return table[table.groupby(["sample", "subset"])["side"].transform("nunique") == 2]


def _means(counts: CellCounts, cells: pd.Index, code: np.ndarray, groups: int) -> np.ndarray:
    """Average log-normalised expression over the cells of each group."""
    of_cell = pd.Series(code, index=cells).reindex(counts.obs_names, fill_value=-1).to_numpy()
    return sum_normal(counts, of_cell, groups, TARGET_SUM) / np.bincount(code, minlength=groups)[:, None]
