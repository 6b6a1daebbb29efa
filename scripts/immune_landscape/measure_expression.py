"""Sum the raw counts of every sample's cells by subset, by branch and as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.block_sums import sum_counts
from immune_landscape.errors import InputError
from immune_landscape.measure_composition import is_unassigned
from immune_landscape.pseudobulk import WHOLE
from immune_landscape.store import rows_of

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

PROFILE = ["sample", "patient", "visit", "subset", "cells"]


def measure_expression(
    counts: CellCounts,
    labels: pd.DataFrame,
    design: pd.DataFrame,
    scheduler: str = "",
    *,
    min_cells: int,
    branches: Sequence[str],
) -> AnnData:
    """Sum raw counts per sample and subset, per sample and branch, and per sample.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    labels
        One row per cell (index: cell id) with `subset` and `branch`.
    design
        One row per sample with `sample`, `patient` and `visit`.
    scheduler
        Dask scheduler whose workers share the sums, as in `block_work.over_blocks`; empty for none.
    min_cells
        Cells below which a sum is left out.
    branches
        Values of `branch` whose cells are also summed as a whole, the unassigned included.

    Returns
    -------
    AnnData
        Sums x genes: ``obs`` holds `sample, patient, visit, subset, cells` in the order of branches, subsets by name,
        all cells of a sample (`pseudobulk.WHOLE`) and samples of the design; ``var`` is that of the counts. Cells
        without a label enter no subset.

    Raises
    ------
    InputError
        A cell belongs to a sample that the design does not have.

    Notes
    -----
    A sum of raw counts is the unit of all tests of expression: cells are never replicates (Squair 2021,
    doi:10.1038/s41467-021-25960-2).
    """
    import anndata
    import scipy.sparse as sp

    sample = counts.obs["sample"].astype(str).to_numpy(dtype=object)
    _check_samples(sample, design)
    cells = rows_of(labels, counts.obs_names)
    member = pd.DataFrame({"sample": sample, "subset": cells["subset"].astype(str).to_numpy(dtype=object)})
    # A cell without a subset bears the name of its branch, and counts in that sum alone.
    parts = [member[~member["subset"].map(is_unassigned) & ~member["subset"].isin(list(branches))]]
    branch = cells["branch"].astype(str).to_numpy(dtype=object)
    parts += [member[branch == name].assign(subset=name) for name in branches]
    parts.append(member.assign(subset=WHOLE))
    long = pd.concat(parts)
    profiles = _profiles(long, design, branches, min_cells)
    keys = pd.MultiIndex.from_frame(profiles[["sample", "subset"]])
    code = keys.get_indexer(pd.MultiIndex.from_frame(long[["sample", "subset"]]))
    kept = code >= 0
    ones = np.ones(int(kept.sum()), dtype=np.int64)
    shape = (len(profiles), counts.n_obs)
    indicator = sp.csr_matrix((ones, (code[kept], long.index.to_numpy()[kept])), shape=shape)
    sums = sum_counts(counts, indicator, scheduler)
    profiles.index = pd.Index((profiles["sample"] + ":" + profiles["subset"]).astype(object))
    return anndata.AnnData(sums, obs=profiles, var=counts.var.copy())


def _check_samples(sample: np.ndarray, design: pd.DataFrame) -> None:
    strangers = sorted(set(sample) - set(design["sample"].astype(str)))
    if strangers:
        raise InputError(f"counts: sample is {', '.join(map(repr, strangers[:10]))}, which the design does not have")


def _profiles(long: pd.DataFrame, design: pd.DataFrame, branches: Sequence[str], min_cells: int) -> pd.DataFrame:
    """Return the sums with enough cells: branches, subsets, whole samples."""
    cells = long.groupby(["sample", "subset"], sort=False).size().rename("cells").reset_index()
    cells = cells[cells["cells"] >= min_cells]
    place = {name: at for at, name in enumerate(design["sample"].astype(str))}
    block = {name: at for at, name in enumerate(branches)} | {WHOLE: len(branches) + 1}
    order = pd.DataFrame(
        {
            "block": [block.get(name, len(branches)) for name in cells["subset"]],
            "subset": cells["subset"].to_numpy(),
            "sample": [place[name] for name in cells["sample"]],
        }
    )
    cells = cells.iloc[order.sort_values(["block", "subset", "sample"], kind="stable").index]
    facts = design.drop_duplicates("sample").set_index("sample")[["patient", "visit"]].astype(str)
    facts = facts.reindex(cells["sample"]).reset_index(drop=True)
    return cells.reset_index(drop=True).join(facts)[PROFILE]
