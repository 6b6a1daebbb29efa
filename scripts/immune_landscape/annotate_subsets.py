"""NK and T subsets within their branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.cell_types import types_of
from immune_landscape.marker_scores import TARGET_SUM, best_type, score_cells, smooth, type_scores
from immune_landscape.reduce_cells import normalise

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData

SIDES = {"cd4": "broad.CD4_T", "cd8": "broad.CD8_T"}
"""Marker sets that tell the CD4 from the CD8 side: many effector sets share all genes but the co-receptor's."""


def annotate_subsets(
    counts: AnnData,
    reduction: AnnData,
    clusters: AnnData,
    branch: str,
    tissues: tuple[str, ...] = ("blood",),
    *,
    min_score: float,
    min_margin: float,
    anchor_fold: float,
    anchor_share: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the subset of each cell of a branch.

    Each cell gets the marker set whose neighbour-smoothed score lies highest above the branch's mean: sets of genes
    that the whole branch expresses would otherwise always win. CD4 sets are open to cells whose CD4 lineage score
    exceeds the CD8 one, and the other way round. Types named by an anchor gene (as the
    NK clusters of Tan 2025 are) go first: a cluster takes the anchor that it expresses most above the other
    clusters, when that is at least `anchor_fold` and enough of its cells express it. An anchor without a cluster
    has *no match*.

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
    min_score, min_margin
        Smoothed score that a subset needs, and its lead over the next.
    anchor_fold
        Log2 fold change of an anchor gene over the other clusters that a cluster needs to be named by it.
    anchor_share
        Share of the cluster's cells that must express the anchor.

    Returns
    -------
    cells
        Index ``cell``; ``sample``, ``cluster``, ``subset`` (slug), ``score``, ``runner_up``, ``margin``.
    anchors
        ``subset``, ``anchor``, ``cluster`` (empty for no match), ``log2_fold``, ``share``: the best cluster of
        each anchor.

    References
    ----------
    Tan 2025, doi:10.1038/s41392-025-02488-1 (clusters named ``c<N>-<gene>``).
    """
    scored = score_branch(counts, reduction, branch, tissues)
    evidence = smooth_scores(scored, clusters[counts.obs_names].obsp["connectivities"])
    named = name_by_score(scored, evidence, min_score=min_score, min_margin=min_margin)
    cluster = clusters.obs.loc[counts.obs_names, "cluster"].astype(str)
    anchors = match_anchors(counts, cluster, scored.types["anchor"], anchor_fold, anchor_share)
    table = pd.DataFrame({"sample": counts.obs["sample"].astype(str), "cluster": cluster}, index=counts.obs_names)
    table["subset"] = name_by_anchor(named["label"], cluster, anchors)
    return table.join(named[["score", "runner_up", "margin"]]).rename_axis("cell"), anchors


class BranchScores(NamedTuple):
    """What the labels of a branch rest on besides its graph and clusters.

    Attributes
    ----------
    branch
        ``nk`` or ``t``.
    types
        Rows of `cell_types.read_cell_types` that cells of the branch may get.
    scores
        Cells x marker sets, as `marker_scores.score_cells` returns.
    """

    branch: str
    types: pd.DataFrame
    scores: pd.DataFrame


def score_branch(counts: AnnData, reduction: AnnData, branch: str, tissues: tuple[str, ...]) -> BranchScores:
    """Score the marker sets of a branch in each of its cells.

    Parameters
    ----------
    counts, reduction, branch, tissues
        As in `annotate_subsets`.

    Returns
    -------
    BranchScores
        Independent of neighbours and clusters.
    """
    types = types_of("subset", branch=branch, tissues=tissues)
    sets = [name for names in types["marker_sets"] for name in names]
    scores = score_cells(counts, [*sets, *SIDES.values()], reduction.uns["reduction"]["genes"])
    return BranchScores(branch, types, scores)


def smooth_scores(scored: BranchScores, connectivities: sp.csr_matrix) -> pd.DataFrame:
    """Smooth the scores of a branch over its neighbour graph.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    connectivities
        Cells x cells, in the order of the scores.

    Returns
    -------
    pandas.DataFrame
        Cells x marker sets.
    """
    return smooth(scored.scores, connectivities) if len(scored.scores.columns) else scored.scores


def name_by_score(scored: BranchScores, evidence: pd.DataFrame, *, min_score: float, min_margin: float) -> pd.DataFrame:
    """Name the cells of a branch by their marker scores alone.

    Parameters
    ----------
    scored
        As `score_branch` returns.
    evidence
        Cells x marker sets: the scores of `scored`, smoothed.
    min_score, min_margin
        As in `annotate_subsets`.

    Returns
    -------
    pandas.DataFrame
        As `marker_scores.best_type` returns.
    """
    by_type = _close_sides(type_scores(evidence - evidence.mean(), scored.types), scored.types, evidence)
    return best_type(by_type, unassigned=f"{scored.branch}_unassigned", min_score=min_score, min_margin=min_margin)


def name_by_anchor(label: pd.Series, cluster: pd.Series, anchors: pd.DataFrame) -> pd.Series:
    """Let the clusters that an anchor gene names take that name.

    Parameters
    ----------
    label
        Name of each cell by its scores.
    cluster
        Cluster of each cell.
    anchors
        As `match_anchors` returns.

    Returns
    -------
    pandas.Series
        Subset of each cell.
    """
    by_anchor = cluster.map(anchors[anchors["cluster"] != ""].set_index("cluster")["subset"])
    return by_anchor.where(by_anchor.notna(), label)


def _close_sides(by_type: pd.DataFrame, types: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """Rule out CD8 types where the CD4 lineage scores higher, and CD4 types elsewhere."""
    if not set(SIDES.values()) <= set(evidence.columns):
        return by_type
    cd8 = evidence[SIDES["cd8"]] > evidence[SIDES["cd4"]]
    side = types["side"].reindex(by_type.columns)
    closed = {slug: cd8 if side[slug] == "cd4" else ~cd8 for slug in by_type.columns if side[slug]}
    return by_type.assign(**{slug: by_type[slug].mask(rows, -np.inf) for slug, rows in closed.items()})


def match_anchors(
    counts: AnnData, cluster: pd.Series, anchor: pd.Series, anchor_fold: float, anchor_share: float
) -> pd.DataFrame:
    """Give each cluster the anchor gene that it expresses most above the other cells, if any is strong enough.

    Clusters may share an anchor: Leiden splits a large subset sooner than a small one.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    cluster
        Cluster of each cell.
    anchor
        Anchor gene of each type, indexed by slug; empty for none.
    anchor_fold, anchor_share
        As in `annotate_subsets`.

    Returns
    -------
    pandas.DataFrame
        ``subset``, ``anchor``, ``cluster``, ``log2_fold``, ``share``: one row per matched cluster, and one row with an
        empty cluster for an anchor with no match, which gives its best cluster's fold and share.
    """
    return match_values(anchor_counts(counts, anchor), cluster, anchor, anchor_fold, anchor_share)


def match_values(
    values: pd.DataFrame, cluster: pd.Series, anchor: pd.Series, anchor_fold: float, anchor_share: float
) -> pd.DataFrame:
    """Do as `match_anchors` from counts looked up before.

    Parameters
    ----------
    values
        As `anchor_counts` returns.
    cluster, anchor, anchor_fold, anchor_share
        As in `match_anchors`.

    Returns
    -------
    pandas.DataFrame
        As `match_anchors` returns.
    """
    wanted = {str(slug): str(gene) for slug, gene in anchor.items() if gene}
    rows: list[tuple[str, str, str, float, float]] = []
    if not values.empty:
        fold, share = _fold_and_share(values, cluster)
        matched = _matched(fold, share, anchor_fold, anchor_share)
        for slug in map(str, values.columns):
            best = str(fold[slug].idxmax())
            for name in matched.get(slug, [best]):
                strength, part = fold[slug].loc[name], share[slug].loc[name]
                rows.append((slug, wanted[slug], name if slug in matched else "", float(strength), float(part)))
    told = {row[0] for row in rows}
    rows += [(slug, gene, "", np.nan, np.nan) for slug, gene in wanted.items() if slug not in told]
    return pd.DataFrame(rows, columns=["subset", "anchor", "cluster", "log2_fold", "share"])


def _matched(fold: pd.DataFrame, share: pd.DataFrame, anchor_fold: float, anchor_share: float) -> dict[str, list[str]]:
    """Type -> clusters whose strongest sufficient anchor it has."""
    strong = fold.where((fold >= anchor_fold) & (share >= anchor_share), -np.inf)
    matched: dict[str, list[str]] = {}
    for name, row in strong.iterrows():
        if row.max() > -np.inf:
            matched.setdefault(str(row.idxmax()), []).append(str(name))
    return matched


def anchor_counts(counts: AnnData, anchor: pd.Series) -> pd.DataFrame:
    """Look up the anchor genes of a branch.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    anchor
        Anchor gene of each type, indexed by slug; empty for none.

    Returns
    -------
    pandas.DataFrame
        Cells x types whose anchor gene is in the data: its count per 10,000.
    """
    present = {str(slug): str(gene) for slug, gene in anchor.items() if gene and gene in counts.var_names}
    if not present or not counts.n_obs:
        return pd.DataFrame(index=counts.obs_names)
    normal = normalise(counts, TARGET_SUM)[:, list(present.values())].X
    return pd.DataFrame(np.expm1(normal.toarray()), index=counts.obs_names, columns=list(present))


def _fold_and_share(values: pd.DataFrame, cluster: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clusters x types: log2 fold of normalised mean over all other cells, and share of expressing cells."""
    sums = values.groupby(cluster).sum()
    sizes = cluster.value_counts().loc[sums.index].to_numpy()[:, None]
    inside = sums.to_numpy() / sizes
    outside = (values.to_numpy().sum(axis=0) - sums.to_numpy()) / np.maximum(len(cluster) - sizes, 1)
    # Half a molecule per 10,000 keeps a gene that the others lack from an endless fold.
    fold = pd.DataFrame(np.log2((inside + 0.5) / (outside + 0.5)), index=sums.index, columns=sums.columns)
    return fold, (values > 0).groupby(cluster).mean()
