import numpy as np
import pandas as pd
import pytest
from cells import make_groups
from sklearn.metrics import adjusted_rand_score

from immune_landscape import store
from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.reduce_cells import reduce_cells

REDUCE = {
    "target_sum": 1e4,
    "n_top_genes": 100,
    "exclude_genes": [],
    "n_components": 10,
    "harmony_theta": 2.0,
}
SETTINGS = {
    "n_neighbors": 15,
    "exact_below": 40_000,
    "resolution": {"all": 0.5, "nk": 1.0, "t": 1.5},
    "min_dist": 0.3,
}
MARKERS = {group: [f"{group}{i}" for i in range(15)] for group in "abc"}


@pytest.fixture(scope="module")
def planted():
    counts, truth = make_groups({"a": 120, "b": 80, "c": 40}, MARKERS)
    return reduce_cells(counts, pd.Series("b1", index=counts.obs_names), 0, **REDUCE), truth


def test_planted_groups_are_found(planted):
    reduction, truth = planted
    clusters = cluster_cells(reduction, "all", 0, **SETTINGS)
    assert adjusted_rand_score(truth, clusters.obs["cluster"]) > 0.95
    assert clusters.obs["cluster"].value_counts().index[0] == "0", "cluster 0 is the largest"
    assert np.isfinite(clusters.obsm["X_umap"]).all()


def test_exact_and_approximate_neighbours_agree(planted):
    reduction, _ = planted
    exact = cluster_cells(reduction, "all", 0, **SETTINGS)
    approximate = cluster_cells(reduction, "all", 0, **(SETTINGS | {"exact_below": 0}))
    assert not approximate.uns["clustering"]["exact"]
    assert adjusted_rand_score(exact.obs["cluster"], approximate.obs["cluster"]) > 0.95


def test_branch_picks_its_resolution(planted):
    assert cluster_cells(planted[0], "t", 0, **SETTINGS).uns["clustering"]["resolution"] == 1.5


@pytest.mark.parametrize("cells", [0, 1, 19])
def test_a_handful_of_cells_is_one_cluster(cells):
    names = pd.Index([f"S:{i}" for i in range(cells)])
    blank = np.zeros((cells, 2), dtype=np.float32)
    few = store.addition(names, obsm={"X_pca": blank, "X_integrated": blank}, uns={"reduction": {}})
    clusters = cluster_cells(few, "nk", 0, **SETTINGS)
    assert set(clusters.obs["cluster"]) <= {"0"}
    assert clusters.obsp["connectivities"].shape == (cells, cells)
