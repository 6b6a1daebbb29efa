"""NK and T subsets within their branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.anchors import match_anchors, name_by_anchor, read_anchors
from immune_landscape.cell_types import types_of
from immune_landscape.consensus import (
    agreement_of,
    join_witnesses,
    receptor_of,
    rule_out,
    subset_vote,
    vote_of,
)
from immune_landscape.level_scores import (
    RULED_OUT,
    SIDE_SCORE,
    above_level,
    close_sides,
    coverage_of,
    coverage_of_sides,
    expression_of,
    level_genes,
    score_types,
    share_found,
    side_of,
)
from immune_landscape.marker_scores import best_type, smooth

if TYPE_CHECKING:
    from collections.abc import Iterable

    import scipy.sparse as sp
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

STATE_SCORE = 1.0
"""Score that a state needs, and a subset that is a state too: what sets such cells apart goes on within all subsets."""


def annotate_subsets(
    counts: CellCounts,
    reduction: AnnData,
    clusters: AnnData,
    branch: str,
    tissues: tuple[str, ...] = ("blood",),
    votes: pd.DataFrame | None = None,
    receptors: pd.DataFrame | None = None,
    *,
    min_score: float,
    min_margin: float,
    anchors: dict[str, str],
    anchor_fold: float,
    anchor_share: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the subset of each cell of a branch.

    Witnesses are the markers of the cell and its neighbours, the markers of its cluster, the vote of a reference and,
    among T cells, the receptor; `consensus.join_witnesses` joins them. By markers a cell is of the type whose genes
    lie highest above what is typical of the branch (`level_scores`), CD4 types being open to cells on the CD4 side
    alone and CD8 types to those on the CD8 side; where its subset is open, it gets the parent of the best types.
    Types named by an anchor gene (as the NK clusters of Tan 2025 are) go first: a cluster takes its best-ranked
    anchor among those that lie at least `anchor_fold` above the other clusters and that enough of its cells express.
    An anchor without a cluster has *no match*.

    Parameters
    ----------
    counts
        Cells of the branch x genes, raw counts.
    reduction, clusters
        As `reduce_cells` and `cluster_cells` return for the branch.
    branch
        ``nk`` or ``t``.
    tissues
        Tissues of the cohort.
    votes
        Table of `classify_cells`; None without a reference.
    receptors
        Table of `witness_receptors`; None without single-cell receptors.
    min_score, min_margin
        Score that a subset needs, and its lead over the next, in standard deviations of its markers; both rise as
        markers are missing from the data.
    anchors
        Anchor gene -> what it names, as `anchors.read_anchors` takes them.
    anchor_fold
        Log2 fold change of an anchor gene over the other clusters that a cluster needs to be named by it.
    anchor_share
        Share of the cluster's cells that must express the anchor.

    Returns
    -------
    cells
        Index ``cell``; ``sample``, ``cluster``, ``subset`` (slug), ``state`` (slug or empty), ``score``,
        ``runner_up``, ``margin`` (by the cell's own markers), ``markers``, ``by_cluster``, ``reference``,
        ``receptor`` (what each witness says, empty for nothing) and ``agreement`` (share of the witnesses with a say
        that name the subset).
    matched
        As `anchors.match_anchors` returns.

    References
    ----------
    Tan 2025, doi:10.1038/s41392-025-02488-1 (clusters named ``c<N>-<gene>``).
    """
    scored = score_branch(counts, reduction, branch, tissues)
    evidence = smooth_scores(scored, clusters[counts.obs_names].obsp["connectivities"])
    own = name_by_score(scored, evidence, min_score=min_score, min_margin=min_margin)
    cluster = clusters.obs.loc[counts.obs_names, "cluster"].astype(str)
    by_cluster = name_clusters_by_score(scored, cluster, min_score=min_score, min_margin=min_margin)
    matched = match_anchors(counts, cluster, read_anchors(anchors, branch), anchor_fold, anchor_share)
    said = witnesses_of(scored, own["label"], name_by_anchor(by_cluster, cluster, matched), votes, receptors)
    subset = name_by_anchor(join_names(scored, said, own["margin"], min_margin=min_margin), cluster, matched)
    state = name_states(scored, evidence)
    table = pd.DataFrame({"sample": counts.obs["sample"].astype(str), "cluster": cluster}, index=counts.obs_names)
    table = table.assign(subset=subset, state=state.mask(state == subset, ""))
    table = table.join(own[["score", "runner_up", "margin"]]).join(said)
    table["agreement"] = agreement_of(votes_of(scored, said), subset, scored.parents)
    return table.rename_axis("cell"), matched


class BranchScores(NamedTuple):
    """What the labels of a branch rest on besides its graph and clusters.

    Attributes
    ----------
    branch
        ``nk`` or ``t``.
    types
        Subsets: rows of `cell_types.read_cell_types` that cells of the branch may get.
    states
        Likewise states.
    scores
        Cells x marker genes, as `level_scores.expression_of` returns.
    """

    branch: str
    types: pd.DataFrame
    states: pd.DataFrame
    scores: pd.DataFrame

    @property
    def unassigned(self) -> str:
        """Label of a cell of the branch whose subset is not known."""
        return f"{self.branch}_unassigned"

    @property
    def parents(self) -> dict[str, str]:
        """Child -> parent of the types of the branch."""
        known = self.types["parent"].isin(self.types.index)
        return {str(slug): str(parent) for slug, parent in self.types.loc[known, "parent"].items()}


def score_branch(counts: CellCounts, reduction: AnnData, branch: str, tissues: tuple[str, ...]) -> BranchScores:
    """Look up the markers of a branch in each of its cells.

    Parameters
    ----------
    counts, reduction, branch, tissues
        As in `annotate_subsets`.

    Returns
    -------
    BranchScores
        Independent of neighbours and clusters.
    """
    types, states = (types_of(level, branch=branch, tissues=tissues) for level in ("subset", "state"))
    genes = level_genes(pd.concat([types, states]), branch)
    return BranchScores(branch, types, states, expression_of(counts, genes))


def coverage_of_branch(branch: str, tissues: tuple[str, ...], genes: Iterable[str]) -> pd.DataFrame:
    """List which markers of a branch the data lack.

    Parameters
    ----------
    branch, tissues
        As in `annotate_subsets`.
    genes
        Genes in the data.

    Returns
    -------
    pandas.DataFrame
        As `level_scores.coverage_of` returns, for subsets and states, and for the sides of T cells.
    """
    subsets, states = (types_of(level, branch=branch, tissues=tissues) for level in ("subset", "state"))
    known = set(genes)
    tables = [coverage_of(subsets, known), coverage_of(states.drop(subsets.index, errors="ignore"), known)]
    return pd.concat([*tables, coverage_of_sides(known)][: 3 if branch == "t" else 2], ignore_index=True)


def smooth_scores(scored: BranchScores, connectivities: sp.csr_matrix) -> pd.DataFrame:
    """Smooth the markers of a branch over its neighbour graph.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    connectivities
        Cells x cells, in the order of the scores.

    Returns
    -------
    pandas.DataFrame
        Cells x marker genes.
    """
    return smooth(scored.scores, connectivities) if len(scored.scores.columns) else scored.scores


def name_by_score(scored: BranchScores, evidence: pd.DataFrame, *, min_score: float, min_margin: float) -> pd.DataFrame:
    """Name the cells of a branch by their markers alone.

    A cell whose best type has too small a lead takes the parent that it shares with the types next to it, if the
    best of them leads all others.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    evidence
        Cells x marker genes: those of `scored`, averaged over neighbours or clusters.
    min_score, min_margin
        As in `annotate_subsets`.

    Returns
    -------
    pandas.DataFrame
        As `marker_scores.best_type` returns.
    """
    levels = above_level(evidence, scored.branch)
    side = side_of(levels) if scored.branch == "t" else None
    by_type = score_types(levels, scored.types)
    states = by_type.columns[scored.types.loc[by_type.columns, "also"] == "state"]
    by_type[states] = by_type[states].where(by_type[states] >= STATE_SCORE, RULED_OUT)
    if side is not None:
        by_type = close_sides(by_type, scored.types, side)
    found = max(share_found(scored.types, evidence.columns), 0.01)
    unassigned, families = scored.unassigned, _families(by_type, scored, side)
    named = best_type(by_type, unassigned=unassigned, min_score=min_score / found, min_margin=min_margin / found)
    family = best_type(families, unassigned=unassigned, min_score=min_score, min_margin=min_margin)
    is_open = (named["label"] == unassigned) & family["label"].isin(set(scored.parents.values()))
    return named.mask(is_open, family)


def _families(by_type: pd.DataFrame, scored: BranchScores, side: pd.Series | None) -> pd.DataFrame:
    """Cells x families: the highest score of a parent's types; a clear side is evidence of its own."""
    parents = scored.parents
    groups: dict[str, list[pd.Series]] = {}
    for slug in by_type.columns:
        groups.setdefault(parents.get(str(slug), str(slug)), []).append(by_type[slug])
    if side is not None and side.notna().all() and len(side):
        groups.setdefault("cd8_t", []).append(SIDE_SCORE * side)
        groups.setdefault("cd4_t", []).append(-SIDE_SCORE * side)
    return pd.DataFrame({name: np.max(columns, axis=0) for name, columns in groups.items()}, index=by_type.index)


def name_clusters_by_score(
    scored: BranchScores, cluster: pd.Series, *, min_score: float, min_margin: float
) -> pd.Series:
    """Name each cluster by its mean markers.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    cluster
        Cluster of each cell.
    min_score, min_margin
        As in `annotate_subsets`.

    Returns
    -------
    pandas.Series
        Name of each cell's cluster.
    """
    if scored.scores.empty:
        return pd.Series(scored.unassigned, index=scored.scores.index, dtype=object)
    means = scored.scores.groupby(cluster).transform("mean")
    return name_by_score(scored, means, min_score=min_score, min_margin=min_margin)["label"]


def witnesses_of(
    scored: BranchScores,
    own: pd.Series,
    by_cluster: pd.Series,
    votes: pd.DataFrame | None = None,
    receptors: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Put beside each other what the witnesses call each cell of a branch.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    own, by_cluster
        Names by the cells' markers and by those of their clusters.
    votes, receptors
        As in `annotate_subsets`.

    Returns
    -------
    pandas.DataFrame
        ``markers``, ``by_cluster``, ``reference``, ``receptor`` (what was read, not the subset that it defines).
    """
    reference = vote_of(votes, "subset", own.index, scored.types.index)
    receptor = receptor_of(receptors, own.index)
    said = {"markers": own, "by_cluster": by_cluster, "reference": reference, "receptor": receptor}
    return pd.DataFrame(said, dtype=object)


def votes_of(scored: BranchScores, said: pd.DataFrame) -> pd.DataFrame:
    """Turn what the witnesses say into votes for subsets.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    said
        As `witnesses_of` returns.

    Returns
    -------
    pandas.DataFrame
        Same columns. Among T cells an alpha-beta receptor withdraws votes that it refutes; any other has no say.
    """
    if scored.branch != "t":
        return said.assign(receptor="")
    heard = {name: rule_out(said[name], said["receptor"], scored.unassigned) for name in said.columns[:-1]}
    return said.assign(**heard, receptor=subset_vote(said["receptor"]))


def join_names(scored: BranchScores, said: pd.DataFrame, margin: pd.Series, *, min_margin: float) -> pd.Series:
    """Join what the witnesses call each cell of a branch; a receptor that defines a subset decides.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    said
        As `witnesses_of` returns.
    margin
        Lead of the name by the cell's markers.
    min_margin
        As in `annotate_subsets`.

    Returns
    -------
    pandas.Series
        Subset of each cell.
    """
    votes = votes_of(scored, said)
    joined = join_witnesses(
        votes[["markers", "by_cluster", "reference"]],
        margin,
        unassigned=scored.unassigned,
        parents=scored.parents,
        min_margin=min_margin,
    )
    return joined.mask(votes["receptor"] != "", votes["receptor"])


def name_states(scored: BranchScores, evidence: pd.DataFrame) -> pd.Series:
    """Name the state of each cell, such as cycling or responding to interferon, whatever its subset.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    evidence
        As in `name_by_score`.

    Returns
    -------
    pandas.Series
        Slug, or empty for no state.
    """
    by_state = score_types(above_level(evidence, scored.branch), scored.states)
    return best_type(by_state, unassigned="", min_score=STATE_SCORE, min_margin=0.0)["label"].rename("state")
