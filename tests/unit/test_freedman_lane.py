import itertools
import time

import numpy as np
import pytest
import statsmodels.api as sm

from immune_landscape.estimates import invert_labels, min_attainable_p
from immune_landscape.freedman_lane import freedman_lane, invert_freedman_lane, residual_plan
from immune_landscape.permutation import permute_labels

IS_A = np.arange(19) < 6
STRATA = np.array(list("aabbbaabbbab"))


def model_matrix(covariates, strata):
    dummies = np.ones((len(covariates), 1))
    if strata is not None:
        dummies = (strata[:, None] == np.unique(strata)).astype(float)
    return np.hstack([dummies, covariates])


def orders_within(strata, count):
    groups = [np.arange(count)] if strata is None else [np.flatnonzero(strata == s) for s in np.unique(strata)]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        order = np.empty(count, dtype=int)
        for group, part in zip(groups, parts, strict=True):
            order[group] = part
        yield order


def separate_spread_t(values, full, is_a):
    """Return the t of the first coefficient when each group has its own variance, patient by patient."""
    inverse = np.linalg.pinv(full)
    hat = full @ inverse
    residuals = values - hat @ values
    variance = np.empty(len(values))
    for group in (is_a, ~is_a):
        variance[group] = (residuals[group] ** 2).sum() / (1 - np.diag(hat))[group].sum()
    return (inverse @ values)[0] / np.sqrt((inverse[0] ** 2 * variance).sum())


def ordinary_t(values, full, is_a):
    return sm.OLS(values, full).fit().tvalues[0]


def plain_loop(values, is_a, covariates, strata, studentise=True):
    """Coefficient and t observed, and the t of every permutation, fitted one after another with statsmodels."""
    null = model_matrix(covariates, strata)
    full = np.column_stack([is_a.astype(float), null])
    statistic = separate_spread_t if studentise else ordinary_t
    fit = sm.OLS(values, null).fit()
    each = [statistic(fit.fittedvalues + fit.resid[order], full, is_a) for order in orders_within(strata, len(values))]
    return sm.OLS(values, full).fit().params[0], statistic(values, full, is_a), np.array(each)


CASES = [
    (np.array([1, 1, 1, 0, 0, 0]), None, "continuous"),
    (np.array([1, 1, 0, 0, 0, 0]), None, "binary"),
    (np.array([1, 1, 0, 0, 1, 1, 0, 0]), np.array(list("xxxxyyyy")), "continuous"),
    (np.array([1, 1, 0, 0, 1, 1, 0]), np.array(list("xxxxyyy")), "binary"),
]


@pytest.mark.parametrize("studentise", [True, False])
@pytest.mark.parametrize(("is_a", "strata", "kind"), CASES)
def test_equals_a_plain_loop_of_statsmodels(is_a, strata, kind, studentise):
    is_a = is_a.astype(bool)
    rng = np.random.default_rng(len(is_a))
    covariate = rng.normal(size=len(is_a)) if kind == "continuous" else np.arange(len(is_a)) % 2.0
    values = rng.normal(size=len(is_a)) + covariate
    effect, statistic, each = plain_loop(values, is_a, covariate[:, None], strata, studentise)
    result = freedman_lane(values, is_a, covariate[:, None], 0, strata=strata, studentise=studentise)
    assert result.exact[0]
    assert result.effect[0] == pytest.approx(effect)
    assert result.statistic[0] == pytest.approx(statistic)
    # Permutations that exchange like patients count once, which leaves their share as it is.
    assert len(each) % result.labelings[0] == 0
    assert result.p[0] == pytest.approx(np.mean(np.abs(each) >= abs(statistic) - 1e-9), abs=1e-12)


@pytest.mark.parametrize("studentise", [True, False])
def test_random_small_cases_equal_a_plain_loop(studentise):
    rng = np.random.default_rng(1)
    for _ in range(8):
        is_a = rng.permutation(6) < rng.integers(2, 4)
        covariates = rng.normal(size=(6, 2))
        values = rng.normal(size=6)
        effect, statistic, each = plain_loop(values, is_a, covariates, None, studentise)
        result = freedman_lane(values, is_a, covariates, 0, studentise=studentise)
        assert result.labelings[0] == 720
        assert result.effect[0] == pytest.approx(effect)
        assert result.p[0] == pytest.approx(np.mean(np.abs(each) >= abs(statistic) * (1 - 1e-9)), abs=1e-12)


@pytest.mark.parametrize(("strata", "studentise"), [(None, True), (None, False), (STRATA, False)])
def test_without_covariates_it_is_the_label_permutation(strata, studentise):
    is_a = np.arange(12) < 5
    values = np.random.default_rng(2).normal(size=(12, 4)) + is_a[:, None]
    result = freedman_lane(values, is_a, np.empty((12, 0)), 0, strata=strata, studentise=studentise)
    plain = permute_labels(values, is_a, 0, strata=strata, studentise=studentise)
    np.testing.assert_array_equal(result.labelings, plain.labelings)
    np.testing.assert_allclose(result.p, plain.p, atol=1e-12)
    np.testing.assert_allclose(result.effect, plain.effect)
    np.testing.assert_array_equal(result.mirrored, plain.mirrored)


def test_sampled_p_is_seeded_near_exact_and_never_zero():
    rng = np.random.default_rng(3)
    is_a, covariates = np.arange(8) < 4, rng.normal(size=(8, 1))
    values = rng.normal(size=(8, 3)) + np.outer(is_a, [50, 1, 0])
    exact = freedman_lane(values, is_a, covariates, 0)
    first, again = (freedman_lane(values, is_a, covariates, 7, max_exact=100, draws=4000) for _ in range(2))
    assert exact.exact.all()
    assert not first.exact.any()
    assert (first.labelings == 4000).all()
    np.testing.assert_array_equal(first.p, again.p)
    np.testing.assert_allclose(first.p, exact.p, atol=0.03)
    np.testing.assert_allclose(first.p * 4001, np.round(first.p * 4001), atol=1e-9)
    assert (first.p > 0).all()


def test_draws_do_not_depend_on_the_features_tested_beside():
    rng = np.random.default_rng(4)
    values, strata = rng.normal(size=(19, 60)), np.where(np.arange(19) % 2, "x", "y")
    covariates = rng.normal(size=(19, 1))
    together = freedman_lane(values, IS_A, covariates, 0, strata=strata, draws=9000)
    alone = freedman_lane(values[:, 3], IS_A, covariates, 0, strata=strata, draws=9000)
    assert together.p[3] == alone.p[0]


def test_one_set_of_covariates_for_each_feature():
    rng = np.random.default_rng(5)
    before, values = rng.normal(size=(2, 19, 4))
    result = freedman_lane(values, IS_A, before[:, :, None], 0, draws=2000)
    for feature in range(4):
        alone = freedman_lane(values[:, feature], IS_A, before[:, [feature]], 0, draws=2000)
        assert result.p[feature] == alone.p[0]
        model = np.column_stack([IS_A, np.ones(19), before[:, feature]]).astype(float)
        fit = sm.OLS(values[:, feature], model).fit()
        assert result.effect[feature] == pytest.approx(fit.params[0])
        assert result.statistic[feature] == pytest.approx(separate_spread_t(values[:, feature], model, IS_A))


def test_change_and_final_value_give_one_answer_given_baseline():
    rng = np.random.default_rng(6)
    before = rng.normal(size=(19, 3))
    after = 0.5 * before + rng.normal(size=(19, 3)) + IS_A[:, None]
    change = freedman_lane(after - before, IS_A, before[:, :, None], 0, draws=999)
    final = freedman_lane(after, IS_A, before[:, :, None], 0, draws=999)
    np.testing.assert_allclose(change.effect, final.effect)
    np.testing.assert_array_equal(change.p, final.p)


def test_step_down_max_t_equals_brute_force():
    rng = np.random.default_rng(7)
    is_a, covariates = np.array([1, 0, 1, 0, 0, 1, 0], dtype=bool), rng.normal(size=(7, 1))
    values = rng.normal(size=(7, 3))
    values[is_a, 1] += 3
    loops = [plain_loop(column, is_a, covariates, None) for column in values.T]
    observed = np.abs([loop[1] for loop in loops])
    table = np.abs(np.column_stack([loop[2] for loop in loops]))
    order = np.argsort(-observed)
    expected, floor = np.empty(3), 0.0
    for step, feature in enumerate(order):
        floor = max(floor, np.mean(table[:, order[step:]].max(axis=1) >= observed[feature] - 1e-9))
        expected[feature] = floor
    result = freedman_lane(values, is_a, covariates, 0)
    np.testing.assert_allclose(result.p_maxt, expected, atol=1e-12)
    assert (result.p_maxt >= result.p).all()


def test_missing_values_and_covariates_leave_only_their_patients():
    rng = np.random.default_rng(8)
    values, covariates = rng.normal(size=(19, 3)), rng.normal(size=(19, 1))
    values[[0, 9], 1] = np.nan
    covariates[12] = np.nan
    result = freedman_lane(values, IS_A, covariates, 0, draws=999)
    kept = ~np.isnan(values[:, 1]) & ~np.isnan(covariates[:, 0])
    alone = freedman_lane(values[kept, 1], IS_A[kept], covariates[kept], 0, draws=999)
    assert result.p[1] == alone.p[0]
    common = freedman_lane(values[kept], IS_A[kept], covariates[kept], 0, draws=999)
    np.testing.assert_allclose(result.p_maxt, np.maximum(common.p_maxt, result.p))


def test_no_test_where_covariates_leave_nothing():
    rng = np.random.default_rng(9)
    values = rng.normal(size=(19, 2))
    aliased = np.column_stack([IS_A * 2.0 + 1, rng.normal(size=19)])
    assert np.isnan(freedman_lane(values, IS_A, aliased, 0).p).all()
    assert np.isnan(freedman_lane(values[:5], np.arange(5) < 2, rng.normal(size=(5, 3)), 0).p).all()
    assert np.isfinite(freedman_lane(values[:5], np.arange(5) < 2, rng.normal(size=(5, 2)), 0).p).all()
    assert np.isnan(freedman_lane(values, np.arange(19) < 1, aliased[:, 1:], 0).p).all()
    strata = np.where(IS_A, "x", "y")
    assert np.isnan(freedman_lane(values, IS_A, aliased[:, 1:], 0, strata=strata).effect).all()
    assert "nothing to compare" in invert_freedman_lane(values, IS_A, aliased, 0)[0].method
    # One feature without a test leaves the others theirs.
    own = np.stack([aliased[:, :1], aliased[:, 1:]], axis=1)
    p = freedman_lane(values, IS_A, own, 0, draws=99).p
    assert np.isnan(p[0])
    assert p[1] == freedman_lane(values[:, 1], IS_A, aliased[:, 1:], 0, draws=99).p[0]


def test_collinear_and_constant_covariates_cost_one_degree_of_freedom():
    rng = np.random.default_rng(10)
    values, covariate = rng.normal(size=(19, 2)), rng.normal(size=(19, 1))
    padded = np.hstack([covariate, 3 - 2 * covariate, np.full((19, 1), 0.1)])
    single = freedman_lane(values, IS_A, covariate, 0, draws=99)
    many = freedman_lane(values, IS_A, padded, 0, draws=99)
    np.testing.assert_allclose(many.statistic, single.statistic)
    np.testing.assert_allclose(many.effect, single.effect)
    np.testing.assert_array_equal(many.p, single.p)


def test_values_that_covariates_explain_wholly_show_nothing():
    covariate = np.random.default_rng(11).normal(size=(19, 1))
    result = freedman_lane(np.hstack([3 * covariate, np.zeros((19, 1))]), IS_A, covariate, 0, draws=99)
    np.testing.assert_array_equal(result.p, 1.0)
    interval = invert_freedman_lane(3 * covariate, IS_A, covariate, 0)[0]
    assert interval.method == "none: no spread within the groups"


def test_plan_counts_like_patients_once():
    is_a, covariates = np.arange(8) < 4, (np.arange(8) % 2.0)[:, None]
    plan = residual_plan(is_a, covariates, 0)
    rows = np.column_stack([is_a, covariates])
    orders = np.vstack(list(plan.chunks(100)))
    # 8! / (2! 2! 2! 2!): two patients of each group and covariate.
    assert plan.count == len(orders) == len({rows[order].tobytes() for order in orders}) == 2520
    assert plan.mirrored
    assert not residual_plan(np.arange(8) < 3, covariates, 0).mirrored
    values = np.random.default_rng(18).normal(size=(8, 50)) + 9 * is_a[:, None]
    assert (freedman_lane(values, is_a, covariates, 0).p >= min_attainable_p(2520, True, True)).all()


def error_rate(simulations, spread, test):
    """Share of cohorts rejected: the covariate is higher in the first group and drives the values."""
    rng, rejected = np.random.default_rng(12), 0
    for seed in range(simulations):
        covariate = rng.normal(size=19) + 1.2 * IS_A
        values = 1.5 * covariate + rng.normal(size=19) * np.where(IS_A, spread, 1.0)
        rejected += test(values, covariate[:, None], seed).p[0] <= 0.05
    return rejected / simulations


def adjusted(values, covariates, seed):
    return freedman_lane(values, IS_A, covariates, seed, draws=199)


def with_equal_spread(values, covariates, seed):
    return freedman_lane(values, IS_A, covariates, seed, draws=199, studentise=False)


def unadjusted(values, covariates, seed):
    return permute_labels(values, IS_A, seed, max_exact=1, draws=199)


def test_error_rate_when_a_covariate_differs_between_groups():
    rate, without = error_rate(500, 1.0, adjusted), error_rate(200, 1.0, unadjusted)
    print(f"type-I error given the covariate {rate:.4f}, without it {without:.4f}")
    assert 0.03 <= rate <= 0.07
    assert without > 0.3


def test_error_rate_when_the_small_group_is_twice_as_spread():
    rate, pooled = error_rate(400, 2.0, adjusted), error_rate(400, 2.0, with_equal_spread)
    print(f"type-I error with unequal spread {rate:.4f}, with the ordinary t {pooled:.4f}")
    assert rate <= 0.08
    assert pooled > rate + 0.02


@pytest.mark.parametrize("strata", [None, STRATA])
def test_interval_bounds_are_where_the_test_turns(strata):
    rng = np.random.default_rng(13)
    is_a, covariates = np.arange(12) < 5, rng.normal(size=(12, 2))
    values = rng.normal(size=12) + is_a + covariates[:, 0]
    settings = {"strata": strata, "max_exact": 1, "draws": 3000}
    interval = invert_freedman_lane(values, is_a, covariates, 0, strata=strata, max_labelings=3000)[0]
    assert interval.method == "test inversion, 3000 draws"
    assert interval.low < freedman_lane(values, is_a, covariates, 0, **settings).effect[0] < interval.high
    margin = 1e-3 * (interval.high - interval.low)
    for bound, outwards in ((interval.low, -margin), (interval.high, margin)):
        p = [
            freedman_lane(values - shift * is_a, is_a, covariates, 0, **settings).p[0]
            for shift in (bound + outwards, bound - outwards)
        ]
        assert p[0] <= 0.05 < p[1]
        assert p == pytest.approx([0.05, 0.05], abs=0.002)


def test_interval_of_an_enumerated_test():
    rng = np.random.default_rng(14)
    is_a, covariates = np.arange(7) < 3, rng.normal(size=(7, 1))
    values = rng.normal(size=(7, 1))
    interval = invert_freedman_lane(values, is_a, covariates, 0)[0]
    assert interval.method == "test inversion, exact"
    margin = 1e-3 * (interval.high - interval.low)
    for bound, outwards in ((interval.low, -margin), (interval.high, margin)):
        assert freedman_lane(values[:, 0] - (bound + outwards) * is_a, is_a, covariates, 0).p[0] <= 0.05
        assert freedman_lane(values[:, 0] - (bound - outwards) * is_a, is_a, covariates, 0).p[0] > 0.05
    few = invert_freedman_lane(values, is_a, np.empty((7, 0)), 0, level=0.99)[0]
    assert few.method == "none: 35 labelings cannot reach 99% confidence"


def test_interval_without_covariates_is_that_of_the_labels():
    values = np.random.default_rng(19).normal(size=(11, 3))
    is_a = np.arange(11) < 4
    for adjusted, plain in zip(
        invert_freedman_lane(values, is_a, np.empty((11, 0)), 0), invert_labels(values, is_a, 0), strict=True
    ):
        assert adjusted.method == plain.method
        assert (adjusted.low, adjusted.high) == pytest.approx((plain.low, plain.high), abs=1e-6)


def test_interval_follows_the_scale_of_the_values():
    rng = np.random.default_rng(20)
    values, covariate = rng.normal(size=(19, 1)) + IS_A[:, None], rng.normal(size=(19, 1))
    plain = invert_freedman_lane(values, IS_A, covariate, 0, max_labelings=2000)[0]
    scaled = invert_freedman_lane(1e6 * values + 1e8, IS_A, 1e-5 * covariate + 3, 0, max_labelings=2000)[0]
    assert (scaled.low / 1e6, scaled.high / 1e6) == pytest.approx((plain.low, plain.high), abs=1e-6)


def test_intervals_agree_with_the_test_on_zero_feature_by_feature():
    rng = np.random.default_rng(15)
    before = rng.normal(size=(19, 40))
    values = before + rng.normal(size=(19, 40)) + np.outer(IS_A, np.linspace(0, 2.5, 40))
    values[[2, 8], 5] = np.nan
    p = freedman_lane(values, IS_A, before[:, :, None], 0, max_exact=1, draws=3000).p
    intervals = invert_freedman_lane(values, IS_A, before[:, :, None], 0, max_labelings=3000)
    excludes = [interval.low > 0 or interval.high < 0 for interval in intervals]
    assert excludes == (p <= 0.05).tolist()
    assert 5 < sum(excludes) < 35


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(16)
    held, truth = 0, 0.7
    for _ in range(250):
        covariate = rng.normal(size=19) + IS_A
        values = truth * IS_A + covariate + rng.normal(size=19)
        interval = invert_freedman_lane(values, IS_A, covariate[:, None], 0, max_labelings=999)[0]
        held += interval.low <= truth <= interval.high
    print(f"coverage of 95 % intervals over 250: {held / 250:.3f}")
    assert 0.92 <= held / 250 <= 0.98


def test_a_hundred_thousand_draws_of_nineteen_patients_take_seconds():
    rng = np.random.default_rng(17)
    values, before = rng.normal(size=(2, 19, 10))
    start = time.perf_counter()
    result = freedman_lane(values, IS_A, before[:, :, None], 0, draws=100_000)
    assert time.perf_counter() - start < 5.0
    assert (result.labelings == 100_000).all()
