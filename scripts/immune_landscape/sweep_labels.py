"""Repeat clustering, naming and comparison: does the answer hang on how cells were labelled?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.anchors import (
    RankedValues,
    anchor_values,
    match_values,
    name_by_anchor,
    rank_values,
    read_anchors,
)
from immune_landscape.annotate_subsets import (
    BranchScores,
    join_names,
    name_by_score,
    name_clusters_by_score,
    score_branch,
    smooth_scores,
    witnesses_of,
)
from immune_landscape.cluster_cells import MIN_CELLS, find_neighbours
from immune_landscape.compare_composition import WHOLE, compare_composition
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.device import allowed_threads
from immune_landscape.leiden import adjusted_rand, build_graph, find_communities
from immune_landscape.measure_composition import measure_composition
from immune_landscape.processes import map_forked
from immune_landscape.seeds import seed_of

if TYPE_CHECKING:
    from anndata import AnnData
    from igraph import Graph

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

RUN_COLUMNS = ["run", "seed", "resolution", "representation", "annotator"]
LABEL_COLUMNS = ["contrast", "parent", "subset", *RUN_COLUMNS, "effect", "p", "same_sign"]
STABILITY_COLUMNS = [
    "contrast", "parent", "subset", "runs", "distinct", "share_present", "share_same_sign", "share_nominal",
    "effect_low", "effect_high",
]  # fmt: skip
KEYS = ["contrast", "parent", "subset"]
MAX_LABELINGS = 10_000
"""Labelings per comparison of the sweep: enough for p to two digits, which tells whether it stays nominal."""


Stages = Mapping[str, Mapping[str, Any]]


class BranchData(NamedTuple):
    """What the labels of a branch were made of.

    Attributes
    ----------
    counts
        Cells of the branch x genes, raw counts.
    reduction, clusters
        As `reduce_cells` and `cluster_cells` return for the branch.
    batch
        Batch of each cell.
    """

    counts: CellCounts
    reduction: AnnData
    clusters: AnnData
    batch: pd.Series


def sweep_labels(
    branches: Mapping[str, BranchData],
    frozen: pd.DataFrame,
    design: pd.DataFrame,
    tested: pd.DataFrame,
    study: Mapping[str, Any],
    seed: int,
    *,
    seeds: int,
    resolution_factors: Sequence[float],
    representations: Sequence[str],
    annotators: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Label the cells of the branches anew in many ways, and compare composition each time.

    Parameters
    ----------
    branches
        Branch -> what its labels were made of.
    frozen
        Table of `define_labels`.
    design
        One row per sample.
    tested
        Table ``contrasts`` of `compare_composition` on the frozen labels; its tested rows are followed, but those of
        lineages, which the sweep leaves as they are.
    study
        ``contrasts`` and ``tissues`` of the cohort, and ``testing``: fields of `contrast_tests.ContrastSettings`, of
        whose labelings at most `MAX_LABELINGS` are looked at; and ``stages``, the settings of `cluster_cells`,
        `annotate_subsets`, `measure_composition` and `compare_composition`.
    seed
        Seed of the sweep.
    seeds
        Leiden runs per resolution.
    resolution_factors
        What the resolution of each branch is multiplied by.
    representations
        ``integrated``: the stored graph. ``centred``: neighbours on principal components less the mean of their
        batch, a second integration. ``pca``: neighbours without integration. Where nothing was integrated all are
        the same and one is used.
    annotators
        ``cell``: markers of each cell and its neighbours joined with those of its cluster, as in `annotate_subsets`
        (without a reference's vote and receptors). ``cluster``: markers averaged over each cluster, so that every
        label hangs on the clustering.

    Returns
    -------
    dict
        ``labels``: one row per frozen row and run in which the subset was tested. ``stability``: one row per frozen
        row: number of runs, number of `distinct` cell counts of the subset among them, share of runs in which it was
        tested, and among these the share of the same sign as frozen and of p at most the level, and the range of the
        effect. ``runs``: one row per run and branch, with the number of clusters and the adjusted Rand index of its
        labels against the frozen ones.

    Notes
    -----
    Labels are slugs given by rule, so those of a run match the frozen ones by name. All choices enter a run
    together in both branches. Lineages, and with them the cells of each branch, are not swept.

    References
    ----------
    Hubert and Arabie 1985, doi:10.1007/BF01908075 (adjusted Rand index).
    """
    spaces = _spaces_of(branches, representations)
    stages: Stages = study["stages"]
    tissues, testing = tuple(study["tissues"]), ContrastSettings(**study["testing"])
    sweeps = {name: _Sweep.of(name, data, spaces, stages, tissues) for name, data in branches.items()}
    quick = testing._replace(
        intervals=False, max_exact=min(testing.max_exact, MAX_LABELINGS), draws=min(testing.draws, MAX_LABELINGS)
    )

    def run(given: tuple[str, float, int]) -> list[_Compared]:
        """Label the cells anew with every annotator, and compare composition."""
        found = []
        for facts, cells, told in _relabelled(sweeps, frozen, seed, *given, annotators):
            composition = measure_composition(cells, design, **stages["measure_composition"])
            composition = composition[composition["parent"] != WHOLE]
            tables = compare_composition(
                composition, design, study["contrasts"], quick, seed, **stages["compare_composition"]
            )
            rows = tables["contrasts"]
            rows = rows.loc[rows["status"] == "tested", [*KEYS, "effect", "p"]].assign(**facts)
            counted = composition.groupby(["parent", "subset"], sort=False)["cells"].agg(tuple)
            found.append(_Compared(rows, counted, [facts | each for each in told]))
        return found

    ways = list(product(spaces, resolution_factors, range(1, seeds + 1)))
    found = list(chain.from_iterable(map_forked(run, ways, allowed_threads())))
    followed = tested[(tested["status"] == "tested") & (tested["parent"] != WHOLE)]
    labels = _with_signs(pd.concat([each.rows for each in found], ignore_index=True), followed)
    stability = _stability_of(labels, followed, [each.counted for each in found], testing.alpha)
    told = chain.from_iterable(each.told for each in found)
    runs = pd.DataFrame(told, columns=[*RUN_COLUMNS, "branch", "clusters", "ari"])
    return {"labels": labels, "stability": stability, "runs": runs}


class _Compared(NamedTuple):
    """What one run found: effects, the cells of each subset by sample, and facts of its branches."""

    rows: pd.DataFrame
    counted: pd.Series
    told: list[dict[str, Any]]


def _spaces_of(branches: Mapping[str, BranchData], representations: Sequence[str]) -> list[str]:
    """Leave out what equals the stored graph where nothing was integrated."""
    if any(bool(data.reduction.uns["reduction"]["integrated"]) for data in branches.values()):
        return list(representations)
    LOG.info("nothing was integrated: one representation")
    return ["integrated"]


class _Clustered(NamedTuple):
    """One clustering of a branch: cluster of each cell, its name by score, and the anchors that clusters matched."""

    cluster: pd.Series
    label: pd.Series
    matched: pd.DataFrame


class _Sweep(NamedTuple):
    """One branch with what stays the same between runs: by representation its graph, and labels by score alone."""

    scored: BranchScores
    anchors: pd.DataFrame
    values: RankedValues
    graphs: dict[str, AnnData]
    edges: dict[str, Graph]
    named: dict[str, pd.DataFrame]
    resolution: float
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, branch: str, data: BranchData, spaces: Sequence[str], stages: Stages, tissues: tuple[str, ...]
    ) -> _Sweep:
        """Score the cells once, and build the graphs."""
        settings = stages["annotate_subsets"]
        scored = score_branch(data.counts, data.reduction, branch, tissues)
        graphs = {space: _graph_of(data, space, stages["cluster_cells"]) for space in spaces}
        named = {
            space: name_by_score(scored, smooth_scores(scored, graph.obsp["connectivities"]), **_floors(settings))
            for space, graph in graphs.items()
        }
        anchors = read_anchors(settings["anchors"], branch)
        values = rank_values(anchor_values(data.counts, anchors))
        edges = {space: build_graph(graph.obsp["connectivities"]) for space, graph in graphs.items()}
        return cls(scored, anchors, values, graphs, edges, named, _resolution_of(data), settings)

    def cluster(self, space: str, factor: float, seed: int) -> _Clustered:
        """Cluster the cells and name the clusters; a handful of cells is one cluster, as in `cluster_cells`."""
        graph = self.graphs[space]
        if graph.n_obs < MIN_CELLS:
            found = np.zeros(graph.n_obs, dtype=np.int64)
        else:
            found = find_communities(self.edges[space], self.resolution * factor, seed)
        cluster = pd.Series(found.astype(str), index=graph.obs_names, name="cluster", dtype=object)
        label = name_clusters_by_score(self.scored, cluster, **_floors(self.settings))
        floors = self.settings["anchor_fold"], self.settings["anchor_share"]
        return _Clustered(cluster, label, match_values(self.values, cluster, self.anchors, *floors))

    def subsets(self, space: str, annotator: str, clustered: _Clustered) -> pd.Series:
        """Return the subset of each cell."""
        label = clustered.label
        if annotator == "cell":
            own = self.named[space]
            said = witnesses_of(self.scored, own["label"], label)
            label = join_names(self.scored, said, own["margin"], min_margin=self.settings["min_margin"])
        return name_by_anchor(label, clustered.cluster, clustered.matched)


def _resolution_of(data: BranchData) -> float:
    """Return the resolution at which the frozen clusters were made, whether set or taken by the rule."""
    return float(data.clusters.uns["clustering"]["resolution"])


def _floors(settings: Mapping[str, Any]) -> dict[str, float]:
    """Return what a label needs by markers."""
    return {name: settings[name] for name in ("min_score", "min_margin")}


def _graph_of(data: BranchData, space: str, settings: Mapping[str, Any]) -> AnnData:
    stored = data.clusters[data.counts.obs_names]
    if space == "integrated" or not data.reduction.uns["reduction"]["integrated"] or stored.n_obs < MIN_CELLS:
        return stored
    points = pd.DataFrame(data.reduction[data.counts.obs_names].obsm["X_pca"], index=data.counts.obs_names)
    if space == "centred":
        points -= points.groupby(data.batch.loc[points.index]).transform("mean")
    return find_neighbours(points, settings["n_neighbors"], settings["exact_below"], 0)


def _relabelled(
    sweeps: Mapping[str, _Sweep],
    frozen: pd.DataFrame,
    seed: int,
    space: str,
    factor: float,
    number: int,
    annotators: Sequence[str],
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, list[dict[str, Any]]]]:
    """Yield each annotator's facts, its cells, and what is told of its branches."""
    clusters = {
        name: sweep.cluster(space, factor, seed_of(seed, name, space, f"{factor:g}", str(number)))
        for name, sweep in sweeps.items()
    }
    for annotator in annotators:
        cells, told = frozen.copy(), []
        for name, sweep in sweeps.items():
            subset = sweep.subsets(space, annotator, clusters[name])
            cells.loc[subset.index, "subset"] = subset
            ari = _agreement(frozen.loc[subset.index, "subset"], subset)
            told.append({"branch": name, "clusters": clusters[name].cluster.nunique(), "ari": ari})
        run = f"{space}_{annotator}_r{factor:g}_s{number}"
        yield dict(zip(RUN_COLUMNS, [run, number, factor, space, annotator], strict=True)), cells, told


def _agreement(frozen: pd.Series, subset: pd.Series) -> float:
    return adjusted_rand(frozen, subset) if len(subset) else float("nan")


def _with_signs(found: pd.DataFrame, followed: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that the frozen labels have too, and compare their signs."""
    declared = followed[[*KEYS, "effect"]].rename(columns={"effect": "frozen"})
    labels = declared.merge(found, on=KEYS, how="inner", validate="one_to_many")
    same = np.sign(labels["effect"].to_numpy(dtype=float)) == np.sign(labels["frozen"].to_numpy(dtype=float))
    return labels.assign(same_sign=same)[LABEL_COLUMNS]


def _stability_of(
    labels: pd.DataFrame, followed: pd.DataFrame, counted: Sequence[pd.Series], alpha: float
) -> pd.DataFrame:
    runs = len(counted)
    counts = pd.concat(counted) if counted else pd.Series(dtype=object)
    distinct = counts.groupby(level=[0, 1]).nunique()
    rows = []
    by_row = dict(iter(labels.groupby(KEYS, sort=False)))
    for key in followed[KEYS].itertuples(index=False, name=None):
        own = by_row.get(key, labels.iloc[:0])
        shares = (own["same_sign"].mean(), (own["p"] < alpha).mean()) if len(own) else (np.nan, np.nan)
        ends = own["effect"].min(), own["effect"].max()
        rows.append((*key, runs, distinct.get(key[1:], 0), len(own) / max(runs, 1), *shares, *ends))
    return pd.DataFrame(rows, columns=STABILITY_COLUMNS)
