"""The steps of a GPU against those of the CPU, with stand-ins for the libraries of a GPU: none is asked for here."""

import inspect
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from gpu_stubs import installed

from immune_landscape import device, gpu_arrays, steps_cpu, steps_gpu
from immune_landscape.errors import InputError

GROUPS = 4


@pytest.fixture
def gpu(monkeypatch):
    """Stand-ins, and blocks so small that every step takes several."""
    installed(monkeypatch)
    monkeypatch.setattr(gpu_arrays, "BLOCK_VALUES", 3000)
    monkeypatch.setattr(gpu_arrays, "DENSE_ROWS", 70)
    monkeypatch.setattr(gpu_arrays, "RANKED_VALUES", 2000)
    yield
    device.gpu_problem.cache_clear()


@pytest.fixture(scope="module")
def counts():
    """Return raw counts of four kinds of cells."""
    rng = np.random.default_rng(5)
    level = rng.gamma(0.4, 2.0, (GROUPS, 120)) * np.where(rng.random((GROUPS, 120)) < 0.2, 5, 1)
    kind = np.arange(240) % GROUPS
    return sp.csr_matrix(rng.poisson(level[kind] * rng.uniform(0.3, 2, (240, 1))).astype(np.float32))


@pytest.fixture(scope="module")
def normal(counts):
    return steps_cpu.normalise(counts, 1e4)


@pytest.fixture(scope="module")
def points(normal):
    return steps_cpu.principal_components(normal, 10, 0).scores


@pytest.mark.parametrize("name", device.STEPS)
def test_a_step_has_one_signature_on_both_devices(name):
    on_cpu, on_gpu = (inspect.signature(getattr(module, name)) for module in (steps_cpu, steps_gpu))
    assert on_cpu == on_gpu


@pytest.mark.parametrize("name", device.STEPS)
def test_the_boundary_takes_the_step_of_the_device(name, gpu):
    for wanted, module in (("cpu", steps_cpu), ("gpu", steps_gpu), ("auto", steps_gpu)):
        taken = device.Devices(wanted).step(name)
        assert inspect.unwrap(taken) is getattr(module, name)


def test_without_a_gpu_auto_takes_the_cpu_and_gpu_says_what_is_missing(monkeypatch, caplog):
    caplog.set_level("INFO", "immune_landscape")
    installed(monkeypatch, gpus=0)
    assert inspect.unwrap(device.Devices("auto").step("layout")) is steps_cpu.layout
    assert "no GPU" in caplog.text
    with pytest.raises(InputError, match="no GPU is there"):
        device.Devices("gpu").step("layout")
    device.gpu_problem.cache_clear()


def test_a_step_alone_may_run_elsewhere(gpu):
    run = device.Devices("gpu", {"layout": "cpu"})
    assert inspect.unwrap(run.step("layout")) is steps_cpu.layout
    assert inspect.unwrap(run.step("communities")) is steps_gpu.communities


def test_importing_the_steps_imports_no_library_of_a_gpu():
    assert not {"cupy", "cuml", "pylibcugraph", "rapids_singlecell"} & set(sys.modules)


def test_cell_metrics(gpu, counts):
    groups = {"mt": np.arange(120) < 7, "hb": np.arange(120) % 11 == 0}
    on_cpu, on_gpu = (module.cell_metrics(counts, groups) for module in (steps_cpu, steps_gpu))
    assert list(on_gpu) == list(on_cpu)
    for name, values in on_cpu.items():
        np.testing.assert_array_equal(on_gpu[name], values)


def test_normalise(gpu, counts):
    empty = sp.vstack([counts, sp.csr_matrix((2, counts.shape[1]), dtype=np.float32)]).tocsr()
    on_cpu, on_gpu = (module.normalise(empty, 1e4) for module in (steps_cpu, steps_gpu))
    assert on_gpu.dtype == np.float32
    np.testing.assert_allclose(on_gpu.toarray(), on_cpu.toarray(), rtol=1e-6)
    assert np.shares_memory(on_gpu.indices, empty.indices)


@pytest.mark.parametrize("batches", [None, 3])
def test_choose_genes(gpu, normal, batches):
    batch = None if batches is None else np.arange(normal.shape[0]) % batches
    usable = np.arange(normal.shape[1]) % 10 > 0
    on_cpu, on_gpu = (module.choose_genes(normal, usable, batch, 40) for module in (steps_cpu, steps_gpu))
    assert on_cpu.sum() == 40
    np.testing.assert_array_equal(on_gpu, on_cpu)


def test_principal_components(gpu, normal):
    on_cpu, on_gpu = (module.principal_components(normal, 8, 1) for module in (steps_cpu, steps_gpu))
    np.testing.assert_allclose(on_gpu.variance_ratio, on_cpu.variance_ratio, rtol=1e-4)
    np.testing.assert_allclose(on_gpu.scores, on_cpu.scores, atol=2e-3)


def test_integrate(gpu, points):
    batch = np.where(np.arange(len(points)) < 100, "a", "b")
    on_cpu, on_gpu = (module.integrate(points, batch, 2.0, 3) for module in (steps_cpu, steps_gpu))
    np.testing.assert_array_equal(on_gpu, on_cpu)
    assert np.abs(on_gpu - points).max() > 0.1


def test_neighbours_and_graph(gpu, points):
    twins = np.vstack([points, points[:20], points[:20]])
    on_cpu, on_gpu = (module.nearest_neighbours(twins, 6, exact=True, seed=0) for module in (steps_cpu, steps_gpu))
    np.testing.assert_array_equal(on_gpu.indices[:, 0], np.arange(len(twins)))
    np.testing.assert_allclose(on_gpu.distances, on_cpu.distances, atol=2e-2)
    assert (np.sort(on_gpu.indices, axis=1)[:, 1:] != np.sort(on_gpu.indices, axis=1)[:, :-1]).all()
    graph, same = steps_gpu.fuzzy_graph(on_cpu), steps_cpu.fuzzy_graph(on_cpu)
    assert graph.diagonal().max() == 0
    assert abs(graph - graph.T).max() < 1e-6
    assert abs(graph - same).max() < 1e-3


def test_a_cell_that_is_not_among_its_neighbours_takes_the_place_of_the_last():
    indices = np.array([[1, 2, 3], [1, 0, 2], [0, 2, 1], [2, 1, 3]], dtype=np.int32)
    distances = np.array([[0, 1, 2], [0, 3, 4], [5, 5, 6], [7, 8, 9]], dtype=np.float32)
    found = steps_gpu._self_first(indices, distances)
    np.testing.assert_array_equal(found.indices, [[0, 1, 2], [1, 0, 2], [2, 0, 1], [3, 2, 1]])
    np.testing.assert_array_equal(found.distances, [[0, 0, 1], [0, 3, 4], [0, 5, 6], [0, 7, 8]])


def test_communities(gpu, points):
    graph = steps_cpu.fuzzy_graph(steps_cpu.nearest_neighbours(points, 10, exact=True, seed=0))
    on_cpu, on_gpu = (module.communities(graph, 1.0, 0) for module in (steps_cpu, steps_gpu))
    np.testing.assert_array_equal(on_gpu, on_cpu)


def made_graph(groups, size):
    """Return a graph of groups of cells, each cell linked to all of its own."""
    return sp.csr_matrix(np.kron(np.eye(groups), np.ones((size, size))) - np.eye(groups * size))


def test_a_cell_without_an_edge_is_a_community_of_its_own(gpu):
    alone = sp.block_diag([made_graph(2, 20), sp.csr_matrix((1, 1))]).tocsr()
    np.testing.assert_array_equal(steps_gpu.communities(alone, 1.0, 0), np.repeat([0, 1, 2], [20, 20, 1]))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (np.arange(200) // 4, "50 clusters of 200 cells"),
        (np.r_[np.zeros(195), 1:6], "5 of 200 cells alone"),
    ],
)
def test_clusters_that_cannot_be_right_are_found_again_on_the_cpu(gpu, monkeypatch, caplog, wrong, told):
    graph = made_graph(4, 50)
    answer = (np.arange(200), wrong.astype(int), 0.1)
    monkeypatch.setattr(sys.modules["pylibcugraph"], "leiden", lambda *given: answer)
    np.testing.assert_array_equal(steps_gpu.communities(graph, 1.0, 0), steps_cpu.communities(graph, 1.0, 0))
    assert told in caplog.text
    assert "on the CPU" in caplog.text


@pytest.mark.parametrize("tied", [False, True])
def test_rank_markers(gpu, normal, tied):
    values = normal.copy()
    if tied:
        values.data = np.ceil(values.data)
    groups = np.arange(normal.shape[0]) % GROUPS
    on_cpu, on_gpu = (module.rank_markers(values, groups, GROUPS + 1) for module in (steps_cpu, steps_gpu))
    np.testing.assert_allclose(on_gpu.z, on_cpu.z, atol=1e-4)
    np.testing.assert_allclose(on_gpu.auc, on_cpu.auc, atol=1e-6)
    assert np.isnan(on_gpu.z[GROUPS]).all(), "a group of no cell"


def test_rank_markers_is_the_rank_sum_of_scipy(gpu, normal):
    from scipy.stats import mannwhitneyu, rankdata, tiecorrect

    groups, gene = np.arange(normal.shape[0]) % GROUPS, 17
    values = normal[:, [gene]].toarray().ravel()
    found = steps_gpu.rank_markers(normal, groups, GROUPS)
    inside, outside = values[groups == 2], values[groups != 2]
    test = mannwhitneyu(inside, outside, use_continuity=False, method="asymptotic")
    pairs, cells = len(inside) * len(outside), len(values)
    spread = np.sqrt(pairs * (cells + 1) / 12 * tiecorrect(rankdata(values)))
    assert found.auc[2, gene] == pytest.approx(test.statistic / pairs)
    assert found.z[2, gene] == pytest.approx((test.statistic - pairs / 2) / spread, abs=1e-6)


def test_doublets(gpu, counts):
    [scores] = steps_gpu.score_doublets([counts], [0.06], [4], n_components=10)
    assert scores.observed.shape == (counts.shape[0],)
    assert scores.simulated.shape == (2 * counts.shape[0],)
    assert np.median(scores.simulated) > np.median(scores.observed)


def test_a_sample_of_three_cells_has_no_doublet_scores(gpu, counts):
    [scores] = steps_gpu.score_doublets([counts[:3]], [0.06], [4], n_components=10)
    assert np.isnan(scores.observed).all()
    assert not len(scores.simulated)


def test_where_rapids_singlecell_is_missing_two_steps_run_on_the_cpu_and_say_so(monkeypatch, points, counts, caplog):
    caplog.set_level("INFO", "immune_landscape")
    installed(monkeypatch, without=("rapids_singlecell",))
    batch = np.where(np.arange(len(points)) < 100, "a", "b")
    np.testing.assert_array_equal(
        steps_gpu.integrate(points, batch, 2.0, 3), steps_cpu.integrate(points, batch, 2.0, 3)
    )
    [on_gpu] = steps_gpu.score_doublets([counts], [0.06], [4], n_components=10)
    [on_cpu] = steps_cpu.score_doublets([counts], [0.06], [4], n_components=10)
    np.testing.assert_array_equal(on_gpu.observed, on_cpu.observed)
    told = [line for line in caplog.messages if "runs on the CPU" in line]
    assert [line.split()[0] for line in told] == ["integrate", "score_doublets"]
    device.gpu_problem.cache_clear()


def test_layout(gpu, points):
    graph = steps_cpu.fuzzy_graph(steps_cpu.nearest_neighbours(points, 10, exact=True, seed=0))
    places = steps_gpu.layout(graph, points, min_dist=0.3, seed=0)
    assert places.shape == (len(points), 2)
    assert places.dtype == np.float32
    # UMAP's curve 1 / (1 + a d^2b) at a least distance of 0.3
    np.testing.assert_allclose(places[-1], [0.9922, 1.1122], atol=2e-3)
