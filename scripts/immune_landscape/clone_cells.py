"""T cells with a clonotype and a subset: what every table that links clones to phenotypes starts from."""

from __future__ import annotations

import pandas as pd

from immune_landscape.cell_types import read_cell_types
from immune_landscape.errors import InputError
from immune_landscape.measure_composition import is_unassigned

BRANCH = "t"
INVARIANT = ("mait", "inkt")
"""Kinds of receptor that many clones of a person share in part: their clones are no sign of one antigen."""

COLUMNS = ["sample", "patient", "visit", "tissue", "clonotype", "subset", "receptor"]


def label_carriers(
    clonotypes: pd.DataFrame, cells: pd.DataFrame, receptors: pd.DataFrame, design: pd.DataFrame
) -> pd.DataFrame:
    """Join clonotype, subset and kind of receptor of the T cells that have a usable receptor.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell.
    cells
        As `define_labels.define_labels` returns, indexed by cell: branch, subset.
    receptors
        As `witness_receptors.witness_receptors` returns, indexed by cell: receptor.
    design
        One row per sample: sample, patient, visit, tissue.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, indexed by cell. Cells outside branch ``t`` are left out: a receptor there is mostly a doublet's or
        ambient RNA.

    Raises
    ------
    InputError
        The receptors hold a sample that the design lacks.
    """
    unknown = sorted(set(clonotypes["sample"]) - set(design["sample"]))
    if unknown:
        raise InputError(f"receptors hold samples that the design lacks: {', '.join(unknown)}")
    named = clonotypes.index[clonotypes["has_receptor"].astype(bool)].intersection(
        cells.index[cells["branch"] == BRANCH], sort=False
    )
    table = clonotypes.loc[named, ["sample", "clonotype"]].copy()
    table["subset"] = cells.loc[named, "subset"].astype(str)
    table["receptor"] = receptors["receptor"].reindex(named).fillna("none").astype(str)
    facts = design.set_index("sample")
    for column in ("patient", "visit", "tissue"):
        table[column] = table["sample"].map(facts[column]).astype(str)
    return table[COLUMNS].rename_axis("cell")


def sequenced_samples(clonotypes: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the design whose samples were sequenced for receptors, found or not.

    Parameters
    ----------
    clonotypes
        Table with ``sample``.
    design
        One row per sample; ``tcr``, where present, tells the samples sequenced.

    Returns
    -------
    pandas.DataFrame
        In the order of the design.
    """
    sequenced = design["sample"].isin(set(clonotypes["sample"]))
    if "tcr" in design:
        sequenced |= design["tcr"].fillna("") != ""
    return design[sequenced]


def is_closed(subset: str) -> bool:
    """Tell whether a label names one subset, neither unassigned nor a parent whose cells may be of several.

    Parameters
    ----------
    subset
        Slug.

    Returns
    -------
    bool
        False for ``t_unassigned`` and for ``cd4_t``, whose cells would seem to change subset without changing.
    """
    return not is_unassigned(subset) and subset not in set(read_cell_types()["parent"])
