"""Broad lineages from markers, a reference's vote and receptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types, types_of
from immune_landscape.consensus import agreement_of, join_witnesses, lineage_vote, receptor_of, vote_of
from immune_landscape.level_scores import entry_of, expression_of
from immune_landscape.marker_scores import best_type, score_cells, smooth, type_scores

if TYPE_CHECKING:
    from anndata import AnnData

UNASSIGNED = "unassigned"
AGAINST = {"t": "broad.T_against_NK", "nk": "broad.NK_against_T"}
"""Marker sets whose difference tells T from NK cells; cytotoxic T cells score high on all else that NK cells do."""
GAIN = 4.0
"""Score that the loser of T and NK is put back by, per unit (log1p of counts per 10,000) of that difference."""
MIN_AGAINST = 2
"""Genes that each of the two sets needs in the data."""


def annotate_lineages(
    counts: AnnData,
    reduction: AnnData,
    clusters: AnnData,
    tissues: tuple[str, ...] = ("blood",),
    votes: pd.DataFrame | None = None,
    receptors: pd.DataFrame | None = None,
    *,
    min_score: float,
    min_margin: float,
) -> pd.DataFrame:
    """Name the lineage of each cell, or leave it unassigned.

    Witnesses are the markers of the cell and its neighbours, the markers of its cluster, the vote of a reference, and
    a T-cell receptor where others say T or NK; `consensus.join_witnesses` joins them.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    reduction, clusters
        As `reduce_cells` and `cluster_cells` return for all cells.
    tissues
        Tissues of the cohort; epithelial, stromal and other lineages of tissue are not looked for in blood alone.
    votes
        Table of `classify_cells`; None without a reference.
    receptors
        Table of `witness_receptors`; None without single-cell receptors.
    min_score, min_margin
        Smoothed score that a lineage needs, and its lead over the next; below, the cell is ``unassigned``.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``cluster``, ``lineage`` (slug), ``branch`` (nk, t, other), ``score``,
        ``runner_up``, ``margin`` (by the cell's own markers), ``markers``, ``by_cluster``, ``reference``,
        ``receptor`` (what each witness says, empty for nothing) and ``agreement`` (share of the witnesses with a say
        that name the lineage).
    """
    types = types_of("lineage", tissues=tissues)
    evidence, contrast = _evidence_of(counts, reduction, types)
    cluster = clusters.obs.loc[counts.obs_names, "cluster"].astype(str)
    near = [smooth(table, clusters[counts.obs_names].obsp["connectivities"]) for table in (evidence, contrast)]
    mean = [table.groupby(cluster).transform("mean") for table in (evidence, contrast)]
    own, by_cluster = (
        best_type(
            _t_or_nk(type_scores(scores, types), gap),
            unassigned=UNASSIGNED,
            min_score=min_score,
            min_margin=min_margin,
        )
        for scores, gap in (near, mean)
    )
    said = pd.DataFrame({"markers": own["label"], "by_cluster": by_cluster["label"]}, dtype=object)
    said["reference"] = vote_of(votes, "lineage", said.index, types.index)
    receptor = receptor_of(receptors, said.index)
    heard = said.assign(receptor=lineage_vote(receptor, said))
    lineage = join_witnesses(heard, own["margin"], unassigned=UNASSIGNED, parents={}, min_margin=min_margin)
    table = pd.DataFrame({"sample": counts.obs["sample"].astype(str), "cluster": cluster}, index=counts.obs_names)
    table = table.assign(lineage=lineage, branch=lineage.map(read_cell_types()["branch"]))
    table = table.join(own[["score", "runner_up", "margin"]]).join(said.assign(receptor=receptor))
    return table.assign(agreement=agreement_of(heard, lineage, {})).rename_axis("cell")


def _evidence_of(counts: AnnData, reduction: AnnData, types: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells x marker sets, and the contrast of T against NK (no column where the data lack its genes)."""
    sets = [name for names in types["marker_sets"] for name in names]
    evidence = score_cells(counts, sets, reduction.uns["reduction"]["genes"])
    genes = {branch: entry_of(name)["genes"] for branch, name in AGAINST.items()}
    values = expression_of(counts, [gene for names in genes.values() for gene in names])
    found = {branch: [gene for gene in names if gene in values.columns] for branch, names in genes.items()}
    contrast = pd.DataFrame(index=values.index)
    if min(map(len, found.values())) >= MIN_AGAINST:
        contrast["t"] = values[found["t"]].mean(axis=1) - values[found["nk"]].mean(axis=1)
    return evidence, contrast


def _t_or_nk(by_type: pd.DataFrame, contrast: pd.DataFrame) -> pd.DataFrame:
    """Give the better score of T and NK to the one that the contrast speaks for, and put the other back."""
    if contrast.empty or not set(AGAINST) <= set(by_type.columns):
        return by_type
    gap, best = GAIN * contrast["t"], by_type[list(AGAINST)].max(axis=1)
    return by_type.assign(t=best + np.minimum(gap, 0), nk=best - np.maximum(gap, 0))
