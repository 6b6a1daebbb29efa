"""Clusters named by anchor genes, as the NK clusters of Tan 2025 are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.block_sums import normal_genes
from immune_landscape.cell_types import read_cell_types
from immune_landscape.errors import DesignError
from immune_landscape.marker_scores import TARGET_SUM

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

ANCHORED_BRANCH = "nk"
NUMBER = re.compile(r"(?:^|_)c(\d+)(?:_|$)")
COLUMNS = ["subset", "anchor", "number", "cluster", "status", "score", "log2_fold", "share"]
MIN_SCORE = 3.0
"""Statistic that an anchor needs besides: a handful of cells reaches any fold and share by chance."""

NAMED, NO_MATCH, NOT_MEASURED = "named", "no match", "not measured"


def read_anchors(anchors: Mapping[str, str], branch: str) -> pd.DataFrame:
    """Read the list of anchor genes of a branch.

    Parameters
    ----------
    anchors
        Gene -> slug of the cell type that it names, such as ``nk_c4_zeb2``; or a number alone, such as ``c5``, for a
        gene that gives a cluster its name and no frozen label.
    branch
        Branches but ``nk`` have no anchors: the T subsets of the paper are named by their function.

    Returns
    -------
    pandas.DataFrame
        Index ``anchor``; ``subset`` (slug or empty), ``number`` (0 for none).

    Raises
    ------
    DesignError
        A slug that is no subset of the branch.
    """
    found = anchors if branch == ANCHORED_BRANCH else {}
    types = read_cell_types()
    known = set(types.index[(types["level"] == "subset") & (types["branch"] == branch)])
    rows = []
    for gene, target in found.items():
        number = NUMBER.search(target)
        alone = number is not None and target == f"c{number[1]}"
        if not alone and target not in known:
            raise DesignError(f"annotate_subsets.anchors: {gene} names {target!r}, no subset of the {branch} branch")
        rows.append((gene, "" if alone else target, int(number[1]) if number else 0))
    return pd.DataFrame(rows, columns=["anchor", "subset", "number"]).set_index("anchor")


def match_anchors(
    counts: CellCounts, cluster: pd.Series, anchors: pd.DataFrame, anchor_fold: float, anchor_share: float
) -> pd.DataFrame:
    """Give each cluster its best-ranked anchor gene, among those that are strong enough to name it.

    Genes are ranked by the rank-sum statistic of the cluster's cells against all others of the branch. The floors
    on fold and share keep a cluster from the name of a gene that is merely less absent there than elsewhere.
    Clusters may share an anchor: Leiden splits a large subset sooner than a small one.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    cluster
        Cluster of each cell.
    anchors
        As `read_anchors` returns.
    anchor_fold
        Log2 fold change over the other clusters that the gene needs.
    anchor_share
        Share of the cluster's cells that must express it.

    Returns
    -------
    pandas.DataFrame
        ``subset``, ``anchor``, ``number``, ``cluster``, ``status``, ``score`` (the statistic, which ranks genes within
        a cluster and tests nothing), ``log2_fold``, ``share``: one row ``named`` per matched cluster. An anchor with
        ``no match`` has one row with an empty cluster, and the numbers of the cluster where it ranks best; one that
        the data lack is ``not measured``.

    References
    ----------
    Tan 2025, doi:10.1038/s41392-025-02488-1 (clusters named ``c<N>-<gene>``).
    """
    return match_values(rank_values(anchor_values(counts, anchors)), cluster, anchors, anchor_fold, anchor_share)


class RankedValues(NamedTuple):
    """Values of some cells and what any grouping of these cells needs of them.

    Attributes
    ----------
    measured
        Cells x genes.
    ranks
        Likewise, ranked within each gene; ties share their mean rank.
    ties
        (genes,) factor by which ties shrink the variance of a rank sum.
    """

    measured: pd.DataFrame
    ranks: pd.DataFrame
    ties: np.ndarray


def rank_values(values: pd.DataFrame) -> RankedValues:
    """Rank the cells by each gene, once for all the groupings to come.

    Parameters
    ----------
    values
        Cells x genes, on any monotone scale.

    Returns
    -------
    RankedValues
        Ranks from 1.
    """
    from scipy.stats import rankdata, tiecorrect

    ranks = rankdata(values.to_numpy(), axis=0) if values.size else values.to_numpy()
    ties = np.array([tiecorrect(column) for column in ranks.T])
    return RankedValues(values, pd.DataFrame(ranks, index=values.index, columns=values.columns), ties)


def match_values(
    ranked: RankedValues, cluster: pd.Series, anchors: pd.DataFrame, anchor_fold: float, anchor_share: float
) -> pd.DataFrame:
    """Do as `match_anchors` from values looked up before.

    Parameters
    ----------
    ranked
        Values as `anchor_values` returns.
    cluster, anchors, anchor_fold, anchor_share
        As in `match_anchors`.

    Returns
    -------
    pandas.DataFrame
        As `match_anchors` returns.
    """
    values = ranked.measured
    if values.empty:
        states = [NO_MATCH if gene in values.columns else NOT_MEASURED for gene in anchors.index]
        blank = [(gene, "", state, *[np.nan] * 3) for gene, state in zip(anchors.index, states, strict=True)]
        return _with_numbers(blank, anchors)
    fold, share = fold_and_share(values, cluster)
    score = sum_ranks(ranked, cluster)
    enough = (fold >= anchor_fold) & (share >= anchor_share) & (score >= MIN_SCORE)
    matched = _matched(score.where(enough, -np.inf))
    rows: list[tuple[object, ...]] = []
    for gene in anchors.index:
        if gene not in values.columns:
            rows.append((gene, "", NOT_MEASURED, np.nan, np.nan, np.nan))
            continue
        status = NAMED if gene in matched else NO_MATCH
        for name in matched.get(gene, [str(score[gene].idxmax())]):
            told = [float(table[gene].loc[name]) for table in (score, fold, share)]
            rows.append((gene, name if status == NAMED else "", status, *told))
    return _with_numbers(rows, anchors)


def _with_numbers(rows: list[tuple[object, ...]], anchors: pd.DataFrame) -> pd.DataFrame:
    """Add what each anchor stands for."""
    table = pd.DataFrame(rows, columns=["anchor", "cluster", "status", "score", "log2_fold", "share"])
    return table.join(anchors, on="anchor")[COLUMNS]


def _matched(strong: pd.DataFrame) -> dict[str, list[str]]:
    """Gene -> clusters whose best sufficient anchor it is."""
    matched: dict[str, list[str]] = {}
    for name, row in strong.iterrows():
        if row.max() > -np.inf:
            matched.setdefault(str(row.idxmax()), []).append(str(name))
    return matched


def anchor_values(counts: CellCounts, anchors: pd.DataFrame) -> pd.DataFrame:
    """Look up the anchor genes of a branch.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    anchors
        As `read_anchors` returns.

    Returns
    -------
    pandas.DataFrame
        Cells x anchor genes in the data: counts per 10,000.
    """
    present = [gene for gene in anchors.index if gene in counts.var_names]
    if not present or not counts.n_obs:
        return pd.DataFrame(index=counts.obs_names, columns=present, dtype=float)
    normal = normal_genes(counts, present, TARGET_SUM)
    return pd.DataFrame(np.expm1(normal.toarray()), index=counts.obs_names, columns=present)


def fold_and_share(values: pd.DataFrame, cluster: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell how strongly and how widely each cluster expresses genes.

    Parameters
    ----------
    values
        Cells x genes, counts per 10,000.
    cluster
        Cluster of each cell.

    Returns
    -------
    fold
        Clusters x genes: log2 fold of the mean over that of all other cells.
    share
        Clusters x genes: share of expressing cells.
    """
    return fold_over_rest(values.groupby(cluster).sum(), cluster.value_counts()), (values > 0).groupby(cluster).mean()


def fold_over_rest(sums: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Compare the mean of each cluster with that of all other cells.

    Parameters
    ----------
    sums
        Clusters x genes: counts per 10,000, summed over the cluster's cells.
    sizes
        Cells of each cluster.

    Returns
    -------
    pandas.DataFrame
        Clusters x genes: log2 fold.
    """
    cells = sizes.loc[sums.index].to_numpy()[:, None]
    inside = sums.to_numpy() / cells
    outside = (sums.to_numpy().sum(axis=0) - sums.to_numpy()) / np.maximum(cells.sum() - cells, 1)
    # Half a molecule per 10,000 keeps a gene that the others lack from an endless fold.
    return pd.DataFrame(np.log2((inside + 0.5) / (outside + 0.5)), index=sums.index, columns=sums.columns)


def rank_sums(values: pd.DataFrame, cluster: pd.Series) -> pd.DataFrame:
    """Rank each cluster's cells against all others, gene by gene.

    scanpy's ``rank_genes_groups`` gives the same numbers; a sweep over labellings asks for them too often for it.

    Parameters
    ----------
    values
        Cells x genes, on any monotone scale.
    cluster
        Cluster of each cell.

    Returns
    -------
    pandas.DataFrame
        Clusters x genes: standardised rank sum, corrected for ties; 0 where all values are equal.

    References
    ----------
    Wilcoxon 1945, doi:10.2307/3001968; Soneson and Robinson 2018, doi:10.1038/nmeth.4612 (its use on single cells).
    """
    return sum_ranks(rank_values(values), cluster)


def sum_ranks(ranked: RankedValues, cluster: pd.Series) -> pd.DataFrame:
    """Do as `rank_sums` from values ranked before.

    Parameters
    ----------
    ranked
        As `rank_values` returns.
    cluster
        Cluster of each cell.

    Returns
    -------
    pandas.DataFrame
        As `rank_sums` returns.
    """
    sums = ranked.ranks.groupby(cluster).sum()
    inside = cluster.value_counts().loc[sums.index].to_numpy()[:, None]
    outside = len(cluster) - inside
    spread = np.sqrt(inside * outside * (len(cluster) + 1) / 12 * ranked.ties)
    gap = sums.to_numpy() - inside * (len(cluster) + 1) / 2
    score = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0)
    return pd.DataFrame(score, index=sums.index, columns=sums.columns)


def name_by_anchor(label: pd.Series, cluster: pd.Series, matched: pd.DataFrame) -> pd.Series:
    """Let the clusters whose anchor gene stands for a subset take its label.

    Parameters
    ----------
    label
        Name of each cell by its scores.
    cluster
        Cluster of each cell.
    matched
        As `match_anchors` returns.

    Returns
    -------
    pandas.Series
        Subset of each cell.
    """
    naming = matched[(matched["cluster"] != "") & (matched["subset"] != "")]
    by_anchor = cluster.map(naming.set_index("cluster")["subset"])
    return by_anchor.where(by_anchor.notna(), label)
