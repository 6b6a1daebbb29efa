import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from immune_landscape.pseudobulk import Pseudobulk, expressed_genes, library_factors, log_cpm


def made(counts):
    counts = np.asarray(counts)
    return pd.DataFrame(counts, index=[f"s{at}" for at in range(len(counts))], columns=range(counts.shape[1]))


def made_depths(genes=400, seed=0):
    """Return rates of genes, and counts of four samples of different depth."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.6, 200, genes) + 5
    return rates, np.outer([1.0, 0.5, 2.0, 1.3], rates)


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_a_subset_is_a_table_of_samples_and_genes(wrap):
    profiles = pd.DataFrame({"sample": ["a", "b", "a"], "subset": ["nk", "nk", "t"], "cells": [9, 8, 7]})
    sums = Pseudobulk(profiles, pd.Index(["G", "H"]), wrap(np.array([[1, 2], [3, 4], [5, 6]])))
    assert sums.subsets == ["nk", "t"]
    assert sums.of("nk").loc["b", "H"] == 4
    assert sums.of("t").to_numpy().tolist() == [[5, 6]]
    assert sums.of("other").empty


def test_genes_need_counts_at_median_depth_in_enough_samples():
    # Median depth 1000: a gene needs a rate of 0.01, that is 10 of 1000 or 20 of 2000 counts.
    counts = made([[10, 9, 19, 962], [20, 20, 0, 1960], [5, 5, 0, 490], [0, 0, 0, 1000]])
    assert expressed_genes(counts, min_count=10, min_share=0.75).tolist() == [True, False, False, True]
    assert expressed_genes(counts, min_count=10, min_share=0.5).tolist() == [True, True, False, True]
    assert expressed_genes(counts, min_count=10, min_share=0.0).tolist() == [True] * 4


def test_no_samples_and_empty_samples_express_nothing():
    assert not expressed_genes(made(np.zeros((0, 3))), min_count=1, min_share=0.0).any()
    assert not expressed_genes(made(np.zeros((2, 3))), min_count=1, min_share=0.0).any()


def test_depth_alone_needs_no_factors():
    _, counts = made_depths()
    assert library_factors(made(counts), counts.sum(axis=1)) == pytest.approx(np.ones(4))


def test_factors_undo_a_few_genes_that_take_up_the_counts():
    # The other genes of sample 0 lose the share that forty genes gain; rates fall alike, and factors say by how much.
    _, counts = made_depths()
    counts[0, :40] *= 30
    depth = counts.sum(axis=1)
    factors = library_factors(made(counts), depth)
    rates = counts[:, 40:] / (depth * factors)[:, None]
    assert rates == pytest.approx(np.repeat(rates[:1], 4, axis=0), rel=1e-6)
    assert np.log(factors).mean() == pytest.approx(0)
    assert factors[0] < 0.5


def test_the_trimmed_mean_is_that_of_the_paper():
    """Derive one factor by the equations of Robinson and Oshlack, gene by gene."""
    rng = np.random.default_rng(2)
    counts = rng.negative_binomial(3, 3 / (3 + made_depths(200)[0] / 4), (2, 200)).astype(float)
    depth = counts.sum(axis=1)
    quartiles = np.quantile(counts / depth[:, None], 0.75, axis=1)
    reference = int(np.argmin(np.abs(quartiles - quartiles.mean())))
    own = 1 - reference
    genes = []
    for first, second in zip(counts[own], counts[reference], strict=True):
        if first > 0 and second > 0:
            m = np.log2((first / depth[own]) / (second / depth[reference]))
            a = 0.5 * np.log2((first / depth[own]) * (second / depth[reference]))
            w = (depth[own] - first) / (depth[own] * first) + (depth[reference] - second) / (depth[reference] * second)
            genes.append((m, a, 1 / w))
    m, a, w = np.array(genes).T
    by_m, by_a = m.argsort().argsort() + 1, a.argsort().argsort() + 1
    low_m, low_a = np.floor(len(m) * 0.3) + 1, np.floor(len(m) * 0.05) + 1
    kept = (by_m >= low_m) & (by_m <= len(m) + 1 - low_m) & (by_a >= low_a) & (by_a <= len(m) + 1 - low_a)
    expected = 2 ** ((m * w)[kept].sum() / w[kept].sum())
    factors = library_factors(made(counts), depth)
    # Ties of M among genes make the ranks of the two roads differ by a gene or two.
    assert factors[own] / factors[reference] == pytest.approx(expected, rel=0.01)


def test_log_cpm_is_that_of_edger():
    counts = made([[0, 10, 90], [0, 40, 160]])
    logs = log_cpm(counts, np.array([100.0, 200.0]), prior_count=2)
    added = 2 * 200 / 150
    assert logs.loc["s1", 1] == pytest.approx(np.log2((40 + added) / (200 + 2 * added) * 1e6))
    assert logs.loc["s0", 0] == pytest.approx(logs.loc["s1", 0])
