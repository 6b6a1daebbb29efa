import numpy as np
import pandas as pd
import pytest
from cells import make_groups
from sklearn.metrics import adjusted_rand_score

from immune_landscape import store
from immune_landscape.cluster_cells import cluster_cells, find_clusters
from immune_landscape.cohort import examine_cohort
from immune_landscape.errors import InputError
from immune_landscape.reduce_cells import reduce_cells
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.stability import JACCARD_COLUMNS, STABILITY_COLUMNS

REDUCE = {
    "target_sum": 1e4,
    "n_top_genes": 100,
    "exclude_genes": [],
    "n_components": 10,
    "harmony_theta": 2.0,
}
SETTINGS = fill_defaults(
    load_schema("settings/cluster_cells"),
    {
        "resolution": {"all": 0.5, "nk": "auto", "t": 1.5},
        "grid": {"nk": [0.1, 0.5, 1.0, 3.0], "t": [0.1, 1.0]},
        "seeds": 3,
        "subsamples": 5,
    },
)
MARKERS = {group: [f"{group}{i}" for i in range(15)] for group in "abc"}


@pytest.fixture(scope="module")
def planted():
    counts, truth = make_groups({"a": 120, "b": 80, "c": 40}, MARKERS)
    return reduce_cells(counts, pd.Series("b1", index=counts.obs_names), 0, **REDUCE), truth


@pytest.fixture(scope="module")
def by_rule(planted):
    return cluster_cells(planted[0], "nk", 0, **SETTINGS)


def test_planted_groups_are_found(planted):
    reduction, truth = planted
    clusters = cluster_cells(reduction, "all", 0, **SETTINGS).cells
    assert adjusted_rand_score(truth, clusters.obs["cluster"]) > 0.95
    assert clusters.obs["cluster"].value_counts().index[0] == "0", "cluster 0 is the largest"
    assert np.isfinite(clusters.obsm["X_umap"]).all()


def test_exact_and_approximate_neighbours_agree(planted):
    reduction, _ = planted
    exact = cluster_cells(reduction, "all", 0, **SETTINGS).cells
    approximate = cluster_cells(reduction, "all", 0, **(SETTINGS | {"exact_below": 0})).cells
    assert not approximate.uns["clustering"]["exact"]
    assert adjusted_rand_score(exact.obs["cluster"], approximate.obs["cluster"]) > 0.95


def test_numbers_of_an_earlier_run_are_kept_with_their_stability(planted, by_rule):
    now = by_rule.cells.obs["cluster"].astype(str)
    moved = {name: str(9 - int(name)) for name in now.unique()}
    earlier = pd.DataFrame({"branch": "nk", "cluster": now.map(moved).astype(int)}, index=by_rule.cells.obs_names)
    found = cluster_cells(planted[0], "nk", 0, earlier, **SETTINGS)
    assert found.cells.obs["cluster"].astype(str).tolist() == now.map(moved).tolist()
    resolution = by_rule.cells.uns["clustering"]["resolution"]
    before, after = (table.jaccard[table.jaccard["resolution"] == resolution] for table in (by_rule, found))
    assert after["cluster"].tolist() == [moved[str(name)] for name in before["cluster"]]
    assert after["jaccard"].tolist() == before["jaccard"].tolist()
    other, alone = (cluster_cells(planted[0], "t", 0, labels, **SETTINGS) for labels in (earlier, None))
    assert other.cells.obs["cluster"].tolist() == alone.cells.obs["cluster"].tolist()


def test_a_fixed_resolution_is_kept_and_measured_with_its_grid(planted):
    found = cluster_cells(planted[0], "t", 0, **SETTINGS)
    facts = found.cells.uns["clustering"]
    assert (facts["resolution"], facts["by_rule"]) == (1.5, False)
    assert list(found.stability["resolution"]) == [0.1, 1.0, 1.5]
    assert list(found.stability["chosen"]) == [False, False, True]
    alone = cluster_cells(planted[0], "all", 0, **SETTINGS)
    assert list(alone.stability["resolution"]) == [0.5]


def test_a_fixed_resolution_is_told_to_be_stable_or_not(planted):
    for resolution, stable in ((0.5, True), (8.0, False)):
        settings = SETTINGS | {"resolution": {"all": resolution}}
        assert cluster_cells(planted[0], "all", 0, **settings).cells.uns["clustering"]["stable"] is stable


def test_the_rule_finds_the_planted_groups(planted, by_rule):
    facts = by_rule.cells.uns["clustering"]
    assert (facts["by_rule"], facts["stable"]) == (True, True)
    row = by_rule.stability[by_rule.stability["chosen"]].iloc[0]
    assert row["resolution"] == facts["resolution"]
    assert row["clusters"] == 3
    assert adjusted_rand_score(planted[1], by_rule.cells.obs["cluster"]) > 0.95


def test_tables_tell_of_the_clusters_that_are_kept(by_rule):
    sizes = by_rule.cells.obs["cluster"].value_counts()
    facts = by_rule.cells.uns["clustering"]
    own = by_rule.jaccard[by_rule.jaccard["resolution"] == facts["resolution"]].set_index("cluster")["cells"]
    assert own.to_dict() == sizes.to_dict()
    assert list(by_rule.stability.columns) == [*STABILITY_COLUMNS, "chosen"]
    assert by_rule.stability["chosen"].sum() == 1


def test_clusters_are_those_of_the_graph_at_the_chosen_resolution(by_rule):
    again = find_clusters(by_rule.cells, by_rule.cells.uns["clustering"]["resolution"], 0)
    assert (again == by_rule.cells.obs["cluster"].astype(str)).all()


def test_same_seed_same_tables_and_what_is_written_is_read(planted, by_rule, tmp_path):
    again = cluster_cells(planted[0], "nk", 0, **SETTINGS)
    pd.testing.assert_frame_equal(again.stability, by_rule.stability)
    pd.testing.assert_frame_equal(again.jaccard, by_rule.jaccard)
    store.write_stage(again.cells, tmp_path / "nk.h5ad", stage="cluster_cells")
    facts = store.read_stage(tmp_path / "nk.h5ad", stage="cluster_cells").uns["clustering"]
    assert facts == by_rule.cells.uns["clustering"]
    store.write_table(again.stability, tmp_path / "stability.tsv")
    assert store.read_table(tmp_path / "stability.tsv")["chosen"].sum() == 1


@pytest.mark.parametrize("cells", [0, 1, 19])
def test_a_handful_of_cells_is_one_cluster(cells, tmp_path):
    names = pd.Index([f"S:{i}" for i in range(cells)])
    blank = np.zeros((cells, 2), dtype=np.float32)
    few = store.addition(names, obsm={"X_pca": blank, "X_integrated": blank}, uns={"reduction": {}})
    found = cluster_cells(few, "nk", 0, **SETTINGS)
    assert set(found.cells.obs["cluster"]) <= {"0"}
    assert found.cells.obsp["connectivities"].shape == (cells, cells)
    store.write_table(found.jaccard, tmp_path / "jaccard.tsv")
    assert list(store.read_table(tmp_path / "jaccard.tsv").columns) == JACCARD_COLUMNS
    assert list(found.stability.columns) == [*STABILITY_COLUMNS, "chosen"]
    assert len(found.stability) == 0


def test_as_few_cells_as_make_a_graph_are_measured(planted):
    found = cluster_cells(planted[0][:20], "nk", 0, **SETTINGS)
    assert found.jaccard.groupby("resolution")["cells"].sum().eq(20).all()
    assert found.stability["ari_subsamples"].between(-1, 1).all()


def test_a_rule_needs_a_grid(planted):
    with pytest.raises(InputError, match=r"resolution\.all is auto: cluster_cells\.grid\.all must not be empty"):
        cluster_cells(planted[0], "all", 0, **(SETTINGS | {"resolution": {"all": "auto"}}))


@pytest.mark.parametrize(
    ("value", "words"), [("0", "more than 0"), ("automatic", "a number above 0, or auto"), ("[1]", "a number or text")]
)
def test_a_resolution_is_a_number_or_auto(value, words, tmp_path):
    from cohort_folders import SOUND_YAML, write_cohort

    yaml = f"{SOUND_YAML}cluster_cells: {{resolution: {{nk: {value}}}}}\n"
    (problem,) = examine_cohort(write_cohort(tmp_path, yaml=yaml))[1]
    assert problem.column == "cluster_cells.resolution.nk"
    assert words in problem.message


def test_landmarks_stand_for_all_cells(planted, tmp_path):
    reduction, truth = planted
    found = cluster_cells(reduction, "t", 0, **(SETTINGS | {"landmarks": 120, "resolution": {"t": 0.5}}))
    facts = found.cells.uns["clustering"]
    assert facts["landmarks"] > 90
    assert facts["landmarks"] <= 120
    assert adjusted_rand_score(truth, found.cells.obs["cluster"]) > 0.95
    assert found.cells.obsp["connectivities"].shape == (240, 240)
    assert np.isfinite(found.cells.obsm["X_umap"]).all()
    sizes = found.cells.obs["cluster"].value_counts()
    assert sizes.index.tolist() == [str(at) for at in range(len(sizes))]
    chosen = found.jaccard[found.jaccard["resolution"] == facts["resolution"]]
    assert set(chosen["cluster"].astype(str)) == set(sizes.index)
    assert chosen["cells"].sum() == facts["landmarks"]
    store.write_stage(found.cells, tmp_path / "t.h5ad", stage="cluster_cells")


def test_more_landmarks_than_cells_are_all_cells(planted):
    reduction, _ = planted
    all_cells, none = (cluster_cells(reduction, "all", 0, **(SETTINGS | {"landmarks": at})) for at in (5_000, 0))
    assert all_cells.cells.uns["clustering"]["landmarks"] == 0
    assert all_cells.cells.obs.equals(none.cells.obs)
