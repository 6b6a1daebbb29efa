"""Leiden communities of a weighted neighbour graph, numbered by size."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from igraph import Graph
    from numpy.typing import ArrayLike

ITERATIONS = 2
"""Passes of Leiden. More cost time and, on graphs of immune cells, make neither stability nor truth better."""


def build_graph(connectivities: sp.csr_matrix) -> Graph:
    """Build the undirected graph of a symmetric matrix of weights.

    Parameters
    ----------
    connectivities
        Cells x cells, symmetric, weights above 0.

    Returns
    -------
    igraph.Graph
        One vertex per cell, in order; edge attribute ``weight``.
    """
    import igraph

    upper = sp.triu(connectivities, k=1).tocoo()
    graph = igraph.Graph(n=connectivities.shape[0])
    # An array of igraph's own integers is taken over as it is; the constructor takes edge by edge.
    graph.add_edges(np.column_stack([upper.row, upper.col]).astype(np.int64))
    graph.es["weight"] = upper.data.astype(float)
    return graph


def find_communities(graph: Graph, resolution: float, seed: int) -> np.ndarray:
    """Find communities of highest modularity.

    Parameters
    ----------
    graph
        As `build_graph` returns.
    resolution
        Higher makes more communities.
    seed
        Seed of the order in which Leiden moves vertices.

    Returns
    -------
    ndarray of int, shape (vertices,)
        Number of each vertex's community; 0 is the largest, and of two equal ones that of the earlier vertex is first.

    References
    ----------
    Traag 2019, doi:10.1038/s41598-019-41695-z (Leiden).
    """
    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(
            objective_function="modularity", weights="weight", resolution=resolution, n_iterations=ITERATIONS
        )
    finally:
        igraph.set_random_number_generator(random)
    return number_by_size(np.asarray(found.membership, dtype=np.int64))


def number_by_size(membership: np.ndarray) -> np.ndarray:
    """Number communities by size.

    Parameters
    ----------
    membership
        int, shape (vertices,): any number of each vertex's community.

    Returns
    -------
    ndarray of int64, shape (vertices,)
        0 is the largest, and of two equal ones that of the earlier vertex is first.
    """
    _, first, inverse, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[inverse]


def adjusted_rand(first: ArrayLike, second: ArrayLike) -> float:
    """Return the adjusted Rand index of two clusterings.

    Parameters
    ----------
    first, second
        Label of each cell, in the same order.

    Returns
    -------
    float
        1 for the same clusters, whatever their labels; 0 on average for random ones.

    References
    ----------
    Hubert and Arabie 1985, doi:10.1007/BF01908075.
    """
    import igraph

    codes = [pd.factorize(np.asarray(labels))[0].tolist() for labels in (first, second)]
    if len(codes[0]) < 2:  # igraph refuses what has no pair
        return 1.0
    found = float(igraph.compare_communities(*codes, method="adjusted_rand"))
    # One cluster of all cells twice, or each cell its own twice, leave nothing to adjust by.
    return 1.0 if math.isnan(found) else found
