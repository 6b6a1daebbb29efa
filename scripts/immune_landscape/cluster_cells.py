"""Neighbours, clusters and a map of the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape import store

if TYPE_CHECKING:
    from anndata import AnnData

MIN_CELLS = 20
"""Fewer cells make one cluster without a map: a graph of them says nothing."""


def cluster_cells(
    reduction: AnnData,
    branch: str,
    seed: int,
    *,
    n_neighbors: int,
    exact_below: int,
    resolution: dict[str, float],
    min_dist: float,
) -> AnnData:
    """Cluster cells on their integrated components and lay them out.

    Parameters
    ----------
    reduction
        As `reduce_cells.reduce_cells` returns.
    branch
        ``all``, ``nk`` or ``t``; picks the resolution.
    seed
        Seed of Leiden and UMAP.
    n_neighbors
        Neighbours per cell.
    exact_below
        Number of cells up to which neighbours are exact; an approximate search only pays beyond.
    resolution
        Leiden resolution of each branch.
    min_dist
        UMAP's minimum distance.

    Returns
    -------
    AnnData
        Addition with ``obs['cluster']`` (``"0"`` is the largest), ``obsm['X_umap']``, ``obsp['connectivities']``
        (UMAP's fuzzy graph) and ``uns['clustering']``.

    References
    ----------
    Traag 2019, doi:10.1038/s41598-019-41695-z (Leiden); McInnes 2018, arXiv:1802.03426 (UMAP).
    """
    import scanpy as sc

    if reduction.n_obs < MIN_CELLS:
        return _one_cluster(reduction)
    neighbours = min(n_neighbors, reduction.n_obs // 2)
    points = pd.DataFrame(reduction.obsm["X_integrated"], index=reduction.obs_names)
    cells = find_neighbours(points, n_neighbors, exact_below, seed)
    cluster = find_clusters(cells, resolution[branch], seed)
    sc.tl.umap(cells, min_dist=min_dist, random_state=seed)
    facts = {
        "resolution": resolution[branch],
        "n_neighbors": neighbours,
        "exact": reduction.n_obs <= exact_below,
    }
    return store.addition(
        cells.obs_names,
        obs=pd.DataFrame({"cluster": cluster}),
        obsm={"X_umap": cells.obsm["X_umap"].astype(np.float32)},
        obsp={"connectivities": cells.obsp["connectivities"].tocsr()},
        uns={"clustering": facts},
    )


def find_neighbours(points: pd.DataFrame, n_neighbors: int, exact_below: int, seed: int) -> AnnData:
    """Build the neighbour graph of cells.

    Parameters
    ----------
    points
        Cells x components; at least `MIN_CELLS` cells.
    n_neighbors, exact_below
        As in `cluster_cells`.
    seed
        Seed of an approximate search.

    Returns
    -------
    AnnData
        The cells, with ``obsp['connectivities']`` (UMAP's fuzzy graph) and what else scanpy keeps with it.
    """
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(obs=pd.DataFrame(index=points.index), obsm={"X": points.to_numpy()})
    neighbours = min(n_neighbors, len(points) // 2)
    sc.pp.neighbors(
        cells,
        n_neighbors=neighbours,
        use_rep="X",
        random_state=seed,
        transformer=_search(len(points), neighbours, exact_below),
    )
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
    import anndata
    import scanpy as sc

    found = anndata.AnnData(obs=pd.DataFrame(index=cells.obs_names))
    sc.tl.leiden(
        found,
        adjacency=cells.obsp["connectivities"],
        resolution=resolution,
        flavor="igraph",
        n_iterations=2,
        directed=False,
        random_state=seed,
    )
    return found.obs["leiden"].astype(str)


def _search(n_cells: int, neighbours: int, exact_below: int) -> object | None:
    from sklearn.neighbors import KNeighborsTransformer

    return KNeighborsTransformer(n_neighbors=neighbours, algorithm="brute") if n_cells <= exact_below else None


def _one_cluster(reduction: AnnData) -> AnnData:
    import scipy.sparse as sp

    count = reduction.n_obs
    return store.addition(
        reduction.obs_names,
        obs=pd.DataFrame({"cluster": ["0"] * count}, index=reduction.obs_names),
        obsm={"X_umap": np.full((count, 2), np.nan, dtype=np.float32)},
        obsp={"connectivities": sp.csr_matrix((count, count), dtype=np.float32)},
        uns={"clustering": {"resolution": 0.0, "n_neighbors": 0, "exact": True}},
    )
