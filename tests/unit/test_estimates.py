import math

import numpy as np
import pytest
from scipy import stats

from immune_landscape.estimates import (
    adjusted_difference,
    hodges_lehmann,
    invert_labels,
    invert_signs,
    min_attainable_p,
    minimum_detectable_effect,
)
from immune_landscape.permutation import flip_signs, permute_labels

IS_A = np.arange(12) < 5


def test_adjusted_difference_is_the_linear_model_coefficient():
    rng = np.random.default_rng(0)
    values, strata = rng.normal(size=(12, 2)), np.array(list("aabbbaabbbcc"))
    model = np.column_stack([IS_A, *(strata == s for s in "abc")]).astype(float)
    expected = np.linalg.lstsq(model, values, rcond=None)[0][0]
    np.testing.assert_allclose(adjusted_difference(values, IS_A, strata), expected)
    plain = values[IS_A].mean(axis=0) - values[~IS_A].mean(axis=0)
    np.testing.assert_allclose(adjusted_difference(values, IS_A), plain)
    assert np.isnan(adjusted_difference(values, IS_A, np.where(IS_A, "a", "b"))).all()


def test_hodges_lehmann():
    assert hodges_lehmann(np.array([1.0, 4.0]), np.array([0.0, 1.0, 10.0])) == np.median([1, 0, -9, 4, 3, -6])
    assert hodges_lehmann(np.array([1.0, 2.0, 6.0])) == np.median([1, 1.5, 3.5, 2, 4, 6])


@pytest.mark.parametrize("strata", [None, np.array(list("aabbbaabbbab"))])
def test_interval_bounds_are_where_the_test_turns(strata):
    values = np.random.default_rng(1).normal(size=(12, 1)) + IS_A[:, None]
    interval = invert_labels(values, IS_A, 0, strata=strata)[0]
    assert interval.method == "test inversion, exact"
    effect = adjusted_difference(values, IS_A, strata)[0]
    assert interval.low < effect < interval.high
    margin = 0.01 * (interval.high - interval.low)
    for shift, rejected in (
        (interval.low - margin, True),
        (interval.low + margin, False),
        (interval.high - margin, False),
        (interval.high + margin, True),
    ):
        p = permute_labels(values - shift * IS_A[:, None], IS_A, 0, strata=strata).p[0]
        assert (p <= 0.05) == rejected


def test_interval_and_test_agree_on_zero():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(12, 60)) + np.outer(IS_A, np.linspace(0, 3, 60))
    p = permute_labels(values, IS_A, 0).p
    intervals = invert_labels(values, IS_A, 0)
    excludes = [interval.low > 0 or interval.high < 0 for interval in intervals]
    assert excludes == (p <= 0.05).tolist()
    assert 0 < sum(excludes) < 60


def test_interval_resembles_welch_in_large_groups():
    rng = np.random.default_rng(3)
    is_a = np.arange(60) < 30
    values = rng.normal(size=(60, 1)) + is_a[:, None]
    interval = invert_labels(values, is_a, 0, max_labelings=20_000)[0]
    welch = stats.ttest_ind(values[is_a, 0], values[~is_a, 0], equal_var=False).confidence_interval()
    assert interval.method == "test inversion, 20000 draws"
    assert interval.low == pytest.approx(welch.low, abs=0.04)
    assert interval.high == pytest.approx(welch.high, abs=0.04)


def test_sign_interval_bounds_are_where_the_test_turns():
    values = np.random.default_rng(4).normal(0.4, size=(9, 1))
    interval = invert_signs(values, 0)[0]
    for bound, outwards in ((interval.low, -1e-6), (interval.high, 1e-6)):
        assert flip_signs(values - bound - outwards, 0).p[0] <= 0.05
        assert flip_signs(values - bound + outwards, 0).p[0] > 0.05
    assert interval.method == "test inversion, exact"


def test_sampled_sign_interval_is_near_the_exact_one():
    values = np.random.default_rng(5).normal(0.4, size=(14, 1))
    exact, sampled = invert_signs(values, 0)[0], invert_signs(values, 0, max_labelings=8000)[0]
    assert sampled.method == "test inversion, 8000 draws"
    assert sampled.low == pytest.approx(exact.low, abs=0.05)
    assert sampled.high == pytest.approx(exact.high, abs=0.05)


def test_too_few_labelings_give_no_bound():
    values = np.random.default_rng(6).normal(size=(6, 2))
    for interval in invert_labels(values, np.arange(6) < 3, 0):
        assert (interval.low, interval.high) == (-math.inf, math.inf)
        assert interval.method == "none: 20 labelings cannot reach 95% confidence"
    assert invert_signs(values[:5], 0)[0].high == math.inf
    assert math.isfinite(invert_signs(values, 0)[0].high)
    assert "two patients" in invert_labels(values, np.arange(6) < 1, 0)[0].method


def test_no_spread_gives_no_bound():
    interval = invert_labels(IS_A[:, None] * 0.3, IS_A, 0)[0]
    assert interval.high == math.inf
    assert interval.method == "none: no spread within the groups"


def test_minimum_detectable_effect_has_the_power_asked_for():
    size = minimum_detectable_effect(6, 13, tests=12)
    freedom, shift = 17, size * math.sqrt(6 * 13 / 19)
    bar = stats.t.isf(0.05 / 24, freedom)
    assert stats.nct.sf(bar, freedom, shift) + stats.nct.cdf(-bar, freedom, shift) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("counts", "tests", "expected"),
    [((6, 13), 1, 1.47), ((6, 13), 12, 2.09), ((6, 13), 25, 2.27), ((5, 14), 1, 1.55), ((6, 0), 1, 1.44),
     ((5, 0), 1, 1.69), ((13, 0), 1, 0.85), ((19, 0), 1, 0.68)],
)  # fmt: skip
def test_minimum_detectable_effect_of_the_statistics_standard(counts, tests, expected):
    # The published table rounds up to the second decimal.
    assert math.ceil(100 * minimum_detectable_effect(*counts, tests=tests)) / 100 == pytest.approx(expected)


def test_no_detectable_effect_without_freedom():
    assert math.isnan(minimum_detectable_effect(1, 1))
    assert math.isnan(minimum_detectable_effect(1))
    assert math.isfinite(minimum_detectable_effect(2, 2, tests=50))


def test_min_attainable_p():
    assert min_attainable_p(27_132, True, False) == pytest.approx(3.7e-5, rel=0.01)
    assert min_attainable_p(64, True, True) == 2 / 64
    assert min_attainable_p(999, False, True) == 1 / 1000
    values = np.arange(8.0)
    assert permute_labels(values, values > 3, 0).p[0] == min_attainable_p(70, True, True)
