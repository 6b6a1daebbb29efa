"""Broad lineages from markers, a reference's vote and receptors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types, types_of
from immune_landscape.consensus import agreement_of, join_witnesses, lineage_vote, receptor_of, vote_of
from immune_landscape.level_scores import COVERAGE, coverage_of, expression_of, missing_of
from immune_landscape.marker_scores import (
    FEW_GENES,
    SCORED,
    best_type,
    entry_of,
    gene_weights,
    score_cells,
    smooth,
    status_of,
    type_scores,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

UNASSIGNED = "unassigned"
AGAINST = {"t": "broad.T_against_NK", "nk": "broad.NK_against_T"}
"""Marker sets whose difference tells T from NK cells; cytotoxic T cells score high on all else that NK cells do."""
GAIN = 4.0
"""Score that the loser of T and NK is put back by, per unit (log1p of counts per 10,000) of that difference."""
MIN_AGAINST = 2
"""Genes that each of the two sets needs in the data."""


def annotate_lineages(
    counts: CellCounts,
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
    a T-cell receptor where others say T or NK; `consensus.join_witnesses` joins them. By markers no cell is named as
    a lineage that `faults_of` finds a fault with: too few of its genes are in the data, or of those of its rivals.

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
    faults = faults_of(types, counts.var_names)
    named = [slug for slug, fault in faults.items() if not fault]
    LOG.info("not named by markers: %s", {slug: fault for slug, fault in faults.items() if fault})
    cluster = clusters.obs.loc[counts.obs_names, "cluster"].astype(str)
    evidence, contrast = _evidence_of(counts, reduction, types)
    near = [smooth(table, clusters[counts.obs_names].obsp["connectivities"]) for table in (evidence, contrast)]
    mean = [table.groupby(cluster).transform("mean") for table in (evidence, contrast)]
    own, by_cluster = (
        _name(_t_or_nk(type_scores(scores, types), gap), named, min_score=min_score, min_margin=min_margin)
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


def faults_of(types: pd.DataFrame, genes: Iterable[str]) -> dict[str, str]:
    """Say of each lineage why data with these genes leave no cell to be named so.

    Parameters
    ----------
    types
        Lineages: rows of `cell_types.read_cell_types`.
    genes
        Genes in the data.

    Returns
    -------
    dict
        Slug -> fault, empty for none. A lineage needs a marker set that is looked for (`marker_scores.status_of`), and
        so does each of its rivals, whose cells would else bear its name. T and NK cells are told apart by genes of
        their own, so that neither needs the other's marker sets.
    """
    known, weights = set(genes), gene_weights(types)
    sets = {str(slug): names for slug, names in types["marker_sets"].items() if names}
    states = {slug: {status_of(name, known, weights) for name in names} for slug, names in sets.items()}
    lacking = {slug for slug, found in states.items() if SCORED not in found}
    apart = _tells_t_from_nk(known)
    faults = {}
    for slug, rivals in types.loc[list(states), "rivals"].items():
        unknown = [
            rival
            for rival in rivals
            if rival in states and (not apart if {slug, rival} == set(AGAINST) else rival in lacking)
        ]
        fault = f"not told from {', '.join(unknown)}" if unknown else ""
        faults[str(slug)] = FEW_GENES if slug in lacking else fault
    return faults


def coverage_of_lineages(tissues: tuple[str, ...], genes: Iterable[str]) -> pd.DataFrame:
    """List which markers of the lineages the data lack, and which lineages they leave out.

    Parameters
    ----------
    tissues
        As in `annotate_lineages`.
    genes
        Genes in the data.

    Returns
    -------
    pandas.DataFrame
        As `level_scores.coverage_of` returns; ``status`` also tells which rival a lineage cannot be told from. The two
        sets by which T and NK cells are told apart have rows of their own.
    """
    types, known = types_of("lineage", tissues=tissues), set(genes)
    table, faults = coverage_of(types, known), faults_of(types, known)
    told = table["type"].map(faults)
    table["status"] = table["status"].mask((table["status"] == SCORED) & (told != ""), told)
    status = SCORED if _tells_t_from_nk(known) else FEW_GENES
    against = [(slug, *missing_of(name, known), status) for slug, name in AGAINST.items()]
    return pd.concat([table, pd.DataFrame(against, columns=COVERAGE)], ignore_index=True)


def _tells_t_from_nk(genes: Collection[str]) -> bool:
    return all(sum(gene in genes for gene in entry_of(name)["genes"]) >= MIN_AGAINST for name in AGAINST.values())


def _evidence_of(counts: CellCounts, reduction: AnnData, types: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells x marker sets, and the contrast of T against NK (no column where the data lack its genes)."""
    known, weights = set(counts.var_names), gene_weights(types)
    names = [name for sets in types["marker_sets"] for name in sets]
    sets = [name for name in names if status_of(name, known, weights) == SCORED]
    evidence = score_cells(counts, sets, reduction.uns["reduction"]["genes"])
    contrast = pd.DataFrame(index=counts.obs_names)
    if _tells_t_from_nk(known):
        genes = {slug: [gene for gene in entry_of(name)["genes"] if gene in known] for slug, name in AGAINST.items()}
        values = expression_of(counts, [*genes["t"], *genes["nk"]])
        contrast["t"] = values[genes["t"]].mean(axis=1) - values[genes["nk"]].mean(axis=1)
    return evidence, contrast


def _t_or_nk(by_type: pd.DataFrame, contrast: pd.DataFrame) -> pd.DataFrame:
    """Give the better score of T and NK to the one that the contrast speaks for, and put the other back."""
    scored = [slug for slug in AGAINST if slug in by_type.columns]
    if contrast.empty or not scored:
        return by_type
    gap, best = GAIN * contrast["t"], by_type[scored].max(axis=1)
    return by_type.assign(t=best + np.minimum(gap, 0), nk=best - np.maximum(gap, 0))


def _name(by_type: pd.DataFrame, named: list[str], *, min_score: float, min_margin: float) -> pd.DataFrame:
    """Name the best lineage, and leave open the cells for which that is none of those that can be named."""
    best = best_type(by_type, unassigned=UNASSIGNED, min_score=min_score, min_margin=min_margin)
    return best.assign(label=best["label"].where(best["label"].isin(named), UNASSIGNED))
