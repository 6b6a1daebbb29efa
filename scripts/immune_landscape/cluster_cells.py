"""Neighbours, clusters, their stability, and a map of the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape import store
from immune_landscape.cluster_numbers import earlier_clusters, keep_numbers
from immune_landscape.device import CPU, Devices, allowed_threads
from immune_landscape.errors import InputError
from immune_landscape.landmarks import choose_landmarks, spread_landmarks
from immune_landscape.leiden import build_graph, find_communities
from immune_landscape.stability import (
    JACCARD_COLUMNS,
    STABILITY_COLUMNS,
    choose_resolution,
    is_stable,
    measure_stability,
)

if TYPE_CHECKING:
    from anndata import AnnData

MIN_CELLS = 20
"""Fewer cells make one cluster without a map: a graph of them says nothing."""


AUTO = "auto"
"""Resolution chosen by `stability.choose_resolution`."""


class Clustering(NamedTuple):
    """Clusters of cells and how stable they are.

    Attributes
    ----------
    cells
        Addition with ``obs['cluster']`` (``"0"`` is the largest, unless numbers are those of an earlier run),
        ``obsm['X_umap']``, ``obsp['connectivities']``
        (UMAP's fuzzy graph) and ``uns['clustering']``: ``resolution``, ``by_rule`` (whether the rule chose it),
        ``stable`` (whether it is within the limits of the rule), ``n_neighbors``, ``exact``,
        ``landmarks`` (0 where none were used).
    stability
        As `stability.measure_stability` returns, and ``chosen``: whether the clusters are of this resolution.
    jaccard
        As `stability.measure_stability` returns.
    """

    cells: AnnData
    stability: pd.DataFrame
    jaccard: pd.DataFrame


def cluster_cells(
    reduction: AnnData,
    branch: str,
    seed: int,
    earlier: pd.DataFrame | None = None,
    devices: Devices = CPU,
    *,
    n_neighbors: int,
    exact_below: int,
    resolution: Mapping[str, float | str],
    grid: Mapping[str, Sequence[float]],
    seeds: int,
    subsamples: int,
    subsample_share: float,
    min_ari: float,
    min_jaccard: float,
    min_stable_share: float,
    min_dist: float,
    landmarks: int,
) -> Clustering:
    """Cluster cells on their integrated components, measure how stable the clusters are, and lay the cells out.

    Parameters
    ----------
    reduction
        As `reduce_cells.reduce_cells` returns.
    branch
        ``all``, ``nk`` or ``t``; picks resolution and grid.
    seed
        Seed of Leiden and UMAP; those of other runs and of subsamples derive from it.
    earlier
        Labels of an earlier run, as `define_labels.define_labels` returns them: clusters of NK or T cells that match
        one of theirs keep its number (`cluster_numbers.keep_numbers`).
    devices
        Where neighbours, graph and map are computed. Clusters and their stability hang on hundreds of runs of Leiden
        on parts of one graph, which are done on the CPU.
    n_neighbors
        Neighbours per cell.
    exact_below
        Number of cells up to which neighbours are exact; an approximate search only pays beyond.
    resolution
        Leiden resolution of each branch, or ``auto``: the highest of its grid at which the mean adjusted Rand index
        over subsamples is at least `min_ari` and at least `min_stable_share` of the cells lie in clusters with a
        Jaccard index of `min_jaccard` or more, else the lowest.
    grid
        Resolutions of each branch whose stability is measured; a fixed resolution is measured with them.
    seeds, subsamples, subsample_share, min_jaccard
        As for `stability.measure_stability`.
    min_ari, min_stable_share
        As for `stability.choose_resolution`.
    min_dist
        UMAP's minimum distance.
    landmarks
        Cells of which clusters, stability and map are made where there are more (`landmarks.choose_landmarks`); the
        others take the cluster of their nearest landmarks. 0 for all cells.

    Returns
    -------
    Clustering
        Clusters, and two tables of their stability; these have no rows where there are fewer than `MIN_CELLS` cells.

    Raises
    ------
    InputError
        When the resolution is ``auto`` and the grid is empty.

    References
    ----------
    Traag 2019, doi:10.1038/s41598-019-41695-z (Leiden); McInnes 2018, arXiv:1802.03426 (UMAP); Hennig 2007,
    doi:10.1016/j.csda.2006.11.025 (stability of each cluster).
    """
    measured = _resolutions(branch, resolution[branch], grid[branch])
    if reduction.n_obs < MIN_CELLS:
        return _one_cluster(reduction)
    points = pd.DataFrame(reduction.obsm["X_integrated"], index=reduction.obs_names)
    cells = find_neighbours(points, n_neighbors, exact_below, seed, devices)
    some = choose_landmarks(cells.obsm["X"], landmarks, seed) if 0 < landmarks < reduction.n_obs else None
    core = cells if some is None else find_neighbours(points.iloc[some], n_neighbors, exact_below, seed, devices)
    stability, jaccard = measure_stability(
        core.obsp["connectivities"],
        measured,
        seed,
        seeds=seeds,
        subsamples=subsamples,
        subsample_share=subsample_share,
        min_jaccard=min_jaccard,
        threads=allowed_threads(),
    )
    facts = _choice(stability, resolution[branch], {"min_ari": min_ari, "min_stable_share": min_stable_share})
    facts |= {"n_neighbors": min(n_neighbors, reduction.n_obs // 2), "exact": reduction.n_obs <= exact_below}
    facts["landmarks"] = 0 if some is None else len(some)
    stability["chosen"] = stability["resolution"] == facts["resolution"]
    laid = _laid_out(core, facts, seed, min_dist, devices)
    found = Clustering(laid, stability, jaccard)
    if some is not None:
        found = _spread(found, cells, some, seed)
    return found if earlier is None else _renumbered(found, earlier_clusters(earlier, branch))


def _spread(found: Clustering, cells: AnnData, some: np.ndarray, seed: int) -> Clustering:
    """Give all cells the clusters and places of landmarks; clusters are numbered by the cells that they now have."""
    core = found.cells
    given = some, core.obs["cluster"], core.obsm["X_umap"], seed, allowed_threads()
    spread = spread_landmarks(cells.obsm["X"], *given)
    sizes = pd.Series(spread.cluster).value_counts(sort=False)
    order = sorted(sizes.index, key=lambda name: (-sizes[name], int(name)))
    numbers = {name: str(at) for at, name in enumerate(order)}
    everything = store.addition(
        cells.obs_names,
        obs=pd.DataFrame({"cluster": pd.Series(spread.cluster, dtype=object).map(numbers).to_numpy()}, cells.obs_names),
        obsm={"X_umap": spread.places},
        obsp={"connectivities": cells.obsp["connectivities"]},
        uns=dict(core.uns),
    )
    return Clustering(everything, found.stability, _renamed(found, numbers))


def _renumbered(found: Clustering, earlier: pd.Series) -> Clustering:
    """Give the clusters, and their rows of the chosen resolution, the numbers that they had."""
    if earlier.empty:
        return found
    cells = found.cells
    numbers = keep_numbers(cells.obs["cluster"].astype(str), earlier)
    cells.obs["cluster"] = cells.obs["cluster"].astype(str).map(numbers).astype(object)
    return found._replace(jaccard=_renamed(found, numbers))


def _renamed(found: Clustering, numbers: Mapping[str, str]) -> pd.DataFrame:
    """Return the table of Jaccard indices with other numbers for the clusters of the chosen resolution."""
    chosen = found.jaccard["resolution"] == found.cells.uns["clustering"]["resolution"]
    named = found.jaccard["cluster"].astype(str)
    return found.jaccard.assign(cluster=named.mask(chosen, named.map(numbers)))


def _resolutions(branch: str, resolution: float | str, grid: Sequence[float]) -> list[float]:
    """Return the resolutions to measure."""
    if resolution != AUTO:
        return [*grid, float(resolution)]
    if not grid:
        raise InputError(f"cluster_cells.resolution.{branch} is auto: cluster_cells.grid.{branch} must not be empty")
    return list(grid)


def _choice(stability: pd.DataFrame, resolution: float | str, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return the resolution, whether the rule chose it, and whether its clusters are stable."""
    if resolution == AUTO:
        chosen, stable = choose_resolution(stability, **limits)
        return {"resolution": chosen, "by_rule": True, "stable": stable}
    within = is_stable(stability, **limits)[stability["resolution"] == float(resolution)]
    return {"resolution": float(resolution), "by_rule": False, "stable": bool(within.all())}


def _laid_out(cells: AnnData, facts: dict[str, Any], seed: int, min_dist: float, devices: Devices) -> AnnData:
    """Cluster the cells at the resolution of the facts, and give them places on a map."""
    graph = cells.obsp["connectivities"]
    places = devices.step("layout")(graph, cells.obsm["X"], min_dist=min_dist, seed=seed)
    return store.addition(
        cells.obs_names,
        obs=pd.DataFrame({"cluster": find_clusters(cells, facts["resolution"], seed)}),
        obsm={"X_umap": places},
        obsp={"connectivities": graph},
        uns={"clustering": facts},
    )


def find_neighbours(
    points: pd.DataFrame, n_neighbors: int, exact_below: int, seed: int, devices: Devices = CPU
) -> AnnData:
    """Build the neighbour graph of cells.

    Parameters
    ----------
    points
        Cells x components; at least `MIN_CELLS` cells.
    n_neighbors, exact_below
        As in `cluster_cells`.
    seed
        Seed of an approximate search.
    devices
        Where it is done.

    Returns
    -------
    AnnData
        The cells, with ``obsm['X']``, the components, and ``obsp['connectivities']``, UMAP's fuzzy graph.
    """
    import anndata

    values = np.ascontiguousarray(points.to_numpy(), dtype=np.float32)
    neighbours = min(n_neighbors, len(points) // 2)
    near = devices.step("nearest_neighbours")(values, neighbours, exact=len(points) <= exact_below, seed=seed)
    cells = anndata.AnnData(obs=pd.DataFrame(index=points.index), obsm={"X": values})
    cells.obsp["connectivities"] = devices.step("fuzzy_graph")(near)
    return cells


def find_clusters(cells: AnnData, resolution: float, seed: int) -> pd.Series:
    """Cluster the cells of a neighbour graph with Leiden.

    Parameters
    ----------
    cells
        With ``obsp['connectivities']``.
    resolution
        Higher makes more clusters.
    seed
        Seed of Leiden.

    Returns
    -------
    pandas.Series
        Cluster of each cell as text, ``"0"`` being the largest.
    """
    found = find_communities(build_graph(cells.obsp["connectivities"]), resolution, seed)
    return pd.Series(found.astype(str), index=cells.obs_names, name="cluster", dtype=object)


def _one_cluster(reduction: AnnData) -> Clustering:
    import scipy.sparse as sp

    count = reduction.n_obs
    facts = {"resolution": 0.0, "by_rule": False, "stable": False, "n_neighbors": 0, "exact": True, "landmarks": 0}
    added = store.addition(
        reduction.obs_names,
        obs=pd.DataFrame({"cluster": ["0"] * count}, index=reduction.obs_names),
        obsm={"X_umap": np.full((count, 2), np.nan, dtype=np.float32)},
        obsp={"connectivities": sp.csr_matrix((count, count), dtype=np.float32)},
        uns={"clustering": facts},
    )
    stability = pd.DataFrame(columns=[*STABILITY_COLUMNS, "chosen"])
    return Clustering(added, stability, pd.DataFrame(columns=JACCARD_COLUMNS))
