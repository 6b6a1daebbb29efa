"""Which subsets hold a sample's expanded clones, as counted and at one depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.clone_cells import BRANCH, INVARIANT, is_closed, sequenced_samples
from immune_landscape.clone_depth import chance_of_size
from immune_landscape.compare_values import TOO_SPARSE
from immune_landscape.repertoire_metrics import CLASSES, CUTOFFS, reported_classes
from immune_landscape.value_tables import VALUE_COLUMNS, ordered_values

_DESIGN = ["sample", "patient", "visit", "tissue", "response"]
HOMEOSTASIS = tuple(f"homeo_{name}{suffix}" for suffix in CUTOFFS for name in ("large", "hyperexpanded"))
"""Classes of clonal homeostasis that speak of expansion, with the cut-offs of immunarch and of scRepertoire."""

AT_DEPTH = ("expanded_share_at_depth", "share_of_expanded_at_depth", *HOMEOSTASIS)
COMPARED = (*AT_DEPTH[:2], "expanded_share_within")
"""Numbers of a subset that may be compared between patients."""

SUBSET_COLUMNS = [
    *_DESIGN,
    *("subset", "cells", "receptor_cells", "clonotypes", "expanded_cells", "expanded_share", "share_of_expanded"),
    *("largest_clone", "largest_cells", "largest_share"),
    *("invariant_share", "mait_share", "inkt_share", "invariant_expanded_share"),
    *("depth", *AT_DEPTH, "subset_depth", "expanded_share_within"),
]


class SubsetRule(NamedTuple):
    """When a clone is expanded, and when a number is given.

    Attributes
    ----------
    expanded_from
        Cells of a sample from which its clonotype is expanded there.
    min_cells
        T cells with a receptor that a sample needs for numbers at one depth; the smallest that has them sets the depth.
    min_subset_cells
        The same of a subset.
    """

    expanded_from: int
    min_cells: int
    min_subset_cells: int


def measure_subsets(
    carriers: pd.DataFrame, cells: pd.DataFrame, design: pd.DataFrame, rule: SubsetRule
) -> pd.DataFrame:
    """Count receptor cells, clones and expanded cells of every subset of every sample sequenced.

    Parameters
    ----------
    carriers
        As `clone_cells.label_carriers` returns.
    cells
        All labelled cells, indexed by cell: sample, branch, subset.
    design
        One row per sample: sample, patient, visit, tissue, response.
    rule
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        `SUBSET_COLUMNS`, one row per sample and subset of the cohort. ``expanded_share`` is the share of the subset's
        receptor cells in clones expanded in the sample, ``share_of_expanded`` the share of the sample's expanded cells
        that lie in the subset; ``..._at_depth`` what is expected of ``depth`` cells of the sample, and ``homeo_...``
        the expected share of the subset's cells in clones of that class at that depth. ``expanded_share_within`` counts
        clones within the subset alone, at ``subset_depth`` cells of it, and so does not move when the subset grows or
        shrinks. Shares are missing without cells, those at one depth also where there are too few.
    """
    samples = sequenced_samples(carriers, design)
    subsets = sorted(set(cells.loc[cells["branch"] == BRANCH, "subset"].astype(str)) | set(carriers["subset"]))
    grid = samples[_DESIGN].merge(pd.DataFrame({"subset": subsets}, dtype=object), how="cross")
    table = grid.merge(_labelled(cells), how="left").merge(_counted(_sized(carriers, rule)), how="left")
    numbers = ["cells", "receptor_cells", "clonotypes", "expanded_cells", "largest_cells"]
    table[numbers] = table[numbers].fillna(0).astype(int)
    table["largest_clone"] = table["largest_clone"].fillna("")
    table["expanded_share"] = _ratio(table["expanded_cells"], table["receptor_cells"])
    totals = table.groupby("sample")["expanded_cells"].transform("sum")
    table["share_of_expanded"] = _ratio(table["expanded_cells"], totals)
    table["largest_share"] = _ratio(table["largest_cells"], table["receptor_cells"])
    standard = _standardised(carriers, rule)
    return table.merge(standard, on=["sample", "subset"], how="left", validate="one_to_one")[SUBSET_COLUMNS]


def compared_subsets(
    subsets: pd.DataFrame, design: pd.DataFrame, features: Sequence[str], max_sparse_share: float
) -> pd.DataFrame:
    """Pick the numbers that are compared between patients.

    Parameters
    ----------
    subsets
        As `measure_subsets` returns.
    design
        One row per sample.
    features
        Of `COMPARED`.
    max_sparse_share
        A subset without a value in more than this share of the samples is listed, and told as too sparse.

    Returns
    -------
    pandas.DataFrame
        `value_tables.VALUE_COLUMNS` and ``note``, parent the subset; subsets that have a value in no sample, and labels
        that name no one subset, are left out.
    """
    parts = []
    named = subsets[subsets["subset"].map(is_closed).astype(bool)]
    for feature in features:
        for subset, rows in named.groupby("subset", sort=True):
            lacking = rows[feature].isna().mean()
            if lacking == 1:
                continue
            note = f"{TOO_SPARSE}too few receptor cells in {lacking:.0%} of the samples"
            told = {"parent": subset, "feature": feature, "note": note if lacking > max_sparse_share else ""}
            parts.append(rows.assign(value=rows[feature], low=np.nan, high=np.nan, unit="fraction", **told))
    if not parts:
        return pd.DataFrame(columns=[*VALUE_COLUMNS, "note"])
    return ordered_values(pd.concat(parts, ignore_index=True), design, ["note"])


def _ratio(part: pd.Series, whole: pd.Series) -> pd.Series:
    return part / whole.where(whole > 0)


def _labelled(cells: pd.DataFrame) -> pd.DataFrame:
    here = cells[cells["branch"] == BRANCH].astype({"subset": str})
    return here.groupby(["sample", "subset"]).size().rename("cells").reset_index()


def _sized(carriers: pd.DataFrame, rule: SubsetRule) -> pd.DataFrame:
    """Add size of each cell's clone in its sample, and whether it is expanded or invariant."""
    size = carriers.groupby(["sample", "clonotype"])["subset"].transform("size")
    kinds = {f"is_{kind}": carriers["receptor"] == kind for kind in INVARIANT}
    invariant = carriers["receptor"].isin(INVARIANT)
    return carriers.assign(size=size, expanded=size >= rule.expanded_from, invariant=invariant, **kinds)


def _counted(sized: pd.DataFrame) -> pd.DataFrame:
    keys = ["sample", "subset"]
    groups = sized.groupby(keys)
    table = groups.agg(
        receptor_cells=("clonotype", "size"),
        clonotypes=("clonotype", "nunique"),
        expanded_cells=("expanded", "sum"),
        invariant_share=("invariant", "mean"),
        mait_share=("is_mait", "mean"),
        inkt_share=("is_inkt", "mean"),
    )
    table["invariant_expanded_share"] = sized[sized["expanded"]].groupby(keys)["invariant"].mean()
    clones = sized.groupby([*keys, "clonotype"]).size().rename("largest_cells").reset_index()
    ordered = clones.sort_values([*keys, "largest_cells", "clonotype"], ascending=[True, True, False, True])
    largest = ordered.drop_duplicates(keys).rename(columns={"clonotype": "largest_clone"}).set_index(keys)
    return table.join(largest).reset_index()


def _standardised(carriers: pd.DataFrame, rule: SubsetRule) -> pd.DataFrame:
    """Return what is expected of each subset at one depth of the sample, and of the subset by itself."""
    by_subset = carriers.groupby(["sample", "subset"]).size()
    by_sample = carriers.groupby("sample").size()
    depth = _common(by_sample, rule.min_cells)
    parts = [
        _at_depth(rows, depth, rule)
        for _, rows in carriers.groupby("sample")
        if depth is not None and len(rows) >= rule.min_cells
    ]
    found = pd.concat(parts) if parts else pd.DataFrame(columns=list(AT_DEPTH), dtype=float)
    enough = by_subset[by_subset >= rule.min_subset_cells]
    found = found.reindex(by_subset.index)
    found.loc[by_subset < rule.min_subset_cells, list(AT_DEPTH)] = np.nan
    found["depth"] = pd.array([depth] * len(found), dtype="Int64")
    depths = enough.groupby("subset").transform("min")
    found["subset_depth"] = depths.reindex(found.index).astype("Int64")
    found["expanded_share_within"] = _within(carriers, depths, rule).reindex(found.index)
    return found.reset_index()


def _common(sizes: pd.Series, least: int) -> int | None:
    usable = sizes[sizes >= least]
    return int(usable.min()) if len(usable) else None


def _at_depth(rows: pd.DataFrame, depth: int, rule: SubsetRule) -> pd.DataFrame:
    """Average over the cells of each subset of one sample the chances of their clones at one depth."""
    sizes = rows["clonotype"].map(rows["clonotype"].value_counts()).to_numpy()
    total = len(rows)
    chances = {"expanded": chance_of_size(sizes, total, depth, rule.expanded_from - 1, depth)}
    for suffix, bounds in CUTOFFS.items():
        reported, edges = reported_classes(bounds, depth), (0.0, *bounds, 1.0)
        for name in ("large", "hyperexpanded"):
            at = CLASSES.index(name)
            inside = chance_of_size(sizes, total, depth, edges[at] * depth, edges[at + 1] * depth)
            chances[f"homeo_{name}{suffix}"] = inside if reported[at] else np.full(total, np.nan)
    table = pd.DataFrame(chances, index=rows.index).groupby([rows["sample"], rows["subset"]])
    means, expected = table.mean(), table["expanded"].sum()
    shares = _ratio(expected, pd.Series(expected.sum(), index=expected.index))
    named = means.rename(columns={"expanded": AT_DEPTH[0]})
    return named.assign(**{AT_DEPTH[1]: shares})[list(AT_DEPTH)]


def _within(carriers: pd.DataFrame, depths: pd.Series, rule: SubsetRule) -> pd.Series:
    """Return the expected share of expanded cells of each subset by itself, at the depth of the subset."""
    found = {}
    known = depths.to_dict()
    for key, rows in carriers.groupby(["sample", "subset"]):
        if key not in known:
            continue
        sizes = rows["clonotype"].map(rows["clonotype"].value_counts()).to_numpy()
        depth = int(known[key])
        found[key] = chance_of_size(sizes, len(rows), depth, rule.expanded_from - 1, depth).mean()
    places = pd.MultiIndex.from_arrays([[key[at] for key in found] for at in (0, 1)], names=["sample", "subset"])
    return pd.Series(list(found.values()), index=places, dtype=float)
