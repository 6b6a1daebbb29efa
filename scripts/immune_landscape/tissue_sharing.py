"""Clones that the tissues of a patient share, in cells of each and at one depth of the other."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from immune_landscape.rarefaction import chance_seen

ALL = "all"
SHARING_COLUMNS = [
    *("patient", "visit", "tissue", "other_tissue", "subset", "cells", "clonotypes", "other_cells"),
    *("shared_clonotypes", "shared_cell_share", "depth", "shared_cell_share_at_depth"),
]


def share_tissues(carriers: pd.DataFrame, design: pd.DataFrame, min_cells: int) -> pd.DataFrame:
    """Count the cells of each tissue whose clone is met in another tissue of the patient at the same visit.

    Parameters
    ----------
    carriers
        As `clone_cells.label_carriers` returns.
    design
        One row per sample: tissue.
    min_cells
        Cells that a tissue needs to be looked for clones at one depth; the smallest that has them sets the depth.

    Returns
    -------
    pandas.DataFrame
        `SHARING_COLUMNS`, one row per visit, ordered pair of tissues and subset of the cells of the first, and one for
        all subsets. ``shared_cell_share`` is the share of the cells of ``tissue`` whose clone has a cell in
        ``other_tissue``, of whatever subset, and ``shared_cell_share_at_depth`` what is expected of ``depth`` cells of
        the other tissue: how many clones of a tumour are found in blood depends on how much blood was sequenced. Empty
        where patients have one tissue.
    """
    others = carriers.groupby(["patient", "visit", "tissue"]).size()
    usable = others[others >= min_cells]
    depth = int(usable.min()) if len(usable) else None
    order = {tissue: at for at, tissue in enumerate(dict.fromkeys(design["tissue"].astype(str)))}
    rows: list[tuple] = []
    for (patient, visit), cells in carriers.groupby(["patient", "visit"], sort=True):
        tissues = sorted(set(cells["tissue"]), key=lambda name: order[name])
        for tissue, other in itertools.permutations(tissues, 2):
            pair = [cells[cells["tissue"] == name] for name in (tissue, other)]
            rows += [(patient, visit, tissue, other, *row) for row in _shared(pair[0], pair[1], depth)]
    table = pd.DataFrame(rows, columns=SHARING_COLUMNS)
    return table.astype({"depth": "Int64"})


def _shared(here: pd.DataFrame, there: pd.DataFrame, depth: int | None) -> list[tuple]:
    """Return the row of all cells of a tissue and one of each of their subsets."""
    counts = there["clonotype"].value_counts()
    is_shared = here["clonotype"].isin(counts.index)
    deep = depth if depth is not None and len(there) >= depth else None
    chance = np.full(len(here), np.nan)
    if deep is not None:
        seen = pd.Series(chance_seen(counts.to_numpy(), deep), index=counts.index)
        chance = seen.reindex(here["clonotype"]).fillna(0.0).to_numpy()
    table = here.assign(is_shared=is_shared, chance=chance)
    parts = [(ALL, table), *table.groupby("subset", sort=True)]
    return [
        (
            *(str(subset), len(rows), rows["clonotype"].nunique(), len(there)),
            *(rows.loc[rows["is_shared"], "clonotype"].nunique(), rows["is_shared"].mean(), deep),
            rows["chance"].mean(),
        )
        for subset, rows in parts
    ]
