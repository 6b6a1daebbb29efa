"""The heavy steps on the CPU against scanpy, scikit-learn and umap-learn, step by step."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from planted_cells import plant_cells
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from immune_landscape import steps_cpu


@pytest.fixture(scope="module")
def planted():
    return plant_cells()


@pytest.fixture(scope="module")
def normal(planted):
    return steps_cpu.normalise(planted.counts, 1e4)


@pytest.fixture(scope="module")
def components(normal):
    return steps_cpu.principal_components(normal, 20, 0)


@pytest.fixture(scope="module")
def neighbours(components):
    return steps_cpu.nearest_neighbours(components.scores, 15, exact=True, seed=0)


def plain(matrix):
    return anndata.AnnData(matrix.copy())


def threads(monkeypatch, number):
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(number))


def test_cells_are_measured_as_sums_of_their_rows(planted):
    group = np.arange(planted.counts.shape[1]) % 7 == 0
    found = steps_cpu.cell_metrics(planted.counts, {"seventh": group, "none": ~group & group})
    dense = planted.counts.toarray().astype(float)
    assert found["total_counts"].tolist() == dense.sum(axis=1).tolist()
    assert found["n_genes"].tolist() == (dense > 0).sum(axis=1).tolist()
    assert found["seventh"].tolist() == dense[:, group].sum(axis=1).tolist()
    assert not found["none"].any()


def test_normalised_values_are_those_of_scanpy(planted, normal):
    cells = plain(planted.counts)
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    assert normal.dtype == np.float32
    assert np.array_equal(normal.data, cells.X.data)
    assert np.shares_memory(normal.indices, planted.counts.indices)


def test_an_empty_cell_stays_empty():
    assert steps_cpu.normalise(sp.csr_matrix((2, 3), dtype=np.int32), 1e4).nnz == 0


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("wanted", [100, 400])
def test_chosen_genes_are_those_of_scanpy(planted, normal, batches, wanted):
    usable = np.arange(normal.shape[1]) % 11 > 0
    batch = planted.cells.obs["sample"].to_numpy().astype(str) if batches else None
    cells = plain(normal[:, usable])
    cells.obs["batch"] = pd.Categorical(planted.cells.obs["sample"].to_numpy())
    table = sc.pp.highly_variable_genes(
        cells, n_top_genes=wanted, flavor="seurat", batch_key="batch" if batches else None, inplace=False
    )
    found = steps_cpu.choose_genes(normal, usable, batch, wanted)
    assert not found[~usable].any()
    assert found[usable].tolist() == table["highly_variable"].tolist()


def test_components_span_what_scanpy_finds(normal, components):
    cells = plain(normal)
    sc.pp.pca(cells, n_comps=20, random_state=0)
    one, two = (np.linalg.qr(scores)[0] for scores in (components.scores, cells.obsm["X_pca"]))
    assert np.linalg.svd(one.T @ two)[1].min() > 0.9999
    assert components.variance_ratio == pytest.approx(cells.uns["pca"]["variance_ratio"], rel=1e-3)
    assert np.abs(components.scores.mean(axis=0)).max() < 1e-3


def test_components_do_not_depend_on_threads(normal, components, monkeypatch):
    threads(monkeypatch, 2)
    assert np.array_equal(steps_cpu.principal_components(normal, 20, 0).scores, components.scores)


def test_exact_neighbours_are_those_of_all_pairs(components, neighbours):
    points = components.scores.astype(float)
    distances, indices = NearestNeighbors(n_neighbors=15, algorithm="brute").fit(points).kneighbors(points)
    assert np.array_equal(neighbours.indices, indices)
    assert neighbours.distances == pytest.approx(distances, abs=1e-4)
    assert (neighbours.distances[:, 0] == 0).all()


def test_equal_cells_are_neighbours_of_each_other_in_the_order_of_their_rows():
    points = np.zeros((40, 3), dtype=np.float32)
    found = steps_cpu.nearest_neighbours(points, 4, exact=True, seed=0)
    assert (found.indices[:, 0] == np.arange(40)).all()
    assert (found.distances == 0).all()
    assert all(len(set(row)) == 4 for row in found.indices.tolist())


def test_approximate_neighbours_recall_enough_and_do_not_depend_on_threads(components, neighbours, monkeypatch):
    one = steps_cpu.nearest_neighbours(components.scores, 15, exact=False, seed=0)
    threads(monkeypatch, 2)
    two = steps_cpu.nearest_neighbours(components.scores, 15, exact=False, seed=0)
    assert np.array_equal(one.indices, two.indices)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(one.indices, neighbours.indices, strict=True)]
    assert np.mean(shared) / 15 > 0.95


def test_the_graph_is_that_of_umap(neighbours):
    from umap.umap_ import fuzzy_simplicial_set

    before = neighbours.indices.copy()
    graph = steps_cpu.fuzzy_graph(neighbours)
    assert np.array_equal(before, neighbours.indices)
    cells = len(neighbours.indices)
    theirs, _, _ = fuzzy_simplicial_set(
        sp.coo_matrix((cells, 1)), 15, None, None, knn_indices=neighbours.indices, knn_dists=neighbours.distances
    )
    assert abs(graph - theirs).max() < 1e-4
    assert abs(graph - graph.T).max() == 0
    assert graph.diagonal().max() == 0


def test_equal_cells_make_a_graph_without_holes():
    found = steps_cpu.nearest_neighbours(np.zeros((30, 2), dtype=np.float32), 5, exact=True, seed=0)
    graph = steps_cpu.fuzzy_graph(found)
    assert np.isfinite(graph.data).all()
    assert (graph.data == 1).all()


def test_communities_are_numbered_by_size(neighbours, planted):
    found = steps_cpu.communities(steps_cpu.fuzzy_graph(neighbours), 0.5, 0)
    sizes = np.bincount(found)
    assert (np.diff(sizes) <= 0).all()


def test_the_map_keeps_neighbours_and_does_not_depend_on_threads(components, neighbours, planted, monkeypatch):
    graph = steps_cpu.fuzzy_graph(neighbours)
    one = steps_cpu.layout(graph, components.scores, min_dist=0.3, seed=0)
    threads(monkeypatch, 2)
    assert np.array_equal(one, steps_cpu.layout(graph, components.scores, min_dist=0.3, seed=0))
    assert not np.array_equal(one, steps_cpu.layout(graph, components.scores, min_dist=0.3, seed=1))
    on_map = steps_cpu.nearest_neighbours(one, 31, exact=True, seed=0).indices
    kind = planted.cells.obs["type"].to_numpy()
    single = ~planted.cells.obs["doublet"].to_numpy()
    assert (kind[on_map[single, 1:]] == kind[single][:, None]).mean() > 0.9


def test_the_curve_of_the_map_is_that_of_umap():
    from umap.umap_ import find_ab_params

    from immune_landscape.map_layout import fit_curve

    assert fit_curve(0.3) == pytest.approx(find_ab_params(1.0, 0.3), rel=1e-6)


def test_doublet_scores_are_those_of_scrublet(planted):
    name = "S0"
    scores, simulated = steps_cpu.score_doublets([planted.of_sample(name)], [0.06], [3], n_components=15)[0]
    cells = planted.cells[planted.cells.obs["sample"] == name].copy()
    sc.pp.scrublet(cells, expected_doublet_rate=0.06, random_state=3, n_prin_comps=15, verbose=False)
    assert np.corrcoef(scores, cells.obs["doublet_score"])[0, 1] > 0.999
    theirs = cells.uns["scrublet"]["doublet_scores_sim"]
    assert len(simulated) == 2 * len(scores)
    assert np.corrcoef(simulated, theirs)[0, 1] > 0.999
    assert np.median(simulated) == pytest.approx(np.median(theirs), abs=0.005)


def test_doublet_scores_do_not_depend_on_threads_or_company(planted, monkeypatch):
    samples = [planted.of_sample(name) for name in ("S0", "S1", "S2")]
    alone = [steps_cpu.score_doublets([sample], [0.06], [3], n_components=15)[0] for sample in samples]
    threads(monkeypatch, 2)
    together = steps_cpu.score_doublets(samples, [0.06] * 3, [3] * 3, n_components=15)
    for one, two in zip(alone, together, strict=True):
        assert np.array_equal(one.observed, two.observed)


def test_a_sample_without_variable_genes_has_no_scores():
    flat = sp.csr_matrix(np.ones((120, 4), dtype=np.float32))
    scores, simulated = steps_cpu.score_doublets([flat], [0.06], [0], n_components=5)[0]
    assert np.isnan(scores).all()
    assert not len(simulated)


def test_marker_ranks_are_those_of_the_rank_sum(normal, planted):
    codes = pd.Categorical(planted.cells.obs["type"]).codes.astype(int)
    found = steps_cpu.rank_markers(normal, codes, 7)
    for gene in (0, 17, 500):
        values = normal[:, gene].toarray().ravel()
        for group in (0, 4):
            inside, outside = values[codes == group], values[codes != group]
            test = stats.mannwhitneyu(inside, outside, use_continuity=False, method="asymptotic")
            assert found.auc[group, gene] == pytest.approx(test.statistic / (len(inside) * len(outside)))
            assert stats.norm.sf(abs(found.z[group, gene])) * 2 == pytest.approx(test.pvalue, rel=1e-6)
    assert np.isnan(found.z[6]).all(), "a group without cells has no rank"


def test_marker_ranks_are_those_of_scanpy(normal, planted):
    cells = plain(normal)
    cells.obs["type"] = pd.Categorical(planted.cells.obs["type"].to_numpy())
    sc.tl.rank_genes_groups(cells, "type", method="wilcoxon", tie_correct=True)
    found = steps_cpu.rank_markers(normal, cells.obs["type"].cat.codes.to_numpy(), 6)
    for at, name in enumerate(cells.obs["type"].cat.categories):
        theirs = sc.get.rank_genes_groups_df(cells, name).set_index("names")["scores"]
        ours = pd.Series(found.z[at], index=cells.var_names)
        assert (ours.loc[theirs.index] - theirs).abs().max() < 1e-4
        assert set(ours.sort_values(ascending=False).index[:50]) == set(theirs.index[:50])


def test_one_group_has_no_ranks(normal):
    assert np.isnan(steps_cpu.rank_markers(normal, np.zeros(normal.shape[0], dtype=int), 1).z).all()
