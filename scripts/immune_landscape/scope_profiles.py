"""Mean expression per sample and scope: a branch, its subsets, and the branch with its composition held fixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.block_sums import sum_normal
from immune_landscape.display_text import ADJUSTED
from immune_landscape.marker_scores import TARGET_SUM
from immune_landscape.measure_composition import is_unassigned
from immune_landscape.set_scores import Floats, expression_bins

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

BRANCHES = ("nk", "t")
LAYER = "mean_log"
OBS_COLUMNS = ["sample", "scope", "branch", "cells", "weight"]


class _Sums(NamedTuple):
    """Sums of log-normalised expression of one branch: groups x genes, with sample, subset and cells of each group."""

    groups: pd.DataFrame
    sums: Floats


def profile_scopes(
    counts: CellCounts, labels: pd.DataFrame, *, min_cells: int, min_weight: float, n_bins: int
) -> AnnData:
    """Average log-normalised expression over the cells of each sample and scope.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        Cells x labels: ``sample``, ``branch``, ``subset``.
    min_cells
        Cells that a mean needs.
    min_weight
        Share of a branch's composition that must be measured in a sample for the adjusted mean.
    n_bins
        Bins of expression.

    Returns
    -------
    AnnData
        Rows x genes with ``layers['mean_log']`` (float32, mean of log1p counts per 10,000) and no counts. ``obs`` has
        ``sample, scope, branch, cells`` and ``weight`` (share of the branch's composition in an adjusted mean, else
        1); ``var`` has ``bin_nk`` and ``bin_t``, the bin of each gene's mean over the cells of the branch, or -1.

    Notes
    -----
    An adjusted mean (scope ``nk_adjusted``, ``t_adjusted``) is directly standardised: the subsets' means in a sample,
    weighted with each subset's share of the branch's cells over all samples together. Subsets with fewer than
    `min_cells` cells in a sample are left out there, and the other weights scaled up. It does not move when subsets
    change in number alone, where the plain mean does. Cells without a subset are one of the subsets weighted, and no
    scope of their own.
    """
    import anndata

    tables, means, bins = [], [], {}
    for branch in BRANCHES:
        found = _sum_groups(counts, labels, branch)
        total = int(found.groups["cells"].sum())
        mean = found.sums.sum(axis=0) / max(total, 1)
        bins[f"bin_{branch}"] = expression_bins(mean, n_bins) if total else np.full(counts.n_vars, -1)
        for table, profile in _scopes_of(found, branch, min_cells, min_weight):
            tables.append(table)
            means.append(profile)
    obs = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=OBS_COLUMNS)
    obs = obs.astype({"sample": str, "scope": str, "branch": str, "cells": "int64", "weight": float})
    obs.index = pd.Index(obs["sample"] + ":" + obs["scope"])
    values = np.vstack(means).astype(np.float32) if means else np.zeros((0, counts.n_vars), dtype=np.float32)
    return anndata.AnnData(obs=obs, var=pd.DataFrame(bins, index=counts.var_names), layers={LAYER: values})


def _sum_groups(counts: CellCounts, labels: pd.DataFrame, branch: str) -> _Sums:
    """Sum over the cells of each sample and subset."""
    here = labels[(labels["branch"] == branch).to_numpy() & labels.index.isin(counts.obs_names)]
    keys = here[["sample", "subset"]].astype(str).groupby(["sample", "subset"], sort=True)
    groups = keys.size().rename("cells").reset_index()
    if here.empty:
        return _Sums(groups, np.zeros((0, counts.n_vars)))
    code = keys.ngroup().to_numpy()
    of_cell = pd.Series(code, index=here.index).reindex(counts.obs_names, fill_value=-1).to_numpy()
    return _Sums(groups, sum_normal(counts, of_cell, len(groups), TARGET_SUM))


def _scopes_of(found: _Sums, branch: str, min_cells: int, min_weight: float) -> Iterator[tuple[pd.DataFrame, Floats]]:
    """Yield the rows of the branch, of each subset and of the adjusted branch."""
    whole = found.groups.groupby("sample")["cells"].sum()
    samples = whole.index[whole >= min_cells]
    if samples.empty:
        return
    member = (found.groups["sample"].to_numpy() == samples.to_numpy()[:, None]).astype(float)
    cells = whole.loc[samples].to_numpy()
    yield _rows(samples, branch, branch, cells), member @ found.sums / cells[:, None]
    enough = found.groups["cells"].to_numpy() >= min_cells
    for subset in sorted(set(found.groups["subset"])):
        rows = np.flatnonzero(enough & (found.groups["subset"] == subset).to_numpy())
        if len(rows) and not is_unassigned(subset):
            chosen = found.groups.iloc[rows]
            means = found.sums[rows] / chosen["cells"].to_numpy()[:, None]
            yield _rows(chosen["sample"], subset, branch, chosen["cells"].to_numpy()), means
    yield _adjusted(found, branch, enough, samples, min_weight)


def _adjusted(
    found: _Sums, branch: str, enough: np.ndarray, samples: pd.Index, min_weight: float
) -> tuple[pd.DataFrame, Floats]:
    """Average the subsets' means with the weights that they have over all samples."""
    groups = found.groups
    shares = groups.groupby("subset")["cells"].sum() / groups["cells"].sum()
    own = groups["subset"].map(shares).to_numpy(dtype=float) * enough
    weights = (groups["sample"].to_numpy() == samples.to_numpy()[:, None]) * own
    held = weights.sum(axis=1)
    kept = (held >= min_weight) & (held > 0)
    weights, held = weights[kept], held[kept]
    cells = ((weights > 0) @ groups["cells"].to_numpy()).astype(int)
    means = (weights / held[:, None] / groups["cells"].to_numpy()) @ found.sums
    return _rows(samples[kept], f"{branch}{ADJUSTED}", branch, cells).assign(weight=held), means


def _rows(samples: pd.Index | pd.Series, scope: str, branch: str, cells: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"sample": list(samples), "scope": scope, "branch": branch, "cells": cells, "weight": 1.0},
        columns=OBS_COLUMNS,
    )
