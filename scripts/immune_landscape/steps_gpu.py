"""The heavy steps on a GPU. `device.STEPS` names them; `steps_cpu` has the same functions.

Arrays and CSR matrices in host memory in and out, so that stages need not know where a step ran. cupy and RAPIDS are
imported inside the functions: this module can be imported, and asked for its signatures, without them. Neighbours,
graph and map are cuML's, Leiden is cuGraph's, Scrublet and Harmony are those of rapids-singlecell; where an environment
has none (Python 3.11 with CUDA 12, docs/gpu.md), these two run on the CPU and the log says so. The rest is sums,
products and sorts, written with cupy's array functions, which are numpy's. None of this has run on a GPU yet.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from immune_landscape import gpu_arrays
from immune_landscape.gpu_arrays import blocks, rows_of, to_host
from immune_landscape.step_results import Components, DoubletScores, MarkerRanks, Neighbours

if TYPE_CHECKING:
    import scipy.sparse as sp

LOG = logging.getLogger("immune_landscape")

LEVELS = 100
"""Levels at which cuGraph's Leiden ends though cells still move."""

MEAN_CELLS, MAX_ALONE = 20, 0.01
"""Cells of a cluster on average, and share of cells alone in theirs, beyond which clusters are not believed."""

MIN_GENES = 3
"""Cells of fewer genes have no doublet score."""


def cell_metrics(counts: sp.csr_matrix, groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure each cell; see `steps_cpu.cell_metrics`.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, no explicit zeros.
    groups
        Name of a group of genes -> bool array of shape (genes,).

    Returns
    -------
    dict of str to ndarray of shape (cells,)
        ``total_counts``, ``n_genes`` and each group's molecules.
    """
    import cupy as cp

    wanted = np.column_stack([np.ones(counts.shape[1]), *groups.values()]).astype(np.float64)
    columns = cp.asarray(wanted)
    sums = [cp.asnumpy(block.astype(cp.float64) @ columns) for _, block in blocks(counts)]
    found = np.vstack(sums) if sums else np.zeros((0, wanted.shape[1]))
    parts = {name: found[:, at] for at, name in enumerate(groups, start=1)}
    return {"total_counts": found[:, 0], "n_genes": np.diff(counts.indptr).astype(np.int64), **parts}


def score_doublets(
    samples: Sequence[sp.csr_matrix], rates: Sequence[float], seeds: Sequence[int], *, n_components: int
) -> list[DoubletScores]:
    """Score the cells of each sample with Scrublet; see `steps_cpu.score_doublets`.

    Parameters
    ----------
    samples
        Cells x genes each, raw counts.
    rates
        Expected share of doublets of each sample.
    seeds
        Seed of each sample.
    n_components
        Principal components; fewer where a sample has few cells or genes.

    Returns
    -------
    list of DoubletScores
        One per sample. No score (NaN) where a sample has too few variable genes.

    References
    ----------
    Wolock 2019, doi:10.1016/j.cels.2018.11.005.
    """
    if not _has_rapids_singlecell("score_doublets"):
        from immune_landscape import steps_cpu

        return steps_cpu.score_doublets(samples, rates, seeds, n_components=n_components)
    parts = zip(samples, rates, seeds, strict=True)
    return [_scrublet(counts, rate, seed, n_components) for counts, rate, seed in parts]


def _scrublet(counts: sp.csr_matrix, rate: float, seed: int, n_components: int) -> DoubletScores:
    import rapids_singlecell as rsc

    scores = np.full(counts.shape[0], np.nan)
    scored = np.flatnonzero(np.diff(counts.indptr) >= MIN_GENES)
    width = min(n_components, len(scored) // 4, counts.shape[1] // 4)
    if width < 2:
        return DoubletScores(scores, np.empty(0))
    cells = _on_gpu(counts[scored].astype(np.float32))
    options = {"n_prin_comps": width, "use_approx_neighbors": False, "verbose": False}
    try:
        rsc.pp.scrublet(cells, expected_doublet_rate=rate, random_state=seed, **options)
    except ValueError:  # too few variable genes in a small panel
        return DoubletScores(scores, np.empty(0))
    scores[scored] = cells.obs["doublet_score"].to_numpy(dtype=float)
    return DoubletScores(scores, np.asarray(cells.uns["scrublet"]["doublet_scores_sim"], dtype=float))


def normalise(counts: sp.csr_matrix, target_sum: float) -> sp.csr_matrix:
    """Return log1p of counts scaled to the same total per cell; see `steps_cpu.normalise`.

    Parameters
    ----------
    counts
        Cells x genes, raw counts; left as they are.
    target_sum
        Total per cell before log1p. A cell without counts stays empty.

    Returns
    -------
    csr_matrix of float32
        Same shape; indices are shared with `counts`, values are new.
    """
    import cupy as cp
    import scipy.sparse as sp

    values = np.empty(counts.nnz, dtype=np.float32)
    for rows, block in blocks(counts):
        total = block.astype(cp.float64) @ cp.ones(block.shape[1])
        # In single precision, as on the CPU: what that rounds to equal values, ranks must find equal here too.
        divisor = cp.where(total > 0, total, target_sum).astype(cp.float32) / cp.float32(target_sum)
        part = slice(counts.indptr[rows.start], counts.indptr[rows.stop])
        values[part] = cp.asnumpy(cp.log1p(block.data.astype(cp.float32) / divisor[rows_of(block)]))
    return sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def choose_genes(normal: sp.csr_matrix, usable: np.ndarray, batch: np.ndarray | None, n_top_genes: int) -> np.ndarray:
    """Choose highly variable genes; see `steps_cpu.choose_genes`, whose choice from the moments it shares.

    Parameters
    ----------
    normal
        Cells x genes, log-normalised (natural logarithm).
    usable
        Bool, shape (genes,): genes that may be chosen.
    batch
        Shape (cells,), any sortable labels; None for one choice over all cells.
    n_top_genes
        How many; all usable ones when there are fewer.

    Returns
    -------
    ndarray of bool, shape (genes,)
        The chosen genes.
    """
    from immune_landscape.gene_dispersion import chosen_in_batches, measure_dispersion, most_dispersed

    labels = np.zeros(normal.shape[0]) if batch is None else np.asarray(batch)
    names, code = np.unique(labels, return_inverse=True)
    moments = _moments(normal, code, len(names))[:, :, usable]
    wanted, chosen = min(n_top_genes, moments.shape[2]), np.zeros(normal.shape[1], dtype=bool)
    if batch is None:
        chosen[usable] = most_dispersed(measure_dispersion(moments[0], normal.shape[0]), wanted)
    else:
        chosen[usable] = chosen_in_batches(moments, np.bincount(code), wanted)
    return chosen


def _moments(normal: sp.csr_matrix, code: np.ndarray, n_batches: int) -> np.ndarray:
    """Return cells above 0, sum and sum of squares of expression, per batch and gene."""
    import cupy as cp

    genes = normal.shape[1]
    sums = cp.zeros((3, n_batches * genes))
    for rows, block in blocks(normal):
        place = cp.asarray(code[rows.start : rows.stop])[rows_of(block)] * genes + block.indices
        values = cp.expm1(block.data.astype(cp.float64))
        for at, weights in enumerate((cp.ones(len(values)), values, values**2)):
            sums[at] += cp.bincount(place, weights=weights, minlength=n_batches * genes)
    return np.ascontiguousarray(cp.asnumpy(sums).reshape(3, n_batches, genes).transpose(1, 0, 2))


def principal_components(normal: sp.csr_matrix, width: int, seed: int) -> Components:
    """Return principal components of centred, unscaled values; see `steps_cpu.principal_components`.

    Parameters
    ----------
    normal
        Cells x chosen genes, log-normalised.
    width
        Components, below both cells and genes.
    seed
        Seed of a solver that starts at random.

    Returns
    -------
    Components
        Scores and shares of variance.
    """
    import cupy as cp

    from immune_landscape.leading_pairs import leading_pairs

    cells, genes = normal.shape
    mean = cp.asarray(np.bincount(normal.indices, weights=normal.data, minlength=genes) / cells)
    products = cp.zeros((genes, genes))
    for _, block in blocks(normal, gpu_arrays.DENSE_ROWS):
        dense = block.toarray().astype(cp.float32) - mean.astype(cp.float32)
        products += dense.T @ dense
    products = cp.asnumpy(products)
    directions, variances = leading_pairs(products, width, seed)
    sent = cp.asarray(directions, dtype=cp.float32)
    moved = (mean @ cp.asarray(directions)).astype(cp.float32)
    scores = [cp.asnumpy(block.astype(cp.float32) @ sent - moved) for _, block in blocks(normal)]
    return Components(np.concatenate(scores).astype(np.float32), variances / np.trace(products))


def integrate(scores: np.ndarray, batch: np.ndarray, theta: float, seed: int) -> np.ndarray:
    """Correct principal components for batches with Harmony; see `steps_cpu.integrate`.

    Parameters
    ----------
    scores
        float32, shape (cells, components).
    batch
        Shape (cells,), labels of two batches or more.
    theta
        Diversity penalty.
    seed
        Seed of Harmony's k-means.

    Returns
    -------
    ndarray of float32, shape (cells, components)
        Corrected scores.

    References
    ----------
    Korsunsky 2019, doi:10.1038/s41592-019-0619-0.
    """
    if not _has_rapids_singlecell("integrate"):
        from immune_landscape import steps_cpu

        return steps_cpu.integrate(scores, batch, theta, seed)
    import anndata
    import pandas as pd
    import rapids_singlecell as rsc

    obs = pd.DataFrame({"batch": pd.Categorical(np.asarray(batch).astype(str))})
    obs.index = obs.index.astype(str)
    cells = anndata.AnnData(obs=obs, obsm={"X_pca": scores})
    rsc.pp.harmony_integrate(cells, "batch", adjusted_basis="X_integrated", theta=theta, random_state=seed)
    return np.ascontiguousarray(to_host(cells.obsm["X_integrated"]), dtype=np.float32)


def nearest_neighbours(points: np.ndarray, n_neighbors: int, *, exact: bool, seed: int) -> Neighbours:
    """Find the nearest neighbours of each cell among all; see `steps_cpu.nearest_neighbours`.

    Parameters
    ----------
    points
        float32, shape (cells, components).
    n_neighbors
        Neighbours per cell, itself among them; 2 or more, at most the number of cells.
    exact
        Not looked at: all pairs of a million cells take a GPU seconds, so an approximation would buy nothing.
    seed
        Not looked at, for the same reason.

    Returns
    -------
    Neighbours
        Indices and distances, ascending.
    """
    import cupy as cp
    from cuml.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute", output_type="cupy")
    sent = cp.asarray(points, dtype=cp.float32)
    distances, indices = search.fit(sent).kneighbors(sent)
    return _self_first(cp.asnumpy(indices).astype(np.int32), cp.asnumpy(distances).astype(np.float32))


def _self_first(indices: np.ndarray, distances: np.ndarray) -> Neighbours:
    """Put each cell before its neighbours; among cells that are alike it may stand behind, or have dropped out."""
    own = np.arange(len(indices), dtype=indices.dtype)
    others = indices != own[:, None]
    others[others.all(axis=1), -1] = False
    kept = (len(indices), indices.shape[1] - 1)
    near = np.column_stack([own, indices[others].reshape(kept)])
    apart = np.column_stack([np.zeros(len(own), dtype=distances.dtype), distances[others].reshape(kept)])
    return Neighbours(near, apart)


def fuzzy_graph(neighbours: Neighbours) -> sp.csr_matrix:
    """Build UMAP's fuzzy graph; see `steps_cpu.fuzzy_graph`.

    Parameters
    ----------
    neighbours
        As `nearest_neighbours` returns.

    Returns
    -------
    csr_matrix of float32, shape (cells, cells)
        Symmetric, weights in 0-1, sorted indices, empty diagonal.

    References
    ----------
    McInnes 2018, arXiv:1802.03426.
    """
    import cupy as cp
    import scipy.sparse as sp
    from cuml.manifold.umap import fuzzy_simplicial_set

    cells, width = neighbours.indices.shape
    near, apart = cp.asarray(neighbours.indices, dtype=cp.int64), cp.asarray(neighbours.distances)
    no_points = cp.zeros((cells, 1), dtype=cp.float32)
    found = fuzzy_simplicial_set(no_points, width, 0, knn_indices=near, knn_dists=apart)
    graph = sp.csr_matrix(to_host(found), dtype=np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def communities(graph: sp.csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Find communities of highest modularity with Leiden; see `steps_cpu.communities`.

    Parameters
    ----------
    graph
        Cells x cells, symmetric weights.
    resolution
        Higher makes more communities.
    seed
        Seed of the refinement.

    Returns
    -------
    ndarray of int64, shape (cells,)
        0 is the largest; of two equal ones that of the earlier cell is first.
    """
    import cupy as cp
    import pylibcugraph

    from immune_landscape.leiden import number_by_size

    edges, handle = graph.tocoo(), pylibcugraph.ResourceHandle()
    ends = [cp.asarray(side, dtype=cp.int32) for side in (edges.row, edges.col)]
    made = pylibcugraph.SGGraph(
        handle,
        pylibcugraph.GraphProperties(is_symmetric=True, is_multigraph=False),
        *ends,
        weight_array=cp.asarray(edges.data, dtype=cp.float32),
        store_transposed=False,
        renumber=True,
        do_expensive_check=False,
    )
    vertices, found, _ = pylibcugraph.leiden(handle, seed, made, LEVELS, resolution, 1.0, False)
    # A cell without an edge is not in the graph: it stays alone.
    member = np.arange(graph.shape[0], dtype=np.int64) + graph.shape[0]
    member[cp.asnumpy(vertices)] = cp.asnumpy(found)
    if doubt := _doubt(graph, member):
        from immune_landscape import steps_cpu

        LOG.warning("clusters found on the GPU are not believed: %s; found again on the CPU", doubt)
        return steps_cpu.communities(graph, resolution, seed)
    return number_by_size(member)


def _doubt(graph: sp.csr_matrix, member: np.ndarray) -> str:
    """Tell why clusters cannot be right; empty when they can."""
    linked = member[np.diff(graph.indptr) > 0]
    _, sizes = np.unique(linked, return_counts=True)
    if len(sizes) * MEAN_CELLS > max(len(linked), MEAN_CELLS):
        return f"{len(sizes)} clusters of {len(linked)} cells"
    if (alone := int((sizes == 1).sum())) > MAX_ALONE * len(linked):
        return f"{alone} of {len(linked)} cells alone though they have neighbours"
    return ""


def layout(graph: sp.csr_matrix, points: np.ndarray, *, min_dist: float, seed: int) -> np.ndarray:
    """Lay the cells of a fuzzy graph out in two dimensions as UMAP does; see `steps_cpu.layout`.

    Parameters
    ----------
    graph
        As `fuzzy_graph` returns.
    points
        float32, shape (cells, components); the first two are where the cells start.
    min_dist
        Least distance of points, 0 to 1.
    seed
        Seed of negative samples.

    Returns
    -------
    ndarray of float32, shape (cells, 2)
        Coordinates.

    References
    ----------
    McInnes 2018, arXiv:1802.03426; Kobak and Linderman 2021, doi:10.1038/s41587-020-00809-z (start).
    """
    import cupy as cp
    import cupyx.scipy.sparse as on_gpu
    from cuml.manifold.umap import simplicial_set_embedding

    from immune_landscape.map_layout import MANY_CELLS, PASSES_FEW, PASSES_MANY, fit_curve, start_places

    a, b = fit_curve(min_dist)
    edges = graph.tocoo()
    sent = [cp.asarray(part) for part in (edges.data, edges.row, edges.col)]
    places = simplicial_set_embedding(
        cp.zeros((len(points), 1), dtype=cp.float32),
        on_gpu.coo_matrix((sent[0], (sent[1], sent[2])), shape=graph.shape),
        n_components=2,
        a=a,
        b=b,
        n_epochs=PASSES_FEW if len(points) <= MANY_CELLS else PASSES_MANY,
        init=cp.asarray(start_places(points, seed)),
        random_state=seed,
    )
    return np.asarray(to_host(places), dtype=np.float32)


def rank_markers(normal: sp.csr_matrix, groups: np.ndarray, n_groups: int) -> MarkerRanks:
    """Rank genes of each group of cells against all other cells by their rank sum; see `steps_cpu.rank_markers`.

    Parameters
    ----------
    normal
        Cells x genes, log-normalised, no value below 0.
    groups
        int, shape (cells,): group of each cell, 0 to ``n_groups - 1``.
    n_groups
        Number of groups.

    Returns
    -------
    MarkerRanks
        Tie-corrected z and area under the curve.

    Notes
    -----
    Zeros are one tie below all other values, so only what is stored is sorted, gene after gene in one call.

    References
    ----------
    Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    import cupy as cp

    from immune_landscape.gpu_ranks import rank_sums

    columns, member = normal.tocsc(), cp.asarray(groups)
    sizes = np.bincount(groups, minlength=n_groups)
    ends = gpu_arrays.cuts(columns.indptr, gpu_arrays.RANKED_VALUES)
    parts = [rank_sums(columns[:, start:end], member, n_groups) for start, end in ends]
    sums, ties = (np.concatenate([part[at] for part in parts], axis=-1) for at in (0, 1))
    cells, own, rest = len(groups), sizes[:, None].astype(float), (len(groups) - sizes)[:, None].astype(float)
    pairs = own * rest
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(pairs / 12 * (cells + 1 - ties / (cells * (cells - 1))))
        z = (sums - own * (cells + 1) / 2) / spread
        auc = (sums - own * (own + 1) / 2) / pairs
    constant = np.isfinite(auc) & ~(spread > 0)
    return MarkerRanks(np.where(constant, 0.0, z), auc)


def _has_rapids_singlecell(step: str) -> bool:
    if find_spec("rapids_singlecell") is not None:
        return True
    LOG.info("%s runs on the CPU: rapids_singlecell cannot be imported", step)
    return False


def _on_gpu(matrix: sp.csr_matrix) -> Any:
    """Return an AnnData whose X lies on the GPU."""
    import anndata
    import pandas as pd
    import rapids_singlecell as rsc

    names = [pd.DataFrame(index=np.arange(side).astype(str)) for side in matrix.shape]
    cells = anndata.AnnData(matrix, obs=names[0], var=names[1])
    rsc.get.anndata_to_GPU(cells)
    return cells
