import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cells import make_groups
from scipy import stats

from immune_landscape.cell_types import read_markers, types_of
from immune_landscape.marker_scores import best_type, score_cells, smooth, type_scores
from immune_landscape.reduce_cells import normalise

T, NK = (read_markers()["broad"][name]["genes"] for name in ("T_cell", "NK"))


@pytest.fixture(scope="module")
def cells():
    return make_groups({"t": 30, "nk": 30}, {"t": T, "nk": NK})


def test_score_is_the_t_value_of_expression_on_weight(cells):
    counts, _ = cells
    scores = score_cells(counts, ["broad.T_cell"], counts.var_names)
    entry = read_markers()["broad"]["T_cell"]
    weight = np.array(
        [1.0 if g in entry["genes"] else -1.0 if g in entry["negative"] else 0.0 for g in counts.var_names]
    )
    row = normalise(counts, 1e4).X[0].toarray().ravel()
    detected = np.asarray(counts.X.sum(axis=0)).ravel() > 0  # decoupler leaves empty genes out
    fit = stats.linregress(weight[detected], row[detected])
    assert scores.iloc[0, 0] == pytest.approx(fit.slope / fit.stderr, rel=1e-4)


def test_scores_name_the_planted_type(cells):
    counts, truth = cells
    scores = score_cells(counts, ["broad.T_cell", "broad.NK"], counts.var_names)
    by_type = type_scores(scores, types_of("lineage"))
    best = best_type(by_type, unassigned="unassigned", min_score=2, min_margin=0.5)
    assert (best["label"] == truth).mean() > 0.95


def test_a_set_with_one_gene_is_not_scored(cells):
    counts, _ = cells
    few = counts[:, ["CD3D", *[g for g in counts.var_names if g.startswith("BG")]]].copy()
    assert score_cells(few, ["broad.T_cell"], few.var_names).empty


def test_smooth_is_the_mean_of_oneself_and_the_weighted_neighbours():
    graph = sp.csr_matrix(np.array([[0, 0.5, 1, 0], [0.5, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]))
    scores = pd.DataFrame({"a": [0.0, 3.0, 9.0, 7.0]})
    assert smooth(scores, graph)["a"].tolist() == pytest.approx([(0 + 7.0) / 2, 1.5, 4.5, 7.0])


def test_best_type_abstains_below_score_and_margin():
    scores = pd.DataFrame({"b": [5, 5, 1], "plasma": [0, 4.9, 0]})
    best = best_type(scores, unassigned="unassigned", min_score=2, min_margin=0.5)
    assert best["label"].tolist() == ["b", "unassigned", "unassigned"]
    assert best["best"].tolist() == ["b", "b", "b"]
    assert best["runner_up"].tolist() == ["plasma"] * 3
    assert best["margin"].tolist() == pytest.approx([5, 0.1, 1])


def test_no_scores_at_all_is_unassigned():
    empty = pd.DataFrame(index=["x", "y"])
    best = best_type(type_scores(empty, types_of("lineage")), unassigned="unassigned", min_score=2, min_margin=0.5)
    assert best["label"].tolist() == ["unassigned"] * 2


def test_a_type_scores_as_its_best_set():
    scores = pd.DataFrame({"broad.T_cell": [1.0], "broad.CD8_T": [3.0], "broad.NK": [2.0]})
    assert type_scores(scores, types_of("lineage").loc[["t", "nk", "b"]]).iloc[0].to_dict() == {
        "t": 3.0,
        "nk": 2.0,
    }
