import itertools

import numpy as np
import pytest
from scipy import stats

from immune_landscape.labelings import LabelPlan, ResidualPlan, SignPlan, stratum_codes
from immune_landscape.permutation import flip_signs, permute_labels


def absolute_welch(first, second, axis=-1):
    return np.abs(stats.ttest_ind(first, second, axis=axis, equal_var=False).statistic)


def absolute_difference(first, second, axis=-1):
    return np.abs(np.mean(first, axis=axis) - np.mean(second, axis=axis))


def all_labelings(is_a):
    count = len(is_a)
    for chosen in itertools.combinations(range(count), int(is_a.sum())):
        yield np.isin(np.arange(count), chosen)


@pytest.mark.parametrize(("count_a", "count_b"), [(3, 4), (4, 4), (2, 6), (5, 3)])
@pytest.mark.parametrize("studentise", [True, False])
def test_exact_p_equals_scipy(count_a, count_b, studentise):
    values = np.random.default_rng(count_a * 10 + count_b).normal(size=count_a + count_b)
    is_a = np.arange(count_a + count_b) < count_a
    statistic = absolute_welch if studentise else absolute_difference
    expected = stats.permutation_test(
        (values[is_a], values[~is_a]), statistic, alternative="greater", n_resamples=np.inf, vectorized=True
    )
    result = permute_labels(values, is_a, 0, studentise=studentise)
    assert result.exact[0]
    assert result.labelings[0] == len(list(all_labelings(is_a)))
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    assert abs(result.statistic[0]) == pytest.approx(expected.statistic)
    assert result.effect[0] == pytest.approx(values[is_a].mean() - values[~is_a].mean())


def random_values(rng, count):
    """Numbers of many shapes: plain, far from zero, skewed, and whole ones with ties."""
    kind = rng.integers(4)
    if kind == 3:
        return rng.integers(0, 4, count).astype(float)
    return [rng.normal(size=count), 1e3 + rng.normal(size=count), rng.exponential(size=count)][kind]


@pytest.mark.parametrize("case", range(40))
def test_random_cohorts_equal_scipy(case):
    rng = np.random.default_rng(1000 + case)
    count_a, count_b = rng.integers(2, 6, 2)
    values = random_values(rng, count_a + count_b)
    is_a = rng.permutation(count_a + count_b) < count_a
    # Two-sided by the size of the difference, which is not twice the smaller tail.
    expected = stats.permutation_test(
        (values[is_a], values[~is_a]),
        absolute_difference,
        permutation_type="independent",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    result = permute_labels(values, is_a, 0, studentise=False)
    assert result.exact[0]
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    assert abs(result.effect[0]) == pytest.approx(expected.statistic)


@pytest.mark.parametrize("studentise", [True, False])
@pytest.mark.parametrize("case", range(16))
def test_random_sign_flips_equal_scipy(case, studentise):
    rng = np.random.default_rng(2000 + case)
    values = random_values(rng, rng.integers(3, 10)) * rng.choice([-1, 1])
    expected = stats.permutation_test(
        (values,), lambda sample, axis=-1: np.abs(np.mean(sample, axis=axis)),
        permutation_type="samples", alternative="greater", n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    result = flip_signs(values, 0, studentise=studentise)
    assert result.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    assert result.labelings[0] == 2 ** len(values)


def test_sign_flip_statistic_is_the_one_sample_t():
    values = np.random.default_rng(8).normal(0.5, size=8)
    assert flip_signs(values, 0).statistic[0] == pytest.approx(stats.ttest_1samp(values, 0).statistic)


def test_strata_equal_brute_force():
    rng = np.random.default_rng(3)
    strata = np.array(["x"] * 5 + ["y"] * 4)
    is_a = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0], dtype=bool)
    values = rng.normal(size=9) + 5 * (strata == "x")
    centred = values.copy()
    for stratum in ("x", "y"):
        centred[strata == stratum] -= centred[strata == stratum].mean()
    kept = [
        labels
        for labels in all_labelings(is_a)
        if all((labels & (strata == s)).sum() == (is_a & (strata == s)).sum() for s in ("x", "y"))
    ]
    observed = absolute_welch(centred[is_a], centred[~is_a])
    each = [absolute_welch(centred[labels], centred[~labels]) for labels in kept]
    result = permute_labels(values, is_a, 0, strata=strata)
    assert result.labelings[0] == len(kept) == 40
    assert result.p[0] == pytest.approx(np.mean(np.array(each) >= observed - 1e-9), abs=1e-12)
    # The effect is the group coefficient of a linear model with the strata as fixed effects.
    model = np.column_stack([is_a, strata == "x", strata == "y"]).astype(float)
    assert result.effect[0] == pytest.approx(np.linalg.lstsq(model, values, rcond=None)[0][0])


def test_step_down_max_t_equals_brute_force():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(8, 4))
    values[:3, 2] += 4
    is_a = np.arange(8) < 3
    table = np.array([absolute_welch(values[labels], values[~labels], axis=0) for labels in all_labelings(is_a)])
    observed = absolute_welch(values[is_a], values[~is_a], axis=0)
    order = np.argsort(-observed)
    expected, floor = np.empty(4), 0.0
    for step, feature in enumerate(order):
        floor = max(floor, np.mean(table[:, order[step:]].max(axis=1) >= observed[feature] - 1e-9))
        expected[feature] = floor
    result = permute_labels(values, is_a, 0)
    np.testing.assert_allclose(result.p_maxt, expected, atol=1e-12)
    assert (result.p_maxt >= result.p).all()


def test_every_labeling_is_enumerated_once():
    is_a = np.array([1, 1, 0, 0, 0, 1, 0], dtype=bool)
    plan = LabelPlan(is_a, stratum_codes(np.array(list("aaaabbb")), 7), 0, 1000, 10)
    rows = np.vstack(list(plan.chunks(5)))
    assert rows.shape == (6 * 3, 7)
    assert len({tuple(row) for row in rows}) == 18
    assert (rows[:, :4].sum(axis=1) == 2).all()
    signs = np.vstack(list(SignPlan(4, 0, 1000, 10).chunks(3)))
    assert len({tuple(row) for row in signs}) == 16


def test_drawn_labelings_keep_group_sizes_within_strata():
    is_a = np.array([1, 1, 0, 0, 0, 1, 0], dtype=bool)
    plan = LabelPlan(is_a, stratum_codes(np.array(list("aaaabbb")), 7), 0, 5, 400)
    rows = np.vstack(list(plan.chunks(64)))
    assert not plan.exact
    assert rows.shape == (400, 7)
    assert (rows[:, :4].sum(axis=1) == 2).all()
    assert (rows[:, 4:].sum(axis=1) == 1).all()
    assert len({tuple(row) for row in rows}) == 18


def test_monte_carlo_is_seeded_near_exact_and_never_zero():
    rng = np.random.default_rng(5)
    values, is_a = rng.normal(size=(12, 3)), np.arange(12) < 5
    values[is_a, 0] += 100
    exact = permute_labels(values, is_a, 0)
    first = permute_labels(values, is_a, 7, max_exact=10, draws=4000)
    again = permute_labels(values, is_a, 7, max_exact=10, draws=4000)
    other = permute_labels(values, is_a, 8, max_exact=10, draws=4000)
    assert not first.exact.any()
    assert (first.labelings == 4000).all()
    np.testing.assert_array_equal(first.p, again.p)
    assert (first.p != other.p).any()
    np.testing.assert_allclose(first.p, exact.p, atol=0.03)
    # (b + 1) / (m + 1) with a whole number b.
    np.testing.assert_allclose(first.p * 4001, np.round(first.p * 4001), atol=1e-9)
    assert (first.p >= 1 / 4001).all()
    assert exact.p[0] == pytest.approx(1 / 792)


def test_missing_values_leave_only_their_feature():
    rng = np.random.default_rng(6)
    values, is_a = rng.normal(size=(11, 3)), np.arange(11) < 5
    values[[0, 9], 1] = np.nan
    result = permute_labels(values, is_a, 0)
    kept = ~np.isnan(values[:, 1])
    alone = permute_labels(values[kept, 1], is_a[kept], 0)
    assert result.p[1] == alone.p[0]
    assert result.labelings.tolist() == [462, 126, 462]
    assert result.p[0] == permute_labels(values[:, 0], is_a, 0).p[0]
    common = permute_labels(values[kept], is_a[kept], 0)
    np.testing.assert_allclose(result.p_maxt, np.maximum(common.p_maxt, result.p))


def test_too_few_patients_give_no_p():
    values = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0], [4.0, 5.0], [7.0, 6.0]])
    result = permute_labels(values, np.array([1, 1, 0, 0, 0], dtype=bool), 0)
    assert np.isfinite(result.p[0])
    assert np.isnan(result.p[1])
    assert np.isnan(flip_signs(np.array([1.0]), 0).p[0])


def test_no_spread_stays_finite():
    is_a = np.arange(8) < 3
    values = np.column_stack([np.full(8, 0.1), is_a * 1.0, 1e9 + is_a, np.random.default_rng(0).normal(size=8)])
    result = permute_labels(values, is_a, 0)
    assert np.isfinite(result.statistic).all()
    assert result.p[0] == 1.0
    assert result.p[1] == pytest.approx(1 / 56)
    assert result.p[2] == pytest.approx(1 / 56)
    signed = flip_signs(np.column_stack([np.zeros(6), np.full(6, 2.0)]), 0)
    assert np.isfinite(signed.statistic).all()
    np.testing.assert_allclose(signed.p, [1.0, 2 / 64])


def test_ties_are_not_split_by_rounding():
    # Decimal steps cannot be represented exactly: sums in another order differ in the last bit.
    values = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2])
    is_a = np.array([1, 0, 1, 0, 0, 1, 0, 0], dtype=bool)
    whole = np.round(values * 10)
    for studentise in (True, False):
        scaled = permute_labels(values * 1e-7, is_a, 0, studentise=studentise)
        assert scaled.p[0] == permute_labels(whole, is_a, 0, studentise=studentise).p[0]


def test_mirrored_labelings():
    values = np.random.default_rng(1).normal(size=8)
    assert permute_labels(values, np.arange(8) < 4, 0).mirrored[0]
    assert not permute_labels(values, np.arange(8) < 3, 0).mirrored[0]
    strata = np.array(list("aaaabbbb"))
    labels = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    assert not permute_labels(values, labels, 0, strata=strata).mirrored[0]


def test_draws_do_not_depend_on_the_features_tested_beside():
    # More features make smaller parts of the labelings, which must stay the same ones.
    rng = np.random.default_rng(9)
    values, is_a = rng.normal(size=(19, 90)), np.arange(19) < 6
    strata = np.where(np.arange(19) % 2, "x", "y")
    for given in (None, strata):
        together = permute_labels(values, is_a, 3, strata=given, max_exact=1, draws=9000)
        alone = permute_labels(values[:, 5], is_a, 3, strata=given, max_exact=1, draws=9000)
        assert together.p[5] == alone.p[0]
    assert (
        flip_signs(values, 3, max_exact=1, draws=9000).p[5] == flip_signs(values[:, 5], 3, max_exact=1, draws=9000).p[0]
    )


def test_every_residual_order_is_enumerated_once():
    is_a = np.array([1, 1, 0, 0, 0, 1, 0], dtype=bool)
    blocks, cells = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 1, 0, 0, 2, 2, 2])
    plan = ResidualPlan(is_a, cells, blocks, 0, 1000, 10)
    orders = np.vstack(list(plan.chunks(5)))
    # Four patients of whom two are alike, times three of whom two are alike.
    assert plan.count == len(orders) == 12 * 3
    kinds = 2 * cells + is_a
    assert len({tuple(kinds[order]) for order in orders}) == 36
    assert (np.sort(orders, axis=1) == np.arange(7)).all()
    assert (blocks[orders] == blocks).all()
    drawn = np.vstack(list(ResidualPlan(is_a, cells, blocks, 0, 10, 500).chunks(64)))
    assert drawn.shape == (500, 7)
    assert (np.sort(drawn, axis=1) == np.arange(7)).all()
    assert (blocks[drawn] == blocks).all()
    assert len({tuple(kinds[order]) for order in drawn}) == 36
