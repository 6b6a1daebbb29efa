import numpy as np
import pandas as pd
import pytest
from cells import make_counts, make_groups

from immune_landscape.annotate_subsets import annotate_subsets, match_anchors
from immune_landscape.cell_types import read_markers
from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.reduce_cells import reduce_cells

REDUCE = {
    "target_sum": 1e4,
    "n_top_genes": 100,
    "exclude_genes": [],
    "n_components": 10,
    "harmony_theta": 2.0,
}
CLUSTER = {"n_neighbors": 15, "exact_below": 40_000, "resolution": {"nk": 1.0, "t": 1.0}, "min_dist": 0.3}
SETTINGS = {"min_score": 0.0, "min_margin": 0.1, "anchor_fold": 1.0, "anchor_share": 0.1}


def annotate(sizes, markers, branch):
    counts, truth = make_groups(sizes, markers)
    reduction = reduce_cells(counts, pd.Series("b", index=counts.obs_names), 0, **REDUCE)
    clusters = cluster_cells(reduction, branch, 0, **CLUSTER)
    cells, anchors = annotate_subsets(counts, reduction, clusters, branch, **SETTINGS)
    return cells, anchors, truth


def test_t_subsets_by_marker_set():
    sets = {"treg": "Treg", "mait": "MAIT", "cd8_tn": "CD8_Tn"}
    markers = {slug: read_markers()["t"][name]["genes"] for slug, name in sets.items()}
    cells, anchors, truth = annotate(dict.fromkeys(sets, 60), markers, "t")
    assert (cells["subset"] == truth).mean() > 0.95
    assert anchors.empty


def test_cd4_and_cd8_sets_of_the_same_genes_are_told_apart():
    t = read_markers()["t"]
    effector = sorted(set(t["CD8_Teff_Temra"]["genes"]) - {"CD8A", "CD8B"})
    markers = {
        "cd8_teff": [*effector, *read_markers()["broad"]["CD8_T"]["genes"]],
        "cd4_ctl": [*effector, *read_markers()["broad"]["CD4_T"]["genes"]],
        "cd4_tn": [*t["CD4_Tn"]["genes"], *read_markers()["broad"]["CD4_T"]["genes"]],
    }
    cells, _, truth = annotate(dict.fromkeys(markers, 60), markers, "t")
    assert (cells["subset"] == truth).mean() > 0.95


def test_nk_cluster_takes_its_anchor_and_absent_anchors_have_no_match():
    nk = read_markers()["nk"]
    markers = {
        "nk_c4_zeb2": ["ZEB2", *nk["CD56dim"]["genes"]],
        "nk_cd56bright": nk["CD56bright"]["genes"],
        "none": ["NCR3"],
    }
    cells, anchors, truth = annotate({"nk_c4_zeb2": 80, "nk_cd56bright": 60}, markers, "nk")
    assert (cells["subset"] == truth).mean() > 0.95
    assert set(anchors.loc[anchors["cluster"] != "", "subset"]) == {"nk_c4_zeb2"}
    assert anchors.set_index("subset").at["nk_c5_il7", "anchor"] == "IL7"


def test_each_cluster_takes_its_strongest_anchor_and_clusters_may_share_one():
    values = np.array([[20, 8, 50]] * 10 + [[15, 0, 50]] * 10 + [[0, 9, 50]] * 10 + [[0, 0, 50]] * 30)
    counts = make_counts(values, ["ZEB2", "NCR3", "ACTB"], ["S1"] * 60)
    cluster = pd.Series(["0"] * 10 + ["1"] * 10 + ["2"] * 10 + ["3"] * 30, index=counts.obs_names)
    anchor = pd.Series({"nk_c4_zeb2": "ZEB2", "nk_c10_ncr3": "NCR3", "nk_c5_il7": "IL7", "nk_cd56dim": ""})
    table = match_anchors(counts, cluster, anchor, 1.0, 0.1)
    pairs = list(zip(table["subset"], table["cluster"], strict=True))
    assert pairs == [("nk_c4_zeb2", "0"), ("nk_c4_zeb2", "1"), ("nk_c10_ncr3", "2"), ("nk_c5_il7", "")]
    assert np.isnan(table["log2_fold"].iloc[-1])
    assert table["share"].iloc[0] == 1


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_branch_without_cells(branch):
    counts, _ = make_groups({"a": 2}, {"a": ["CD3D"]})
    empty = counts[:0].copy()
    reduction = reduce_cells(empty, pd.Series(dtype=object), 0, **REDUCE)
    clusters = cluster_cells(reduction, branch, 0, **CLUSTER)
    cells, anchors = annotate_subsets(empty, reduction, clusters, branch, **SETTINGS)
    assert cells.empty
    assert (anchors["cluster"] == "").all()
