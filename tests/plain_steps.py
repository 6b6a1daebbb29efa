"""The heavy steps as plain scanpy does them, behind the signatures of `steps_cpu`: the other side of comparisons."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.step_results import Components, MarkerRanks, Neighbours


def step(name):
    """Return the function of a step."""
    return globals()[name]


def as_cells(matrix):
    names = [pd.DataFrame(index=np.arange(side).astype(str)) for side in matrix.shape]
    return anndata.AnnData(matrix.copy(), obs=names[0], var=names[1])


def normalise(counts, target_sum):
    import scanpy as sc

    cells = as_cells(counts.astype(np.float32))
    sc.pp.normalize_total(cells, target_sum=target_sum)
    sc.pp.log1p(cells)
    return cells.X


def choose_genes(normal, usable, batch, n_top_genes):
    import scanpy as sc

    cells = as_cells(normal[:, np.flatnonzero(usable)])
    if batch is not None:
        cells.obs["batch"] = pd.Categorical(batch)
    key = None if batch is None else "batch"
    table = sc.pp.highly_variable_genes(cells, n_top_genes=n_top_genes, batch_key=key, inplace=False)
    chosen = np.zeros(len(usable), dtype=bool)
    chosen[np.flatnonzero(usable)] = table["highly_variable"].to_numpy()
    return chosen


def principal_components(normal, width, seed):
    import scanpy as sc

    cells = as_cells(normal)
    sc.pp.pca(cells, n_comps=width, random_state=seed)
    return Components(cells.obsm["X_pca"], cells.uns["pca"]["variance_ratio"])


def integrate(scores, batch, theta, seed):
    import harmonypy

    table = pd.DataFrame({"batch": batch})
    found = np.asarray(
        harmonypy.run_harmony(scores, table, ["batch"], theta=theta, random_state=seed, verbose=False).Z_corr
    )
    return found if found.shape == scores.shape else found.T


def nearest_neighbours(points, n_neighbors, *, exact, seed):
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points).kneighbors(points)
    return Neighbours(indices, distances)


def fuzzy_graph(neighbours):
    from umap.umap_ import fuzzy_simplicial_set

    cells, width = neighbours.indices.shape
    given = {"knn_indices": neighbours.indices, "knn_dists": neighbours.distances.astype(np.float32)}
    no_points, rng = sp.coo_matrix((cells, 1)), np.random.RandomState(0)
    return fuzzy_simplicial_set(no_points, width, rng, "euclidean", **given)[0].tocsr()


def communities(graph, resolution, seed):
    import scanpy as sc

    cells = as_cells(sp.csr_matrix((graph.shape[0], 1)))
    options = {"flavor": "igraph", "n_iterations": 2, "directed": False, "random_state": seed}
    sc.tl.leiden(cells, resolution=resolution, adjacency=graph, **options)
    return cells.obs["leiden"].astype(int).to_numpy()


def rank_markers(normal, groups, n_groups):
    import scanpy as sc

    cells = as_cells(normal)
    cells.uns["log1p"] = {"base": None}
    cells.obs["group"] = pd.Categorical(groups.astype(str))
    with np.errstate(invalid="ignore"):  # genes that no cell has
        sc.tl.rank_genes_groups(cells, "group", method="wilcoxon", tie_correct=True)
    found = cells.uns["rank_genes_groups"]
    z = np.full((n_groups, normal.shape[1]), np.nan)
    for group in range(n_groups):
        z[group, found["names"][str(group)].astype(int)] = found["scores"][str(group)]
    return MarkerRanks(z, np.full_like(z, np.nan))
