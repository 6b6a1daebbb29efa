"""How far two runs agree: each measure by hand, and the fast steps of the CPU against plain scanpy."""

import numpy as np
import plain_steps
import pytest
from cells import make_groups

from immune_landscape.agreement import (
    MEASURES,
    CoreRun,
    compare_runs,
    composition_change,
    marker_correlation,
    neighbour_overlap,
    run_core,
    subspace_angle,
)
from immune_landscape.device import CPU
from immune_landscape.stability import match_clusters

FACTS = {"target_sum": 1e4, "n_top_genes": 150, "n_components": 15, "harmony_theta": 2.0, "n_neighbors": 12}
FACTS["resolution"] = 0.6


@pytest.fixture(scope="module")
def planted():
    """Return counts of five kinds of cells from two samples."""
    markers = {kind: [f"{kind}{at}" for at in range(12)] for kind in "abcde"}
    counts, truth = make_groups({"a": 160, "b": 120, "c": 100, "d": 80, "e": 60}, markers)
    return counts, truth


def test_the_fast_steps_agree_with_plain_scanpy(planted):
    counts, truth = planted
    samples = counts.obs["sample"].astype(str).to_numpy()
    given = counts.X.astype(np.float32), samples, 0
    fast, plain = (run_core(*given, step, FACTS) for step in (CPU.step, plain_steps.step))
    found = compare_runs(fast, plain, samples)
    print(found.to_string())
    assert list(found.index) == list(MEASURES)
    assert found["subspace_angle"] < 5
    assert found["neighbour_overlap"] > 0.95
    assert found["ari"] > 0.95
    assert found["composition_change"] < 0.03
    assert found["marker_correlation"] > 0.95
    assert len(np.unique(fast.clusters)) >= len(np.unique(truth))


def test_one_sample_is_not_integrated(planted):
    counts, _ = planted
    part = counts[counts.obs["sample"] == "S0"]
    found = run_core(part.X.astype(np.float32), np.full(part.n_obs, "S0"), 0, CPU.step, FACTS)
    assert found.neighbours.shape == (part.n_obs, FACTS["n_neighbors"])


def test_a_run_agrees_with_itself():
    rng = np.random.default_rng(0)
    clusters = np.arange(200) % 4
    near = np.column_stack([np.arange(200), rng.integers(0, 200, (200, 5))])
    near[:, 1:] = (np.arange(200)[:, None] + np.arange(1, 6)) % 200
    run = CoreRun(rng.normal(size=(200, 12)), near, clusters, rng.normal(size=(4, 30)))
    found = compare_runs(run, run, clusters.astype(str))
    np.testing.assert_allclose(found, [0, 1, 1, 0, 1], atol=1e-5)


def test_an_angle_is_that_by_which_components_are_turned():
    rng = np.random.default_rng(1)
    base, _ = np.linalg.qr(rng.normal(size=(300, 13)) - 0)
    base -= base.mean(axis=0)
    base, _ = np.linalg.qr(base)
    turned = base[:, :12].copy()
    turned[:, 3] = np.cos(0.2) * base[:, 3] + np.sin(0.2) * base[:, 12]
    assert subspace_angle(turned, base[:, :12]) == pytest.approx(np.degrees(0.2), abs=0.01)
    mixed = base[:, :12] @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert subspace_angle(base[:, :10], mixed) == pytest.approx(0, abs=1e-4)


def test_neighbours_count_whatever_their_order():
    first, second = np.array([[0, 1, 2, 3], [1, 0, 2, 3]]), np.array([[0, 3, 2, 1], [1, 0, 4, 5]])
    assert neighbour_overlap(first, second) == pytest.approx((3 / 3 + 1 / 3) / 2)


def test_a_composition_changes_by_the_cells_that_moved():
    samples = np.repeat(["s", "t", "few"], [50, 40, 10])
    first = np.tile([0, 1], 50)
    second = 1 - first
    second[np.flatnonzero((samples == "t") & (first == 0))[:8]] = 7
    second[samples == "few"] = 7
    matched = match_clusters(first, second)
    assert composition_change(first, second, matched, samples) == pytest.approx(8 / 40)


def test_the_worst_cluster_of_some_size_tells():
    rng = np.random.default_rng(2)
    genes = np.sort(rng.normal(size=40))
    first = np.vstack([genes, genes, genes])
    second = np.vstack([genes[::-1], genes, genes])
    clusters = np.repeat([0, 1, 2], [60, 30, 5])
    swapped = np.array([1, 0, 2])[clusters]
    matched = match_clusters(clusters, swapped)
    assert marker_correlation(first, second, matched) == pytest.approx(-1)
    assert marker_correlation(first, first, matched) == pytest.approx(1)
    assert np.isnan(marker_correlation(first, second, matched[matched["a"] == "2"]))
