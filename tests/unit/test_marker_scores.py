import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cells import make_counts, make_groups
from scipy import stats

from immune_landscape.cell_types import read_markers, types_of
from immune_landscape.marker_scores import (
    FEW_GENES,
    NO_DEFINING,
    SCORED,
    best_type,
    gene_weights,
    score_cells,
    smooth,
    status_of,
    type_scores,
)
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
    fit = stats.linregress(weight, row)
    assert scores.iloc[0, 0] == pytest.approx(fit.slope / fit.stderr, rel=1e-4)


def test_scores_name_the_planted_type(cells):
    counts, truth = cells
    scores = score_cells(counts, ["broad.T_cell", "broad.NK"], counts.var_names)
    by_type = type_scores(scores, types_of("lineage"))
    best = best_type(by_type, unassigned="unassigned", min_score=2, min_margin=0.5)
    assert (best["label"] == truth).mean() > 0.95


def test_a_marker_that_no_cell_expresses_counts_against_its_set(cells):
    counts, _ = cells
    background = [gene for gene in counts.var_names if gene.startswith("BG")]
    few = counts[:, ["CD3D", "CD3E", "CD3G", *background]].copy()
    silent = make_counts(np.zeros((counts.n_obs, 5)), ["CD2", "TRAC", "TRBC1", "TRBC2", "IL7R"], counts.obs["sample"])
    more = anndata.concat([few, silent], axis=1, merge="first")
    first, second = (score_cells(each, ["broad.T_cell"], background)["broad.T_cell"] for each in (few, more))
    assert (second[:30] < first[:30]).all()


def test_a_cell_without_a_molecule_of_the_genes_has_no_evidence(cells):
    counts, _ = cells
    values = counts.X.toarray()
    values[3] = 0
    dark = make_counts(values, list(counts.var_names), list(counts.obs["sample"]))
    scores = score_cells(dark, ["broad.T_cell", "broad.NK"], counts.var_names)
    assert scores.index.equals(counts.obs_names)
    assert (scores.iloc[3] == 0).all()
    others = scores.drop(index=scores.index[3])
    pd.testing.assert_frame_equal(others, score_cells(counts, scores.columns, counts.var_names).loc[others.index])


def test_a_set_needs_three_genes_half_of_its_weight_and_a_defining_one():
    weights = gene_weights(types_of("lineage"))
    assert status_of("broad.T_cell", T[:4], weights) == SCORED
    assert status_of("broad.T_cell", T[:3], weights) == FEW_GENES
    plasma = read_markers()["broad"]["plasma"]
    assert status_of("broad.plasma", set(plasma["genes"]) - set(plasma["defining"]), weights) == NO_DEFINING
    assert status_of("tissue.gastric_parietal", ["ATP4A", "ATP4B"], {"ATP4A": 1, "ATP4B": 1, "CBLIF": 1}) == FEW_GENES


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


def test_a_type_without_rival_has_no_margin():
    best = best_type(pd.DataFrame({"b": [5.0, 1.0]}), unassigned="unassigned", min_score=2, min_margin=0.5)
    assert best["label"].tolist() == ["b", "unassigned"]
    assert best["runner_up"].tolist() == ["", ""]
    assert best["margin"].isna().all()


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
