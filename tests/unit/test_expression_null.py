import numpy as np
import pytest
from scipy import stats

from immune_landscape.expression_null import empirical_fdr, inflation_of, null_genes


def made(runs=40, genes=300, df=17.0, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return np.abs(rng.standard_t(df, (runs, genes))) * scale, np.full((runs, 1), df)


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.5])
def test_genes_found_are_those_of_benjamini_and_hochberg(scale):
    statistics, df = made(scale=scale)
    found = null_genes([(statistics, df)], statistics[0], 0.1).found
    rates = stats.false_discovery_control(2 * stats.t.sf(statistics, df), axis=1)
    assert found.tolist() == (rates <= 0.1).sum(axis=1).tolist()
    assert found.max() > 0


def test_parts_of_the_cohorts_give_what_the_whole_gives():
    statistics, df = made(scale=1.5)
    whole = null_genes([(statistics, df)], statistics[0], 0.05)
    parts = null_genes([(statistics[:7], df[:7]), (statistics[7:], df[7:])], statistics[0], 0.05)
    for first, second in zip(whole, parts, strict=True):
        assert first == pytest.approx(second)


def test_exceeding_counts_the_genes_of_permuted_cohorts_as_extreme():
    statistics, df = made()
    observed = np.abs(np.random.default_rng(1).standard_t(17, 300))
    exceeding = null_genes([(statistics, df)], observed, 0.05).exceeding
    expected = [((statistics >= value).sum() + 1) / (len(statistics) + 1) for value in observed]
    assert exceeding == pytest.approx(expected)


def test_degrees_of_freedom_may_differ_between_genes():
    statistics, _ = made()
    df = np.tile(np.linspace(5, 30, 300), (40, 1))
    found = null_genes([(statistics * 1.6, df)], statistics[0], 0.1).found
    rates = stats.false_discovery_control(2 * stats.t.sf(statistics * 1.6, df), axis=1)
    assert found.tolist() == (rates <= 0.1).sum(axis=1).tolist()


def test_inflation_is_1_without_difference_and_the_square_of_a_common_factor():
    statistics, df = made(runs=1, genes=200_000, df=1e6)
    assert inflation_of(statistics, df)[0] == pytest.approx(1, abs=0.02)
    assert inflation_of(1.3 * statistics, df)[0] == pytest.approx(1.69, abs=0.04)


def test_the_empirical_rate_is_null_genes_over_genes_and_never_falls():
    observed, exceeding = np.array([5.0, 3.0, 4.0, 1.0]), np.array([0.2, 1.5, 1.8, 3.0])
    # Lists: 5 alone 0.2/1; 5, 4: 1.8/2; 5, 4, 3: 1.5/3; all: 3/4. Made monotone from the end.
    assert empirical_fdr(observed, exceeding) == pytest.approx([0.2, 0.5, 0.5, 0.75])
    assert empirical_fdr(np.ones(3), np.full(3, 6.0)) == pytest.approx([1, 1, 1])
