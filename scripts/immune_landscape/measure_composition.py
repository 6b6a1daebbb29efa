"""Count the cells of every subset in every sample, with the denominator named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError

UNASSIGNED = "unassigned"
"""Category of the cells that no label was given to; they count in the total."""

COLUMNS = ["sample", "patient", "visit", "tissue", "parent", "subset", "cells", "total", "proportion"]
CELL_COLUMNS = ["sample", "lineage", "subset", "branch"]


def measure_composition(cells: pd.DataFrame, design: pd.DataFrame, *, branches: Sequence[str]) -> pd.DataFrame:
    """Count cells per sample: each lineage and each subset of all cells, and each subset of its branch.

    Parameters
    ----------
    cells
        One row per cell (index: cell id) with `sample`, `lineage`, `subset` and `branch`.
    design
        One row per sample with `sample`, `patient`, `visit`, `tissue` and `gex`.
    branches
        Values of `branch` whose subsets are counted among the cells of the branch.

    Returns
    -------
    pandas.DataFrame
        `sample, patient, visit, tissue, parent, subset, cells, total, proportion`: one row per
        sample with expression data, parent and subset, zeros included. `parent` is ``all`` (the
        lineages of all cells), a branch (its subsets), or ``cells`` (all cells by subset, and by
        lineage outside the branches). `proportion` is missing where `total` is 0.

    Raises
    ------
    InputError
        A column is missing, or a cell belongs to a sample that the design does not have.

    Notes
    -----
    The parts of a parent add up to it, so that log ratios of its proportions are defined.
    """
    _check_cells(cells, design)
    samples = design.loc[design["gex"].fillna("").astype(str) != "", ["sample", "patient", "visit", "tissue"]]
    parts = [_count_parts(cells, "lineage", "all", samples)]
    for branch in branches:
        members = cells[cells["branch"].astype(str) == branch]
        parts.append(_count_parts(members, "subset", branch, samples))
    parts.append(_count_parts(cells, "subset", "cells", samples))
    table = pd.concat(parts, ignore_index=True)
    table = table.astype({"cells": "int64", "total": "int64"})
    table["proportion"] = table["cells"] / table["total"].where(table["total"] > 0)
    return table[COLUMNS]


def is_unassigned(subset: str) -> bool:
    """Return whether a label says that a cell was given none, in its branch or at all.

    Parameters
    ----------
    subset
        Slug of a subset or lineage, such as ``nk_unassigned``.

    Returns
    -------
    bool
        True for ``unassigned`` and ``<branch>_unassigned``.
    """
    return subset == UNASSIGNED or subset.endswith(f"_{UNASSIGNED}")


def _check_cells(cells: pd.DataFrame, design: pd.DataFrame) -> None:
    missing = [column for column in CELL_COLUMNS if column not in cells]
    if missing:
        raise InputError(f"table of cells: no column {', '.join(missing)}; it has {', '.join(map(str, cells.columns))}")
    known = set(design.loc[design["gex"].fillna("").astype(str) != "", "sample"].astype(str))
    strangers = sorted(set(cells["sample"].astype(str)) - known)
    if strangers:
        raise InputError(
            f"table of cells: sample is {', '.join(map(repr, strangers[:10]))}, "
            f"expected a sample with gex in the design: {', '.join(sorted(known)[:20])}"
        )


def _count_parts(cells: pd.DataFrame, column: str, parent: str, samples: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sample and label, zeros included."""
    # Counted by codes: a sweep over labellings asks hundreds of times, and a cross table takes ten times as long.
    code, found = pd.factorize(cells[column].astype(object).where(cells[column].notna(), "").astype(str))
    labels = np.array([label or UNASSIGNED for label in map(str, found)], dtype=object)
    ordered = sorted(set(labels), key=_unassigned_last)
    place = np.array([ordered.index(label) for label in labels], dtype=np.int64)
    names = pd.Index(samples["sample"].astype(str))
    at = names.get_indexer(pd.Index(cells["sample"].astype(str))) * len(ordered) + place[code]
    tallied = np.bincount(at, minlength=len(names) * len(ordered)).reshape(len(names), len(ordered))
    counts = pd.DataFrame(tallied, index=names, columns=ordered)
    long = pd.DataFrame(
        {
            "sample": np.repeat(counts.index.to_numpy(dtype=object), len(ordered)),
            "subset": np.tile(np.array(ordered, dtype=object), len(counts)),
            "cells": counts[ordered].to_numpy().ravel(),
            "total": np.repeat(counts.sum(axis=1).to_numpy(), len(ordered)),
        }
    )
    return long.merge(samples, on="sample", how="left", validate="many_to_one").assign(parent=parent)


def _unassigned_last(label: str) -> tuple[bool, str]:
    return is_unassigned(label), label
