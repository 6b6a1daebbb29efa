"""Whether the rule for the resolution finds planted clusters, and tells that cells without structure have none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from immune_landscape.cluster_cells import find_clusters, find_neighbours
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.seeds import seed_of
from immune_landscape.stability import choose_resolution, measure_stability

SETTINGS = fill_defaults(load_schema("settings/cluster_cells"), {})
RESAMPLING = {name: SETTINGS[name] for name in ("seeds", "subsamples", "subsample_share", "min_jaccard")}
LIMITS = {name: SETTINGS[name] for name in ("min_ari", "min_stable_share")}
WIDTH = 20
"""Components; neighbours of one cluster are then about 6 standard deviations apart."""


def clustered(points, seed):
    """Return stability of all resolutions and indices of all clusters, and the clusters that the rule takes."""
    names = [f"C{i}" for i in range(len(points))]
    cells = find_neighbours(pd.DataFrame(points, index=names), SETTINGS["n_neighbors"], SETTINGS["exact_below"], seed)
    tables = measure_stability(cells.obsp["connectivities"], SETTINGS["grid"]["nk"], seed, **RESAMPLING)
    resolution, stable = choose_resolution(tables[0], **LIMITS)
    return *tables, find_clusters(cells, resolution, seed), stable


def planted(rng, apart):
    """Return points of 3 to 12 round clusters of 40 to 250 cells, and the cluster of each."""
    sizes = rng.integers(40, 250, rng.integers(3, 13))
    centres = rng.normal(size=(len(sizes), WIDTH))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return centres[truth] + rng.normal(size=(len(truth), WIDTH)), truth


@pytest.mark.slow
def test_planted_clusters_are_found(science):
    sets = science.replicates(full=40, quick=5)
    rng = np.random.default_rng(seed_of(4, "planted"))
    found = []
    for seed in range(sets):
        points, truth = planted(rng, apart=rng.uniform(6.0, 9.0))
        _, _, cluster, stable = clustered(points, seed)
        found.append((cluster.nunique() == truth.max() + 1, stable, adjusted_rand_score(truth, cluster)))
    right, stable, agreement = np.array(found, dtype=float).T
    what = f"share of sets whose planted number of clusters the rule finds (ARI with truth {agreement.mean():.3f})"
    science.row("annotation/planted_clusters_found", what, right.mean(), *science.limits(0.95, 1.0, sets), sets)
    assert stable.all()
    assert agreement.min() > 0.9


@pytest.mark.slow
def test_cells_without_structure_have_no_stable_clusters(science):
    sets = science.replicates(full=40, quick=5)
    rng = np.random.default_rng(seed_of(4, "one blob"))
    found = []
    for seed in range(sets):
        _, jaccard, cluster, _ = clustered(rng.normal(size=(rng.integers(400, 1000), WIDTH)), seed)
        usual = jaccard[jaccard["resolution"] == 1.0]
        found.append((set(cluster) == {"0"}, usual["jaccard"].median()))
    one, index = np.array(found, dtype=float).T
    what = f"share of sets of one round cluster that the rule leaves whole (median Jaccard at 1.0 {index.mean():.2f})"
    science.row("annotation/one_blob_left_whole", what, one.mean(), *science.limits(0.95, 1.0, sets), sets)
    what = "highest median Jaccard index of a round cluster's pieces at resolution 1.0"
    science.row("annotation/one_blob_pieces_unstable", what, index.max(), 0.0, 0.5, sets)
