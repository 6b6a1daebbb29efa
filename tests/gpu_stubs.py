"""Stand-ins for the libraries of a GPU, so that the code that calls them runs where there is none.

cupy is numpy, its sparse matrices are scipy's; each function of RAPIDS is the one of the CPU that it replaces, behind
the arguments that ours passes. They show that arguments and results are passed on rightly, not what a GPU computes.
"""

import contextlib
import importlib.machinery
import sys
import types

import numpy as np
import scipy.sparse as sp


def module(name, **names):
    """Return a module that `importlib.util.find_spec` finds once it is in `sys.modules`."""
    made = types.ModuleType(name)
    made.__spec__, made.__path__ = importlib.machinery.ModuleSpec(name, None), []
    vars(made).update(names)
    return made


def cupy(gpus=1):
    """Return numpy under cupy's name, with so many GPUs."""
    numbers = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    runtime = types.SimpleNamespace(CUDARuntimeError=RuntimeError, getDeviceCount=lambda: gpus)
    return module("cupy", **numbers | {"asnumpy": np.asarray, "cuda": types.SimpleNamespace(runtime=runtime)})


class NearestNeighbors:
    """cuML's, by scikit-learn."""

    def __init__(self, *, n_neighbors, algorithm, output_type):
        from sklearn.neighbors import NearestNeighbors as OnCpu

        assert output_type == "cupy"
        self.search = OnCpu(n_neighbors=n_neighbors, algorithm=algorithm)

    def fit(self, points):
        self.search.fit(points)
        return self

    def kneighbors(self, points):
        return self.search.kneighbors(points)


def fuzzy_simplicial_set(data, n_neighbors, random_state, *, knn_indices, knn_dists):
    """cuML's, by umap-learn, which returns more."""
    from umap.umap_ import fuzzy_simplicial_set as on_cpu

    assert len(data) == len(knn_indices)
    assert knn_indices.dtype == np.int64
    seed = np.random.RandomState(random_state)
    return on_cpu(data, n_neighbors, seed, "euclidean", knn_indices=knn_indices, knn_dists=knn_dists)[0].tocoo()


def simplicial_set_embedding(data, graph, *, n_components, a, b, n_epochs, init, random_state):
    """Stand where the cells start, and put the curve into the last place."""
    assert len(data) == graph.shape[0]
    assert n_components == init.shape[1]
    places = np.array(init)
    places[-1] = (a, b)
    return places


class SGGraph:
    """cuGraph's graph."""

    def __init__(self, handle, properties, sources, targets, *, weight_array, **layout):
        assert layout == {"store_transposed": False, "renumber": True, "do_expensive_check": False}
        assert (properties.is_symmetric, properties.is_multigraph) == (True, False)
        self.edges = sources, targets, weight_array


def leiden(handle, seed, graph, levels, resolution, theta, check):
    """cuGraph's, by igraph; it returns only vertices that have an edge, in an order of its own."""
    from immune_landscape.leiden import build_graph, find_communities

    sources, targets, weights = graph.edges
    size = int(max(sources.max(), targets.max())) + 1
    matrix = sp.csr_matrix((weights, (sources, targets)), shape=(size, size))
    found = find_communities(build_graph(matrix), resolution, seed)
    vertices = np.unique(sources)[::-1]
    return vertices, found[vertices], 0.5


def harmony_integrate(cells, key, *, adjusted_basis, theta, random_state):
    """rapids-singlecell's, by harmonypy."""
    from immune_landscape import steps_cpu

    batch = cells.obs[key].to_numpy()
    cells.obsm[adjusted_basis] = steps_cpu.integrate(cells.obsm["X_pca"], batch, theta, random_state)


def scrublet(cells, **options):
    """rapids-singlecell's, by scanpy, which takes the same options."""
    import scanpy as sc

    sc.pp.scrublet(cells, **options)


def modules(gpus=1):
    """Return name -> stand-in of every library that `steps_gpu` imports."""
    umap = module("cuml.manifold.umap")
    umap.fuzzy_simplicial_set, umap.simplicial_set_embedding = fuzzy_simplicial_set, simplicial_set_embedding
    graph = {"GraphProperties": types.SimpleNamespace, "SGGraph": SGGraph, "ResourceHandle": object, "leiden": leiden}
    steps = types.SimpleNamespace(harmony_integrate=harmony_integrate, scrublet=scrublet)
    return {
        "cupy": cupy(gpus),
        "cupyx": module("cupyx"),
        "cupyx.scipy": module("cupyx.scipy"),
        "cupyx.scipy.sparse": module("cupyx.scipy.sparse", csr_matrix=sp.csr_matrix, coo_matrix=sp.coo_matrix),
        "cuml": module("cuml"),
        "cuml.neighbors": module("cuml.neighbors", NearestNeighbors=NearestNeighbors),
        "cuml.manifold": module("cuml.manifold"),
        "cuml.manifold.umap": umap,
        "pylibcugraph": module("pylibcugraph", **graph),
        "rapids_singlecell": module(
            "rapids_singlecell", pp=steps, get=types.SimpleNamespace(anndata_to_GPU=contextlib.nullcontext)
        ),
    }


def installed(monkeypatch, *, without=(), gpus=1):
    """Put the stand-ins where imports find them, for one test; some may be left out."""
    # Libraries that look for cupy when they are imported must not find numpy.
    import anndata  # noqa: F401
    import scanpy  # noqa: F401

    from immune_landscape import device

    for name, stand_in in modules(gpus).items():
        if name.split(".")[0] not in without:
            monkeypatch.setitem(sys.modules, name, stand_in)
    device.gpu_problem.cache_clear()
