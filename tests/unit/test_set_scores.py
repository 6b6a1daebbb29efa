import anndata
import numpy as np
import pytest
import scanpy as sc
from datasets import shared_data
from scipy import stats

from immune_landscape.reduce_cells import normalise
from immune_landscape.set_scores import draw_sets, expression_bins, score_sets


def scanpy_scores(normal, genes, n_bins):
    sc.tl.score_genes(normal, genes, ctrl_size=normal.n_vars, n_bins=n_bins, score_name="score")
    return normal.obs["score"].to_numpy()


@pytest.mark.parametrize("genes", [["NKG7", "GNLY", "PRF1", "GZMB", "CST7"], ["CD3D", "IL7R", "CCR7"], ["LYZ"]])
def test_each_cell_of_real_blood_scores_as_in_scanpy_with_all_genes_of_a_bin(genes):
    counts = anndata.read_h5ad(shared_data("pbmc_10x_1k_v2_v3") / "pbmc_1k_v2_counts_allgenes.h5ad")[:300]
    counts = counts[:, np.asarray(counts.X.sum(axis=0)).ravel() > 0].copy()
    normal = normalise(counts, 1e4)
    bins = expression_bins(np.asarray(normal.X.sum(axis=0, dtype=float)).ravel() / normal.n_obs, 25)
    found = score_sets(normal.X.toarray().astype(float), bins, normal.var_names.get_indexer(genes)[None, :])
    assert found[:, 0] == pytest.approx(scanpy_scores(normal, genes, 25), abs=1e-6)


def test_score_of_the_mean_is_the_mean_of_scores():
    rng = np.random.default_rng(0)
    cells = rng.gamma(1.0, 1.0, (50, 90))
    bins = expression_bins(cells.mean(axis=0), 6)
    sets = np.array([[3, 40, 77], [5, 40, 12]])
    sets[1] = [np.flatnonzero((bins == level) & ~np.isin(np.arange(90), sets[0]))[0] for level in bins[sets[0]]]
    mean = score_sets(cells.mean(axis=0, keepdims=True), bins, sets)
    assert mean[0] == pytest.approx(score_sets(cells, bins, sets).mean(axis=0))
    # By hand: set mean less mean of the other genes of its bins.
    others = np.isin(bins, bins[sets[1]]) & ~np.isin(np.arange(90), sets[1])
    assert mean[0, 1] == pytest.approx(cells[:, sets[1]].mean() - cells[:, others].mean())


def test_a_set_that_fills_its_bins_has_no_score():
    assert np.isnan(score_sets(np.ones((2, 3)), np.array([0, 0, 1]), np.array([[0, 1]]))).all()


def test_genes_of_equal_mean_share_a_bin():
    bins = expression_bins(np.array([0.0] * 50 + list(range(1, 51))), 11)
    assert len(set(bins[:50])) == 1
    assert bins[-1] == bins.max() > bins[50]


def test_random_sets_match_the_bins_and_leave_genes_out():
    rng = np.random.default_rng(1)
    bins = expression_bins(rng.random(400), 10)
    genes = np.array([3, 17, 17 + 100, 250, 399])
    drawn = draw_sets(bins, genes, np.array([*genes, 8]), 200, 4)
    assert (bins[drawn] == bins[genes]).all()
    assert not np.isin(drawn, [*genes, 8]).any()
    assert all(len(set(row)) == len(genes) for row in drawn)
    assert (draw_sets(bins, genes, genes, 200, 4) == draw_sets(bins, genes, genes, 200, 4)).all()
    # Every free gene of a bin is as likely.
    column, level = draw_sets(bins, genes, genes, 5000, 5)[:, 0], bins[genes[0]]
    counts = np.bincount(column, minlength=400)[(bins == level) & ~np.isin(np.arange(400), genes)]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_a_bin_without_enough_other_genes_gives_no_random_sets():
    assert draw_sets(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1]), np.array([0, 1]), 10, 0) is None
