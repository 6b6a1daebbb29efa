"""What the clusters of a branch are called, which published state they resemble, and what speaks against them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.anchors import fold_over_rest, rank_sums
from immune_landscape.block_sums import moments_of_groups, normal_genes
from immune_landscape.cell_types import read_markers, types_of
from immune_landscape.marker_scores import MIN_GENES, TARGET_SUM

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

NO_STATE = "no state"
DOUBLET_RICH = "doublet-rich"
COLUMNS = [
    "cluster", "name", "subset", "cells", "anchor", "marker", "state", "nearest", "similarity", "runner_up", "margin",
    "patients", "largest_patient", "largest_patient_share", "largest_batch", "largest_batch_share", "doublet_share",
    "flag",
]  # fmt: skip
SHARE_COLUMNS = ["cluster", "name", "by", "item", "cells", "share"]
TEXTS = ["name", "marker", "state", "nearest", "runner_up", "largest_patient", "largest_batch", "flag", "by", "item"]
"""Columns of text among both, for `store.write_table`."""

BLOCK = 200
"""Genes ranked at once; their values are dense."""


def name_clusters(
    counts: CellCounts,
    subsets: pd.DataFrame,
    anchors: pd.DataFrame,
    doublets: pd.DataFrame,
    design: pd.DataFrame,
    branch: str,
    study: Mapping[str, Any],
    *,
    marker_share: float,
    marker_fold: float,
    exclude_genes: list[str],
    min_similarity: float,
    min_margin: float,
    max_share: float,
    max_doublets: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name each cluster of a branch ``c<N>-<gene>`` and tell what it is like and where it comes from.

    A cluster that an anchor gene names keeps the number that the paper gave that anchor. All others take the
    numbers left over, the largest first, and their best-ranked marker gene. The gene is ranked by the rank sum of
    the cluster's cells against all others of the branch. An anchor gene is no marker: a cluster in which it is too weak
    to name it must not bear its name all the same. Clusters that share an anchor get a suffix, from the second
    largest on.

    Parameters
    ----------
    counts
        Cells of the branch x genes, raw counts.
    subsets
        Cell table of `annotate_subsets`.
    anchors
        As `anchors.match_anchors` returns.
    doublets
        As `find_doublets.find_doublets` returns, all jobs stacked, indexed by cell.
    design
        One row per sample.
    branch
        ``nk`` or ``t``.
    study
        ``tissues`` of the cohort, and ``batch_key``, the column of the design that holds batches.
    marker_share
        Share of the cluster's cells that must express a gene for it to name the cluster.
    marker_fold
        Log2 fold change over the other clusters that it needs.
    exclude_genes
        Regular expressions of symbols that name no cluster.
    min_similarity, min_margin
        Similarity that the nearest published state needs, and its lead over the second.
    max_share
        Share of a cluster's cells above which one patient or one batch counts as carrying it. Where a patient or
        batch has much of the whole branch, half way from its share there to 1, if that is more.
    max_doublets
        Share of a cluster's cells with the doublet scores of doublets above which it is doublet-rich.

    Returns
    -------
    clusters
        One row per cluster, the largest first: ``cluster, name, subset`` (of most of its cells), ``cells, anchor,
        marker`` (best-ranked gene but anchors, empty where none is strong enough), ``state`` (slug of the nearest
        published state, or ``no state`` where it is too unlike or the second too near), ``nearest`` (slug in either
        case), ``similarity``, ``runner_up``, ``margin``, ``patients``, ``largest_patient``, ``largest_patient_share``,
        ``largest_batch``, ``largest_batch_share``, ``doublet_share`` (see `suspects`; missing where no cell has a
        score), ``flag`` (``one patient`` or ``one batch``, ``doublet-rich``, joined by a comma; empty for none).
    shares
        ``cluster, name, by`` (patient or batch), ``item, cells, share`` of the cluster's cells.

    Notes
    -----
    Similarity is the Pearson correlation, over the marker genes of all states, of how far each gene's mean in the
    cluster stands out from the other clusters with the marks of the state: 1 for its markers, -1 for its negative ones,
    0 for those of other states. So it also falls with genes that the state does not explain.

    References
    ----------
    Tan 2025, doi:10.1038/s41392-025-02488-1 (names); the sources of the states are those of their marker sets.
    """
    table = subsets.loc[counts.obs_names, ["sample", "cluster", "subset"]].astype(str)
    sizes = table["cluster"].value_counts()
    sizes = sizes.iloc[np.lexsort((sizes.index, -sizes.to_numpy()))]
    named = pd.DataFrame({"cluster": sizes.index, "cells": sizes.to_numpy()}).set_index("cluster", drop=False)
    if not len(named):
        return pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=SHARE_COLUMNS)
    named["subset"] = table.groupby("cluster")["subset"].agg(_most_common)
    matched = anchors[anchors["cluster"].astype(str) != ""]
    named["anchor"] = matched.set_index(matched["cluster"].astype(str))["anchor"].reindex(named.index).fillna("")
    excluded = [*exclude_genes, *(re.escape(gene) for gene in anchors["anchor"].unique())]
    named["marker"] = top_markers(counts, table["cluster"], marker_share, marker_fold, excluded)
    named["name"] = cluster_names(named, anchors)
    states = types_of("published", branch=branch, tissues=tuple(study["tissues"]))
    named = named.join(nearest_states(counts, table["cluster"], states, min_similarity, min_margin))
    carriers = pd.DataFrame({"patient": design["patient"], "batch": design[study["batch_key"]]})
    shares = _shares(table, carriers.fillna("").astype(str).assign(sample=design["sample"]), named["name"])
    named = _with_carriers(named, shares, max_share)
    named["doublet_share"] = suspects(doublets).reindex(table.index).groupby(table["cluster"]).mean()
    named["flag"] = [
        ", ".join(part for part in (flag, DOUBLET_RICH if share > max_doublets else "") if part)
        for flag, share in zip(named["flag"], named["doublet_share"], strict=True)
    ]
    return named.reset_index(drop=True)[COLUMNS], shares


def suspects(doublets: pd.DataFrame) -> pd.Series:
    """Mark the cells with the highest doublet scores of each sample, as many as doublets are expected in it.

    Scrublet calls fewer than there are. The rest keep scores just below its cut-off, and where they gather in one
    cluster they pass for a cell type between the two that they are made of. What a receptor says is no help: NKT-like
    cells are known by the same alpha-beta receptor on a cell with the genes of NK cells.

    Parameters
    ----------
    doublets
        As `find_doublets.find_doublets` returns, indexed by cell.

    Returns
    -------
    pandas.Series
        1.0 or 0.0 for each cell with a score, missing for one without. Cells with one score are marked together, when
        most of them are among the highest.
    """
    scores = doublets["doublet_score"].astype(float)
    by_sample = scores.groupby(doublets["sample"].astype(str))
    expected = (doublets["expected_rate"] * by_sample.transform("count")).round()
    return (by_sample.rank(ascending=False) <= expected).astype(float).where(scores.notna())


def _most_common(values: pd.Series) -> str:
    """Return the value of most cells; of equally common ones the first by name."""
    return str(values.value_counts().sort_index().idxmax())


def top_markers(
    counts: CellCounts, cluster: pd.Series, marker_share: float, marker_fold: float, exclude_genes: list[str]
) -> pd.Series:
    """Find the best-ranked gene of each cluster.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    cluster
        Cluster of each cell.
    marker_share, marker_fold, exclude_genes
        As in `name_clusters`.

    Returns
    -------
    pandas.Series
        Cluster -> gene; empty where no gene is strong enough.
    """
    enough = _strong_enough(counts, cluster, marker_share, marker_fold)
    if exclude_genes:
        enough = enough.loc[:, ~enough.columns.str.fullmatch("|".join(exclude_genes))]
    # In the order of symbols, so that of two genes of one rank the same is taken whatever the order of the file.
    genes = enough.columns[enough.any()].sort_values()
    if genes.empty:
        return pd.Series("", index=enough.index)
    values = normal_genes(counts, genes, TARGET_SUM).tocsc()
    values.data = np.expm1(values.data)
    starts = range(0, len(genes), BLOCK)
    tables = (
        pd.DataFrame(values[:, at : at + BLOCK].toarray(), cluster.index, genes[at : at + BLOCK]) for at in starts
    )
    scores = [rank_sums(table, cluster) for table in tables]
    allowed = pd.concat(scores, axis=1).where(enough[genes], -np.inf)
    return allowed.idxmax(axis=1).astype(str).where(allowed.max(axis=1) > 0, "")


def _strong_enough(counts: CellCounts, cluster: pd.Series, marker_share: float, marker_fold: float) -> pd.DataFrame:
    """Clusters x genes: whether the gene is wide and high enough in the cluster to name it."""
    sizes = cluster.value_counts().sort_index()
    codes = sizes.index.get_indexer(pd.Index(cluster))
    moments = moments_of_groups(counts, codes, len(sizes), TARGET_SUM)
    sums, expressing = (pd.DataFrame(moments[:, at], sizes.index, counts.var_names) for at in (1, 0))
    share = expressing.div(sizes, axis=0)
    return (share >= marker_share) & (fold_over_rest(sums, sizes) >= marker_fold)


def cluster_names(named: pd.DataFrame, anchors: pd.DataFrame) -> pd.Series:
    """Call each cluster ``c<N>-<gene>``.

    Parameters
    ----------
    named
        One row per cluster, the largest first: ``anchor``, ``marker``.
    anchors
        As `anchors.match_anchors` returns. Its numbers are kept for its anchors, matched or not.

    Returns
    -------
    pandas.Series
        Indexed as `named`; ``c<N>`` alone for a cluster without a gene.
    """
    numbers = dict(zip(anchors["anchor"], anchors["number"], strict=True))
    free = _numbers_but(set(numbers.values()))
    names: list[str] = []
    for anchor, marker in zip(named["anchor"], named["marker"], strict=True):
        number = numbers.get(anchor) or next(free)
        name = f"c{number}-{anchor or marker}".rstrip("-")
        again = sum(taken == name or taken.startswith(f"{name}.") for taken in names)
        names.append(f"{name}.{again + 1}" if again else name)
    return pd.Series(names, index=named.index)


def _numbers_but(taken: set[int]) -> Iterator[int]:
    return (number for number in count(1) if number not in taken)


def nearest_states(
    counts: CellCounts, cluster: pd.Series, states: pd.DataFrame, min_similarity: float, min_margin: float
) -> pd.DataFrame:
    """Find the published state that each cluster resembles most.

    Parameters
    ----------
    counts
        As in `name_clusters`.
    cluster
        Cluster of each cell.
    states
        Rows of `cell_types.read_cell_types`.
    min_similarity, min_margin
        As in `name_clusters`.

    Returns
    -------
    pandas.DataFrame
        Indexed by cluster: ``state``, ``nearest``, ``similarity``, ``runner_up``, ``margin``.
    """
    weights = _weights(states, counts.var_names)
    names = pd.Index(cluster.unique(), name="cluster")
    if weights.shape[1] < 2 or len(names) < 2:
        blank = {"state": NO_STATE, "nearest": "", "similarity": np.nan, "runner_up": "", "margin": np.nan}
        return pd.DataFrame(blank, index=names)
    normal = normal_genes(counts, list(weights.index), TARGET_SUM)
    values = pd.DataFrame(normal.toarray(), counts.obs_names, weights.index)
    similarity = _correlations(_standing_out(values, cluster), weights)
    order = np.argsort(-similarity.to_numpy(), axis=1, kind="stable")
    rows, slugs = np.arange(len(similarity)), similarity.columns.to_numpy(dtype=object)
    best, second = (similarity.to_numpy()[rows, order[:, at]] for at in (0, 1))
    clear = (best >= min_similarity) & (best - second >= min_margin)
    nearest, runner_up = slugs[order[:, 0]], slugs[order[:, 1]]
    table = {"state": np.where(clear, nearest, NO_STATE), "nearest": nearest, "similarity": best}
    return pd.DataFrame(table | {"runner_up": runner_up, "margin": best - second}, index=similarity.index)


def _weights(states: pd.DataFrame, genes: pd.Index) -> pd.DataFrame:
    """Measured genes of any state x states: 1 for a positive marker, -1 for a negative one, 0 for a gene of others."""
    markers, known = read_markers(), set(genes)
    signs: dict[str, dict[str, float]] = {}
    for slug, sets in states["marker_sets"].items():
        entries = [markers[group][entry] for group, _, entry in (name.partition(".") for name in sets)]
        positive = {gene for entry in entries for gene in entry["genes"]} & known
        negative = {gene for entry in entries for gene in entry["negative"]} & known - positive
        if len(positive) >= MIN_GENES:
            signs[str(slug)] = dict.fromkeys(negative, -1.0) | dict.fromkeys(positive, 1.0)
    return pd.DataFrame(signs).fillna(0.0).sort_index()


def _standing_out(values: pd.DataFrame, cluster: pd.Series) -> pd.DataFrame:
    """Clusters x genes: mean less that of all other cells, in standard deviations of all cells."""
    sums, sizes = values.groupby(cluster).sum(), cluster.value_counts()
    inside = sizes.loc[sums.index].to_numpy()[:, None]
    gap = sums / inside - (sums.sum() - sums) / (len(cluster) - inside)
    return gap / values.std().replace(0.0, np.inf)


def _correlations(profiles: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """Clusters x states: Pearson correlation over genes; 0 for a cluster in which no gene stands out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.corrcoef(profiles.to_numpy(), weights.to_numpy().T)[: len(profiles), len(profiles) :]
    return pd.DataFrame(np.nan_to_num(together), index=profiles.index, columns=weights.columns)


def _shares(table: pd.DataFrame, samples: pd.DataFrame, name: pd.Series) -> pd.DataFrame:
    """Cells of each patient and batch in each cluster."""
    facts = table[["sample", "cluster"]].merge(samples, on="sample", how="left", validate="many_to_one")
    parts = []
    for by in ("patient", "batch"):
        cells = facts.groupby(["cluster", by]).size().rename("cells").reset_index().rename(columns={by: "item"})
        parts.append(cells.assign(by=by, share=cells["cells"] / cells.groupby("cluster")["cells"].transform("sum")))
    shares = pd.concat(parts, ignore_index=True)
    place = {cluster: at for at, cluster in enumerate(name.index)}
    shares = shares.assign(name=shares["cluster"].map(name), place=shares["cluster"].map(place))
    shares = shares.sort_values(["place", "by", "cells", "item"], ascending=[True, False, False, True])
    return shares[SHARE_COLUMNS].reset_index(drop=True)


def _with_carriers(named: pd.DataFrame, shares: pd.DataFrame, max_share: float) -> pd.DataFrame:
    """Add the patient and the batch with most cells of each cluster, and flag what one of them carries."""
    result = named.assign(flag="")
    result["patients"] = shares[shares["by"] == "patient"].groupby("cluster").size()
    for by in ("batch", "patient"):  # last, so that a cluster of one patient is not told to be one of a batch
        own = shares[shares["by"] == by]
        whole = own.groupby("item")["cells"].sum() / own["cells"].sum()
        first = own.groupby("cluster", sort=False)[["item", "share"]].first().loc[named.index]
        limit = np.maximum(max_share, (1 + first["item"].map(whole)) / 2)
        result[f"largest_{by}"], result[f"largest_{by}_share"] = first["item"], first["share"]
        result["flag"] = result["flag"].mask(first["share"] > limit, f"one {by}")
    return result
