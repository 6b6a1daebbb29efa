"""How stable clusters are over seeds and subsamples of the cells, and the resolution that a rule picks by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment

from immune_landscape.leiden import adjusted_rand, build_graph, find_communities
from immune_landscape.processes import map_forked
from immune_landscape.seeds import seed_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

STABILITY_COLUMNS = [
    "resolution", "clusters", "ari_seeds", "ari_subsamples", "jaccard_min", "jaccard_median", "stable_share",
]  # fmt: skip
JACCARD_COLUMNS = ["resolution", "cluster", "cells", "jaccard"]
GRAPHS = 2_000_000
"""Cells in the graphs that are held at a time; a cell and its neighbours take about two kilobytes."""

MATCH_COLUMNS = ["a", "b", "cells_a", "cells_b", "shared", "jaccard"]


def measure_stability(
    connectivities: sp.csr_matrix,
    grid: Sequence[float],
    seed: int,
    *,
    seeds: int,
    subsamples: int,
    subsample_share: float,
    min_jaccard: float,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure at each resolution how well clusters come back over seeds and subsamples.

    Parameters
    ----------
    connectivities
        Cells x cells, symmetric weights of the neighbour graph.
    grid
        Leiden resolutions, 1 or more.
    seed
        Seed of the clustering whose stability is measured; all other seeds derive from it.
    seeds
        Leiden runs on all cells, the measured one among them; 2 or more.
    subsamples
        Random subsamples of the cells; the same ones at each resolution, drawn without replacement.
    subsample_share
        Share of the cells in a subsample, 0 to 1.
    min_jaccard
        Jaccard index from which a cluster counts as stable.
    threads
        Runs of Leiden at a time, each in a process of its own; fewer where there are very many cells (`GRAPHS`).

    Returns
    -------
    stability : DataFrame
        One row per resolution, ascending: ``resolution``; ``clusters``; ``ari_seeds``, mean adjusted Rand index over
        pairs of seeds; ``ari_subsamples``, mean adjusted Rand index between each subsample's clusters and the measured
        ones of the same cells; ``jaccard_min`` and ``jaccard_median`` over clusters; ``stable_share``, share of the
        cells that lie in stable clusters.
    jaccard : DataFrame
        One row per resolution and cluster, the largest first: ``resolution``, ``cluster``, ``cells``, and ``jaccard``,
        the median over subsamples of the Jaccard index with the cluster matched to it (`match_clusters`), 0 where
        there is none.

    Notes
    -----
    A subsample is clustered on the part of the one graph that its cells span: components and neighbours are not
    looked for anew. What is measured is thus whether clusters hang on single cells and on the order of moves, not on
    variable genes or integration, and is the upper end of what new samples of cells would show. Each subsample has a
    Leiden seed of its own, so its index holds the spread of seeds too. One cluster of all cells has index 1.

    References
    ----------
    Hennig 2007, doi:10.1016/j.csda.2006.11.025 (Jaccard index of each cluster; the mean over resamples and the best
    match there, the median and one-to-one matches here, so that a cluster which merges does not borrow another's);
    Hubert and Arabie 1985, doi:10.1007/BF01908075 (adjusted Rand index).
    """
    resolutions = sorted(set(grid))
    workers = min(threads, max(1, GRAPHS // connectivities.shape[0]))
    full, over_seeds = _over_seeds(connectivities, resolutions, seed, seeds, workers)
    over_subsamples = _over_subsamples(connectivities, full, seed, subsamples, subsample_share, workers)
    rows, told = [], []
    for resolution in resolutions:
        agreement, indices = zip(*over_subsamples[resolution], strict=True)
        jaccard = _cluster_jaccards(full[resolution], indices).assign(resolution=resolution)
        means = over_seeds[resolution], float(np.mean(agreement))
        rows.append((resolution, len(jaccard), *means, *_summary(jaccard, min_jaccard)))
        told.append(jaccard[JACCARD_COLUMNS])
    return pd.DataFrame(rows, columns=STABILITY_COLUMNS), pd.concat(told, ignore_index=True)


def choose_resolution(stability: pd.DataFrame, *, min_ari: float, min_stable_share: float) -> tuple[float, bool]:
    """Choose a resolution by rule.

    The rule: of the resolutions whose mean adjusted Rand index over subsamples is at least `min_ari`, and at which at
    least `min_stable_share` of the cells lie in stable clusters, the highest. Where there is none, the lowest of the
    grid, as nothing finer can be told apart.

    Parameters
    ----------
    stability
        As `measure_stability` returns.
    min_ari, min_stable_share
        Limits, 0 to 1.

    Returns
    -------
    resolution : float
        The chosen one.
    stable : bool
        Whether it is within the limits.
    """
    within = is_stable(stability, min_ari=min_ari, min_stable_share=min_stable_share)
    passed = stability.loc[within, "resolution"]
    return (float(passed.max()), True) if len(passed) else (float(stability["resolution"].min()), False)


def is_stable(stability: pd.DataFrame, *, min_ari: float, min_stable_share: float) -> pd.Series:
    """Tell at which resolutions the clusters are stable.

    Parameters
    ----------
    stability
        As `measure_stability` returns.
    min_ari, min_stable_share
        As for `choose_resolution`.

    Returns
    -------
    Series of bool
        One value per row.
    """
    return (stability["ari_subsamples"] >= min_ari) & (stability["stable_share"] >= min_stable_share)


def match_clusters(a: ArrayLike, b: ArrayLike) -> pd.DataFrame:
    """Match the clusters of two clusterings of the same cells, one to one.

    Parameters
    ----------
    a, b
        Label of each cell, in the same order.

    Returns
    -------
    DataFrame
        One row per label of `a`, in sorted order: ``a``, ``b`` (the label matched to it, "" for none), ``cells_a``,
        ``cells_b``, ``shared`` (cells in both) and ``jaccard``, the share of the cells of either that are in both.

    Raises
    ------
    ValueError
        When `a` and `b` differ in length.

    References
    ----------
    Kuhn 1955, doi:10.1002/nav.3800020109 (assignment): the sum of the Jaccard indices is as high as it can be.
    """
    of_a, of_b = np.asarray(a).astype(str), np.asarray(b).astype(str)
    names_a, names_b, shared = _contingency(of_a, of_b)
    jaccard, partner = _match(shared)
    found = partner >= 0
    # One more column stands for no partner, which -1 then points to.
    names = np.append(names_b, "")
    sizes = np.append(shared.sum(axis=0), 0)
    both = np.where(found, shared[np.arange(len(partner)), partner], 0)
    columns = (names_a, names[partner], shared.sum(axis=1), sizes[partner], both, jaccard)
    return pd.DataFrame(dict(zip(MATCH_COLUMNS, columns, strict=True))).astype({"a": object, "b": object})


def _contingency(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels of both, sorted, and the number of cells with each pair."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} labels are to be matched with {len(b)}")
    names_a, codes_a = np.unique(a, return_inverse=True)
    names_b, codes_b = np.unique(b, return_inverse=True)
    shape = len(names_a), len(names_b)
    counts = np.bincount(codes_a * shape[1] + codes_b, minlength=shape[0] * shape[1])
    return names_a, names_b, counts.reshape(shape)


def _match(shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row its Jaccard index with the column matched to it, and that column, -1 for none."""
    union = shared.sum(axis=1)[:, None] + shared.sum(axis=0)[None, :] - shared
    index = shared / np.maximum(union, 1)
    rows, columns = linear_sum_assignment(index, maximize=True)
    overlap = shared[rows, columns] > 0
    jaccard, partner = np.zeros(len(shared)), np.full(len(shared), -1)
    jaccard[rows[overlap]] = index[rows[overlap], columns[overlap]]
    partner[rows[overlap]] = columns[overlap]
    return jaccard, partner


def _over_seeds(
    connectivities: sp.csr_matrix, resolutions: Sequence[float], seed: int, seeds: int, workers: int
) -> tuple[dict[float, np.ndarray], dict[float, float]]:
    """Return at each resolution the measured clusters, and the mean adjusted Rand index over pairs of seeds."""
    graph = build_graph(connectivities)
    leiden_seeds = [seed, *(seed_of(seed, "seed", str(number)) for number in range(1, seeds))]

    def run(given: tuple[float, int]) -> np.ndarray:
        """Return the clusters of a resolution and a seed."""
        return find_communities(graph, *given)

    runs = iter(map_forked(run, list(product(resolutions, leiden_seeds)), workers))
    full, agreement = {}, {}
    for resolution in resolutions:
        found = list(islice(runs, seeds))
        full[resolution] = found[0]
        agreement[resolution] = float(np.mean([adjusted_rand(a, b) for a, b in combinations(found, 2)]))
    return full, agreement


def _over_subsamples(
    connectivities: sp.csr_matrix,
    full: Mapping[float, np.ndarray],
    seed: int,
    subsamples: int,
    share: float,
    workers: int,
) -> dict[float, list[tuple[float, pd.Series]]]:
    """Return at each resolution, for each subsample, adjusted Rand index and the Jaccard index of its clusters."""
    count = connectivities.shape[0]
    size = max(2, round(share * count))

    def run(number: int) -> list[tuple[float, pd.Series]]:
        """Cluster one subsample at each resolution."""
        own = seed_of(seed, "subsample", str(number))
        cells = np.sort(np.random.default_rng(own).choice(count, size, replace=False))
        graph, found = build_graph(connectivities[cells][:, cells]), []
        for resolution, clusters in full.items():
            kept, again = clusters[cells], find_communities(graph, resolution, own)
            names, _, shared = _contingency(kept, again)
            found.append((adjusted_rand(kept, again), pd.Series(_match(shared)[0], index=names)))
        return found

    runs = map_forked(run, range(1, subsamples + 1), workers)
    return dict(zip(full, map(list, zip(*runs, strict=True)), strict=True))


def _cluster_jaccards(full: np.ndarray, indices: Sequence[pd.Series]) -> pd.DataFrame:
    """Return cluster, cells and median Jaccard index over subsamples; a cluster that one misses has none there."""
    sizes = np.bincount(full)
    median = pd.concat(indices, axis=1).median(axis=1).reindex(range(len(sizes)), fill_value=0.0)
    return pd.DataFrame({"cluster": np.arange(len(sizes)).astype(str), "cells": sizes, "jaccard": median.to_numpy()})


def _summary(jaccard: pd.DataFrame, min_jaccard: float) -> tuple[float, float, float]:
    stable = jaccard["jaccard"] >= min_jaccard
    share = jaccard.loc[stable, "cells"].sum() / jaccard["cells"].sum()
    return float(jaccard["jaccard"].min()), float(jaccard["jaccard"].median()), float(share)
