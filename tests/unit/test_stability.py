import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from immune_landscape.leiden import adjusted_rand, build_graph, find_communities
from immune_landscape.seeds import seed_of
from immune_landscape.stability import (
    JACCARD_COLUMNS,
    STABILITY_COLUMNS,
    choose_resolution,
    match_clusters,
    measure_stability,
)

RESAMPLING = {"seeds": 3, "subsamples": 6, "subsample_share": 0.8, "min_jaccard": 0.75}
LIMITS = {"min_ari": 0.8, "min_stable_share": 0.95}


def blocks(sizes, *, within=0.5, between=0.01, seed=0):
    """Return a random graph of groups, and the group of each cell."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    chance = np.where(truth[:, None] == truth[None, :], within, between)
    upper = np.triu(rng.random(chance.shape) < chance, k=1)
    return sp.csr_matrix((upper | upper.T).astype(np.float32)), truth


# --- graph and communities -----------------------------------------------------------------------


def test_a_graph_keeps_each_weight_once():
    matrix = sp.csr_matrix(np.array([[0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]], dtype=np.float32))
    graph = build_graph(matrix)
    assert sorted(zip(graph.get_edgelist(), graph.es["weight"], strict=True)) == [((0, 1), 0.5), ((1, 2), 0.25)]


def test_communities_are_numbered_by_size_and_equal_ones_by_their_first_cell():
    matrix, truth = blocks([10, 40, 10, 20], within=1.0, between=0.0)
    found = find_communities(build_graph(matrix), 1.0, 0)
    assert pd.Series(found).groupby(truth).first().to_list() == [2, 0, 3, 1]
    assert adjusted_rand_score(truth, found) == 1


def test_communities_hang_on_the_seed_alone():
    graph = build_graph(blocks([200], within=0.05)[0])
    first, second, other = (find_communities(graph, 1.0, seed) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


def test_a_resolution_beyond_all_modularity_leaves_cells_alone_and_zero_unites_them():
    graph = build_graph(blocks([30])[0])
    assert len(set(find_communities(graph, 1000.0, 0))) == 30
    assert set(find_communities(graph, 1e-6, 0)) == {0}


# --- matching ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1.0, 0.7, 0.0])
def test_the_adjusted_rand_index_is_that_of_scikit_learn(kept):
    rng = np.random.default_rng(4)
    first = rng.choice(["b", "a", "c"], 200)
    second = np.where(rng.random(200) < kept, first, rng.choice(["x", "b"], 200))
    assert adjusted_rand(first, pd.Series(second)) == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [("aaaa", "bbbb"), ("abcd", "dbca"), ("aaaa", "abcd"), ("a", "b")])
def test_the_adjusted_rand_index_of_trivial_clusterings_is_that_of_scikit_learn(first, second):
    assert adjusted_rand(list(first), list(second)) == adjusted_rand_score(list(first), list(second))


def test_matched_clusters_have_the_jaccard_index_of_their_cells():
    a = ["x"] * 6 + ["y"] * 4
    b = ["p"] * 5 + ["q"] * 5
    found = match_clusters(a, b).set_index("a")
    assert found["b"].to_dict() == {"x": "p", "y": "q"}
    assert found["shared"].to_dict() == {"x": 5, "y": 4}
    assert found["jaccard"].to_dict() == pytest.approx({"x": 5 / 6, "y": 4 / 5})
    assert found["cells_b"].to_dict() == {"x": 5, "y": 5}


def test_matching_is_one_to_one_and_best_in_sum():
    # Both x and y overlap p most; x has another match that costs less.
    a = ["x"] * 10 + ["y"] * 10
    b = ["p"] * 6 + ["q"] * 4 + ["p"] * 10
    found = match_clusters(a, b).set_index("a")
    assert found["b"].to_dict() == {"x": "q", "y": "p"}
    index = {
        (one, two): np.sum((np.array(a) == one) & (np.array(b) == two))
        / np.sum((np.array(a) == one) | (np.array(b) == two))
        for one in "xy"
        for two in "pq"
    }
    assert found["jaccard"].sum() == pytest.approx(
        max(index["x", "p"] + index["y", "q"], index["x", "q"] + index["y", "p"])
    )


def test_a_cluster_without_partner_has_none():
    found = match_clusters([1, 1, 2, 2, 3], ["a", "a", "a", "b", "b"]).set_index("a")
    assert (found["b"] == "").sum() == 1
    lost = found[found["b"] == ""].iloc[0]
    assert (lost["jaccard"], lost["shared"], lost["cells_b"]) == (0, 0, 0)
    swapped = match_clusters(["a", "a", "a", "b", "b"], [1, 1, 2, 2, 3])
    assert set(swapped["b"]) <= {"1", "2", "3"}


def test_other_names_and_other_order_of_cells_match_whole():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 7, 300)
    names = rng.permutation(7)
    order = rng.permutation(300)
    found = match_clusters(a[order], names[a][order])
    assert (found["jaccard"] == 1).all()
    assert (found["b"].astype(int).to_numpy() == names[found["a"].astype(int)]).all()


def test_labels_of_other_cells_are_refused():
    with pytest.raises(ValueError, match="3 labels are to be matched with 2"):
        match_clusters([1, 2, 3], [1, 2])


# --- stability -----------------------------------------------------------------------------------


def test_clear_groups_are_stable_and_their_pieces_are_not():
    matrix, truth = blocks([80, 60, 40])
    stability, jaccard = measure_stability(matrix, [1.0, 4.0], 1, **RESAMPLING)
    assert list(stability.columns) == STABILITY_COLUMNS
    assert list(jaccard.columns) == JACCARD_COLUMNS
    clear, broken = stability.to_dict("records")
    assert clear["clusters"] == len(set(truth))
    for name in ("ari_seeds", "ari_subsamples", "jaccard_min", "jaccard_median", "stable_share"):
        assert clear[name] == 1, name
    assert broken["clusters"] > 6
    assert broken["ari_subsamples"] < LIMITS["min_ari"]
    assert broken["stable_share"] < 0.5


def test_numbers_are_those_of_a_second_way():
    matrix, _ = blocks([50, 50], within=0.2, between=0.05, seed=3)
    stability, jaccard = measure_stability(matrix, [1.3], 5, **RESAMPLING)
    graph = build_graph(matrix)
    full = find_communities(graph, 1.3, 5)
    others = [find_communities(graph, 1.3, seed_of(5, "seed", str(i))) for i in (1, 2)]
    pairs = [(full, others[0]), (full, others[1]), (others[0], others[1])]
    assert stability.at[0, "ari_seeds"] == pytest.approx(np.mean([adjusted_rand_score(*pair) for pair in pairs]))
    agreement, indices = [], []
    for number in range(1, 7):
        own = seed_of(5, "subsample", str(number))
        cells = sorted(np.random.default_rng(own).choice(100, 80, replace=False))
        again = find_communities(graph.induced_subgraph(cells), 1.3, own)
        agreement.append(adjusted_rand_score(full[cells], again))
        indices.append(match_clusters(full[cells], again).set_index("a")["jaccard"].rename(number))
    assert stability.at[0, "ari_subsamples"] == pytest.approx(np.mean(agreement))
    expected = pd.concat(indices, axis=1).median(axis=1)
    found = jaccard.set_index("cluster")["jaccard"]
    assert found.to_dict() == pytest.approx(expected.to_dict())
    assert stability.at[0, "jaccard_min"] == found.min()
    stable = jaccard["jaccard"] >= 0.75
    assert stability.at[0, "stable_share"] == jaccard.loc[stable, "cells"].sum() / 100


def test_each_resolution_is_measured_once_and_from_the_lowest():
    matrix, _ = blocks([30, 30])
    stability, jaccard = measure_stability(matrix, [2.0, 0.5, 2.0], 1, **RESAMPLING)
    assert list(stability["resolution"]) == [0.5, 2.0]
    assert (jaccard.groupby("resolution")["cells"].sum() == 60).all()


def test_a_resolution_is_measured_the_same_alone_as_among_others():
    matrix, _ = blocks([60], within=0.2)
    alone, _ = measure_stability(matrix, [1.0], 2, **RESAMPLING)
    among, _ = measure_stability(matrix, [0.2, 1.0, 3.0], 2, **RESAMPLING)
    pd.testing.assert_frame_equal(alone, among.iloc[[1]].reset_index(drop=True))


def test_threads_change_nothing():
    matrix, _ = blocks([40, 30], within=0.2, between=0.05)
    one, two = (measure_stability(matrix, [0.5, 1.5], 3, **RESAMPLING, threads=threads) for threads in (1, 2))
    for first, second in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(first, second)


def lacks_last(seed):
    """Say whether both subsamples of a fifth of 100 cells lack the last cell."""
    draws = (np.random.default_rng(seed_of(seed, "subsample", str(i))) for i in (1, 2))
    return all(99 not in rng.choice(100, 20, replace=False) for rng in draws)


def test_a_cluster_that_no_subsample_holds_has_index_0():
    matrix = sp.lil_matrix((100, 100), dtype=np.float32)
    matrix[:99, :99] = 1
    matrix.setdiag(0)
    seed = next(seed for seed in range(100) if lacks_last(seed))
    options = RESAMPLING | {"subsamples": 2, "subsample_share": 0.2}
    _, jaccard = measure_stability(matrix.tocsr(), [0.5], seed, **options)
    assert jaccard[["cells", "jaccard"]].to_numpy().tolist() == [[99, 1], [1, 0]]


# --- rule ----------------------------------------------------------------------------------------


def table(*rows):
    return pd.DataFrame(rows, columns=["resolution", "ari_subsamples", "stable_share"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0.1, 1.0, 1.0), (0.5, 0.9, 1.0), (1.0, 0.7, 1.0)], (0.5, True)),
        ([(0.1, 1.0, 1.0), (0.5, 0.9, 0.9), (1.0, 0.9, 0.5)], (0.1, True)),
        ([(0.1, 0.5, 0.2), (0.5, 0.7, 0.5), (1.0, 0.79, 0.94)], (0.1, False)),
        ([(0.1, 1.0, 1.0), (0.5, 0.2, 0.1), (1.0, 0.8, 0.95)], (1.0, True)),
    ],
    ids=["finest that agrees", "clusters too", "none: coarsest", "limits belong, gaps do not matter"],
)
def test_the_rule_takes_the_highest_stable_resolution(rows, expected):
    assert choose_resolution(table(*rows), **LIMITS) == expected
    assert choose_resolution(table(*rows[::-1]), **LIMITS) == expected
