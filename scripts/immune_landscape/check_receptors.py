"""Hold receptors against gene expression: cells with too many chains, and T-cell receptors in other cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.receptor_chains import CHAIN_CATEGORIES
from immune_landscape.receptors_io import match_barcodes

NO_CONTIG = "no contig"
"""Category of a cell without any contig; `no IR` has contigs, none of them productive."""

ALL = "all"
DOUBLET_COLUMNS = [
    "sample", "chain_pairing", "cells", "doublets", "share", "expected_share", "ratio", "score_percentile",
]  # fmt: skip
LINEAGE_COLUMNS = [
    "sample", "patient", "visit", "lineage", "is_t_cell", "cells", "with_receptor", "share", "paired", "share_paired",
    "clone_in_t_cells", "expanded_clone", "evidence",
]  # fmt: skip


class Evidence(NamedTuple):
    """How much of a lineage that should have no T-cell receptor may carry one.

    Attributes
    ----------
    share
        Share of its cells from which it is told.
    cells
        Cells that it needs.
    """

    share: float
    cells: int


def check_receptors(
    clonotypes: pd.DataFrame,
    doublets: pd.DataFrame,
    cells: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    max_foreign_share: float,
    min_lineage_cells: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cross chain categories with doublet calls, and count T-cell receptors by lineage.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell.
    doublets
        Tables of `find_doublets.find_doublets` of all samples, indexed by cell.
    cells
        As `define_labels.define_labels` returns, indexed by cell: sample, lineage, branch.
    samples
        Table of `load_receptors.load_receptors`: sample, patient, visit, suffix_stripped.
    max_foreign_share
        Share of cells with a T-cell receptor from which a lineage other than T cells is marked.
    min_lineage_cells
        Cells of a lineage in a sample from which it is marked.

    Returns
    -------
    doublets
        One row per sample and chain category, ``all`` samples first: cells scored for doublets, those called, their
        share; the share expected if category and call had nothing to do with each other (within a sample the share of
        all its scored cells, ``all`` weighted by cells); their ratio; and the mean percentile of the score within its
        sample, 0.5 where the category says nothing. Samples that were not scored are left out.
    lineages
        One row per sample and lineage: kept cells, those with a usable T-cell receptor, share, those with both arms,
        share; among those with a receptor, cells whose clonotype a T cell of the sample bears too, and cells whose
        clonotype has at least two cells there; ``evidence``: ``doublets or ambient`` where a lineage that is no T cell
        exceeds `max_foreign_share`, else empty.

    Notes
    -----
    A cell with more than two chains of an arm is mostly two cells. A receptor in a B cell or a monocyte is a doublet
    that was not called, or molecules of the soup; those of a clone that T cells of the sample bear point to the soup
    all the more. NK cells with a receptor may be T cells by another name. Shares describe; nothing is tested.
    """
    scored = _scored_cells(clonotypes, doublets, samples)
    limit = Evidence(max_foreign_share, min_lineage_cells)
    return _cross_doublets(scored, list(samples["sample"])), _count_lineages(clonotypes, cells, samples, limit)


def _scored_cells(clonotypes: pd.DataFrame, doublets: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Return each cell that was scored in a sample with receptors: sample, chain_pairing, doublet, percentile."""
    sequenced = doublets["sample"].isin(samples["sample"]) & (doublets["cutoff"] != "not_scored")
    scored = doublets.loc[sequenced, ["sample", "doublet", "doublet_score"]].copy()
    stripped = samples.set_index("sample")["suffix_stripped"].astype(bool)
    category = pd.Series(NO_CONTIG, index=scored.index, dtype=object)
    for sample, own in clonotypes.groupby("sample", sort=False):
        there = scored.index[scored["sample"] == sample]
        found = own["chain_pairing"].set_axis(_names_in(there, own.index, stripped=bool(stripped[sample])))
        shared = there.intersection(found.index)
        category[shared] = found[shared]
    ranks = scored.groupby("sample")["doublet_score"].rank(pct=False)
    count = scored.groupby("sample")["doublet_score"].transform("count")
    return scored.assign(chain_pairing=category, percentile=(ranks - 0.5) / count)


def _names_in(cells: pd.Index, barcodes: pd.Index, *, stripped: bool) -> pd.Index:
    """Name barcodes as the cells are; where suffixes were cut to match, doublets still bear those of their contigs."""
    if not stripped:
        return barcodes
    rest = barcodes.difference(cells, sort=False)
    mapping = match_barcodes(cells.difference(barcodes, sort=False), rest).mapping
    mapping = mapping[mapping != ""]
    return pd.Index([mapping.get(name, name) for name in barcodes], dtype=object)


def _cross_doublets(scored: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    scored = scored.assign(doublet=scored["doublet"].astype(bool).astype(float))
    scored["expected"] = scored.groupby("sample")["doublet"].transform("mean")
    every = pd.concat([scored.assign(sample=ALL), scored])
    table = every.groupby(["sample", "chain_pairing"]).agg(
        cells=("doublet", "size"),
        doublets=("doublet", "sum"),
        share=("doublet", "mean"),
        expected_share=("expected", "mean"),
        score_percentile=("percentile", "mean"),
    )
    table = table.reset_index().astype({"doublets": int})
    table["ratio"] = np.where(table["expected_share"] > 0, table["share"] / table["expected_share"], np.nan)
    places = {name: at for at, name in enumerate([ALL, *order])}
    categories = {name: at for at, name in enumerate([*CHAIN_CATEGORIES, NO_CONTIG])}
    rank = table.assign(one=table["sample"].map(places), two=table["chain_pairing"].map(categories))
    return table.loc[rank.sort_values(["one", "two"]).index, DOUBLET_COLUMNS].reset_index(drop=True)


def _count_lineages(
    clonotypes: pd.DataFrame, cells: pd.DataFrame, samples: pd.DataFrame, limit: Evidence
) -> pd.DataFrame:
    kept = cells.loc[cells["sample"].isin(samples["sample"]), ["sample", "lineage", "branch"]].copy()
    own = clonotypes.reindex(kept.index)
    kept["is_t_cell"] = kept["branch"] == "t"
    kept["with_receptor"] = own["has_receptor"].astype("boolean").fillna(False).astype(bool)
    kept["paired"] = kept["with_receptor"] & (own["vj_junction_aa"].fillna("") != "")
    kept["paired"] &= own["vdj_junction_aa"].fillna("") != ""
    kept["clone"] = own["clonotype"].fillna("")
    bearers = kept[kept["is_t_cell"] & kept["with_receptor"]]
    known = pd.MultiIndex.from_frame(bearers[["sample", "clone"]].drop_duplicates())
    kept["clone_in_t_cells"] = kept["with_receptor"] & pd.MultiIndex.from_frame(kept[["sample", "clone"]]).isin(known)
    kept["expanded_clone"] = own["clonotype_size_sample"].fillna(0) > 1
    table = _tally(kept)
    design = samples[["sample", "patient", "visit"]]
    marked = ~table["is_t_cell"] & (table["share"] > limit.share) & (table["cells"] >= limit.cells)
    table["evidence"] = np.where(marked, "doublets or ambient", "")
    return design.merge(table, on="sample", how="inner")[LINEAGE_COLUMNS]


def _tally(kept: pd.DataFrame) -> pd.DataFrame:
    """Count by sample, lineage and whether the cells are T cells, which a lineage may hold in part."""
    counted = ["with_receptor", "paired", "clone_in_t_cells", "expanded_clone"]
    groups = kept.groupby(["sample", "lineage", "is_t_cell"])
    table = groups[counted].sum().astype(int).join(groups.size().rename("cells")).reset_index()
    return table.assign(
        share=table["with_receptor"] / table["cells"], share_paired=table["paired"] / table["cells"]
    ).sort_values(["sample", "is_t_cell", "lineage"], ascending=[True, False, True])
