"""The heavy steps on the CPU. `device.STEPS` names them; `steps_gpu` has the same functions.

Arrays and CSR matrices in, arrays and CSR matrices out; no file, no AnnData. Results do not depend on the number of
threads, which is what `device.allowed_threads` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp

from immune_landscape.device import allowed_threads
from immune_landscape.step_results import Components, DoubletScores, MarkerRanks, Neighbours


def cell_metrics(counts: sp.csr_matrix, groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure each cell in one pass over the counts.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, no explicit zeros.
    groups
        Name of a group of genes -> bool array of shape (genes,).

    Returns
    -------
    dict of str to ndarray of shape (cells,)
        ``total_counts``, float64; ``n_genes``, int64, genes with a count above 0; and for each group, by its name,
        its molecules, float64.
    """
    from immune_landscape.sparse_kernels import sum_rows

    member = np.array([groups[name] for name in groups], dtype=np.uint8).reshape(len(groups), counts.shape[1])
    total, above, parts = sum_rows(counts.data, counts.indices, counts.indptr, member)
    return {"total_counts": total, "n_genes": above} | dict(zip(groups, parts, strict=True))


def score_doublets(
    samples: Sequence[sp.csr_matrix], rates: Sequence[float], seeds: Sequence[int], *, n_components: int
) -> list[DoubletScores]:
    """Score the cells of each sample with Scrublet.

    As ``scanpy.pp.scrublet`` without a batch key on each sample: genes in 3 cells or more, cells of 3 genes or more,
    highly variable genes (``seurat`` cut-offs), twice as many simulated doublets as cells, a total of
    10^6, z-scores by mean and variance of the observed cells, principal components of the observed cells, exact
    neighbours (approximate ones above 10,000 cells), and the likelihood-based score.

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
    from immune_landscape.doublet_scores import score_sample

    widths = [n_components] * len(samples)
    with _one_blas_thread(), ThreadPoolExecutor(allowed_threads()) as pool:
        return list(pool.map(score_sample, samples, rates, seeds, widths))


def normalise(counts: sp.csr_matrix, target_sum: float) -> sp.csr_matrix:
    """Return log1p of counts scaled to the same total per cell.

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
    from immune_landscape.sparse_kernels import scale_rows, sum_rows

    none = np.zeros((0, counts.shape[1]), dtype=np.uint8)
    total = sum_rows(counts.data, counts.indices, counts.indptr, none)[0]
    # In single precision, as scanpy does: what it rounds to equal values, ranks must find equal too.
    divisor = np.where(total > 0, total, target_sum).astype(np.float32) / np.float32(target_sum)
    values = np.empty(counts.nnz, dtype=np.float32)
    scale_rows(counts.data, counts.indptr, divisor, values)
    np.log1p(values, out=values)
    return sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def choose_genes(normal: sp.csr_matrix, usable: np.ndarray, batch: np.ndarray | None, n_top_genes: int) -> np.ndarray:
    """Choose highly variable genes: ``seurat`` dispersion, ranked within batches.

    As ``scanpy.pp.highly_variable_genes(flavor="seurat", batch_key=...)`` on ``normal[:, usable]``.

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
    from immune_landscape.gene_dispersion import batch_moments, chosen_in_batches, measure_dispersion, most_dispersed

    labels, codes = np.unique(batch if batch is not None else np.zeros(normal.shape[0]), return_inverse=True)
    moments = batch_moments(normal, codes, len(labels))[:, :, usable]
    wanted = min(n_top_genes, moments.shape[2])
    chosen = np.zeros(normal.shape[1], dtype=bool)
    if batch is None:
        chosen[usable] = most_dispersed(measure_dispersion(moments[0], normal.shape[0]), wanted)
    else:
        chosen[usable] = chosen_in_batches(moments, np.bincount(codes), wanted)
    return chosen


def principal_components(normal: sp.csr_matrix, width: int, seed: int) -> Components:
    """Return principal components of centred, unscaled values, without densifying the matrix.

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
    from immune_landscape.leading_pairs import centred_products, leading_pairs

    with _one_blas_thread():
        mean, products = centred_products(normal, allowed_threads())
        directions, variances = leading_pairs(products, width, seed)
        scores = normal @ directions.astype(np.float32) - (mean @ directions).astype(np.float32)
    return Components(scores.astype(np.float32, copy=False), variances / np.trace(products))


def integrate(scores: np.ndarray, batch: np.ndarray, theta: float, seed: int) -> np.ndarray:
    """Correct principal components for batches with Harmony.

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
    import harmonypy
    import pandas as pd

    with _one_blas_thread():
        table = pd.DataFrame({"batch": batch.astype(str)})
        result = harmonypy.run_harmony(scores, table, ["batch"], theta=theta, random_state=seed, verbose=False)
    corrected = np.asarray(result.Z_corr)
    # harmonypy turned its result from components x cells to cells x components at 0.1.
    return (corrected if corrected.shape == scores.shape else corrected.T).astype(np.float32)


def nearest_neighbours(points: np.ndarray, n_neighbors: int, *, exact: bool, seed: int) -> Neighbours:
    """Find the nearest neighbours of each cell.

    Parameters
    ----------
    points
        float32, shape (cells, components).
    n_neighbors
        Neighbours per cell, itself among them; 2 or more, at most the number of cells.
    exact
        Look at all pairs, or in an approximate index (recall 0.95 or more).
    seed
        Seed of an approximate index.

    Returns
    -------
    Neighbours
        Indices and distances, ascending; of equal distances the lower index is first.
    """
    from immune_landscape.neighbour_search import nearest

    return Neighbours(*nearest(points, n_neighbors, exact=exact, seed=seed, threads=allowed_threads()))


def fuzzy_graph(neighbours: Neighbours) -> sp.csr_matrix:
    """Build UMAP's fuzzy graph: weights of each cell's neighbours, joined by the probabilistic sum.

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
    from immune_landscape.neighbour_graph import build_fuzzy_graph

    return build_fuzzy_graph(neighbours.indices, neighbours.distances)


def communities(graph: sp.csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Find communities of highest modularity with Leiden.

    Parameters
    ----------
    graph
        Cells x cells, symmetric weights.
    resolution
        Higher makes more communities.
    seed
        Seed of the order in which vertices move.

    Returns
    -------
    ndarray of int64, shape (cells,)
        0 is the largest; of two equal ones that of the earlier cell is first.
    """
    from immune_landscape.leiden import build_graph, find_communities

    return find_communities(build_graph(graph), resolution, seed)


def layout(graph: sp.csr_matrix, points: np.ndarray, *, min_dist: float, seed: int) -> np.ndarray:
    """Lay the cells of a fuzzy graph out in two dimensions as UMAP does.

    Parameters
    ----------
    graph
        As `fuzzy_graph` returns.
    points
        float32, shape (cells, components): what the neighbours were looked for in; its first two components are where
        the cells start.
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
    from immune_landscape.map_layout import lay_out

    return lay_out(graph, points, min_dist=min_dist, seed=seed, threads=allowed_threads())


def rank_markers(normal: sp.csr_matrix, groups: np.ndarray, n_groups: int) -> MarkerRanks:
    """Rank genes of each group of cells against all other cells by their rank sum, corrected for ties.

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
        Tie-corrected z and area under the curve. No p-value: cells are no replicates.

    References
    ----------
    Mann and Whitney 1947, doi:10.1214/aoms/1177730491.
    """
    from immune_landscape.rank_sums import rank_groups

    return MarkerRanks(*rank_groups(normal, groups, n_groups, allowed_threads()))


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread: sums of several differ in the last digits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield
