import numpy as np
import pytest
from scipy import optimize, special, stats

from immune_landscape.labelings import LabelPlan, SignPlan
from immune_landscape.moderated_t import (
    fit_prior,
    linear_model,
    moderate,
    moderated_t,
    permuted_t,
    trigamma_inverse,
)


def two_groups(first=6, second=13):
    return np.arange(first + second) < first


def group_model(is_a, *others):
    return linear_model(is_a.astype(float), np.column_stack([np.ones(len(is_a)), *others]))


def made_values(patients, features, seed=0, prior_df=4.0):
    """Return values whose variances are spread as a prior of so many degrees of freedom."""
    rng = np.random.default_rng(seed)
    sd = np.sqrt(prior_df / rng.chisquare(prior_df, features))
    return rng.normal(0, sd, (patients, features))


def least_squares(values, matrix):
    """Return coefficient, unscaled error and residual variance of the last column, feature by feature."""
    inverse = np.linalg.inv(matrix.T @ matrix)
    coefficients = inverse @ matrix.T @ values
    df = len(matrix) - matrix.shape[1]
    variance = ((values - matrix @ coefficients) ** 2).sum(axis=0) / df
    return coefficients[-1], np.sqrt(inverse[-1, -1]), variance, df


def test_prior_of_three_variances_is_that_of_limma():
    # limma: squeezeVar(c(0.5, 1.3, 7.8), df = 3), as the tests of its port InMoose 0.7 hold it.
    prior = fit_prior(np.array([0.5, 1.3, 7.8]), 3)
    assert prior.df == pytest.approx(2.830777, abs=1e-6)
    assert prior.variance == pytest.approx(1.676927, abs=1e-6)
    posterior, _ = moderate(np.array([0.5, 1.3, 7.8]), 3)
    assert posterior == pytest.approx((3 * np.array([0.5, 1.3, 7.8]) + 2.830777 * 1.676927) / 5.830777, abs=1e-6)


def test_a_single_variance_is_its_own_prior():
    posterior, prior_df = moderate(np.array([1.7]), 3)
    assert posterior == pytest.approx([1.7])
    assert prior_df == 0


@pytest.mark.parametrize(("prior_df", "scale", "df"), [(5.0, 2.0, 4), (20.0, 0.3, 17), (1.5, 1.0, 17)])
def test_the_prior_that_variances_were_drawn_from_is_found(prior_df, scale, df):
    rng = np.random.default_rng(1)
    true = scale * prior_df / rng.chisquare(prior_df, 200_000)
    prior = fit_prior(true * rng.chisquare(df, 200_000) / df, df)
    assert prior.df == pytest.approx(prior_df, rel=0.04)
    assert prior.variance == pytest.approx(scale, rel=0.02)


def test_variances_no_wider_than_chance_have_an_infinite_prior_and_become_their_mean():
    variances = np.array([1.0, 1.1, 0.9, 1.05])
    posterior, prior_df = moderate(variances, 10)
    assert np.isinf(prior_df)
    assert posterior == pytest.approx(np.full(4, variances.mean()))


def test_very_different_variances_are_left_nearly_as_they_are():
    variances = 10.0 ** np.arange(-12, 13, 3)
    posterior, prior_df = moderate(variances, 50)
    assert prior_df < 0.2
    assert posterior[5:] == pytest.approx(variances[5:], rel=0.01)


def test_rows_of_variances_are_moderated_one_by_one():
    variances = np.random.default_rng(2).chisquare(4, (3, 50))
    together, prior_df = moderate(variances, 4)
    for row, own_df, own in zip(together, prior_df, variances, strict=True):
        alone, alone_df = moderate(own, 4)
        assert row == pytest.approx(alone)
        assert own_df == pytest.approx(float(alone_df))


@pytest.mark.parametrize("values", [np.logspace(-9, 9, 37)])
def test_trigamma_inverse_solves_its_equation(values):
    found = trigamma_inverse(values)
    assert special.polygamma(1, found) == pytest.approx(values, rel=1e-9)
    middle = values[18]
    root = optimize.brentq(lambda y: special.polygamma(1, y) - middle, 1e-3, 1e3, xtol=1e-14)
    assert found[18] == pytest.approx(root)


def test_the_moderated_t_is_that_of_the_formulas():
    values, is_a = made_values(19, 60), two_groups()
    result = moderated_t(values, group_model(is_a))
    effect, unscaled, variance, df = least_squares(values, np.column_stack([np.ones(19), is_a]))
    logs = np.log(variance) - special.digamma(df / 2) + np.log(df / 2)
    half = optimize.brentq(
        lambda x: special.polygamma(1, x) - (logs.var(ddof=1) - special.polygamma(1, df / 2)), 0.01, 1e4
    )
    prior = np.exp(logs.mean() + special.digamma(half) - np.log(half))
    posterior = (df * variance + 2 * half * prior) / (df + 2 * half)
    assert result.effect == pytest.approx(effect)
    assert result.error == pytest.approx(unscaled * np.sqrt(posterior))
    assert result.t == pytest.approx(effect / (unscaled * np.sqrt(posterior)))
    assert result.p == pytest.approx(2 * stats.t.sf(np.abs(result.t), df + 2 * half))


def test_one_feature_has_students_t():
    values, is_a = made_values(19, 1), two_groups()
    expected = stats.ttest_ind(values[is_a, 0], values[~is_a, 0])
    result = moderated_t(values, group_model(is_a))
    assert result.t[0] == pytest.approx(expected.statistic)
    assert result.p[0] == pytest.approx(expected.pvalue)
    alone = moderated_t(values, linear_model(np.ones(19), np.zeros((19, 0))))
    assert alone.p[0] == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue)


def test_degrees_of_freedom_never_exceed_those_of_all_features_together():
    values = made_values(8, 1) * np.array([1.0, -1.0, 1.0])
    result = moderated_t(values, group_model(two_groups(4, 4)))
    assert np.isinf(result.prior.df)
    assert result.df == pytest.approx(np.full(3, 18.0))


def test_strata_and_covariates_enter_the_model():
    rng = np.random.default_rng(4)
    values, is_a = made_values(19, 30, seed=4), two_groups()
    stratum, age = np.arange(19) % 2 == 0, rng.normal(size=19)
    result = moderated_t(values, group_model(is_a, stratum, age))
    matrix = np.column_stack([np.ones(19), stratum, age, is_a]).astype(float)
    effect, unscaled, variance, df = least_squares(values, matrix)
    posterior, _ = moderate(variance, df)
    assert result.effect == pytest.approx(effect)
    assert result.error == pytest.approx(unscaled * np.sqrt(posterior))


def test_each_feature_may_have_a_column_of_its_own():
    values, is_a, own = made_values(19, 5, seed=5), two_groups(), made_values(19, 5, seed=6)
    others = np.concatenate([np.ones((19, 5, 1)), own[:, :, None]], axis=2)
    result = moderated_t(values, linear_model(is_a.astype(float), others))
    for at in range(5):
        matrix = np.column_stack([np.ones(19), own[:, at], is_a])
        effect, *_ = least_squares(values[:, [at]], matrix)
        assert result.effect[at] == pytest.approx(effect[0])


def test_there_is_no_model_where_nothing_is_left_to_compare():
    is_a = two_groups(3, 3)
    assert group_model(is_a, is_a.astype(float)) is None
    assert group_model(is_a, np.eye(6)[:, 1:5]) is None


def test_features_without_any_spread_give_finite_numbers():
    values = np.zeros((19, 4))
    values[:, 0] = made_values(19, 1)[:, 0]
    result = moderated_t(values, group_model(two_groups()))
    assert np.isfinite(result.t).all()
    assert (moderated_t(np.zeros((19, 4)), group_model(two_groups())).p == 1).all()


def test_permuted_labels_are_refits_of_the_whole_test():
    values, is_a = made_values(9, 20), two_groups(3, 6)
    blocks = np.array([0, 0, 1, 0, 0, 0, 1, 1, 1])
    plan = LabelPlan(is_a, blocks, 0, 1000, 1000)
    model = group_model(is_a, (blocks == 1).astype(float))
    statistics, df = (np.vstack(parts) for parts in zip(*permuted_t(values, model, plan), strict=True))
    labelings = np.vstack(list(plan.chunks(1000))).astype(bool)
    assert len(statistics) == len(labelings) == plan.count
    for row, total, labels in zip(statistics, df, labelings, strict=True):
        refit = moderated_t(values, group_model(labels, (blocks == 1).astype(float)))
        assert row == pytest.approx(refit.t)
        assert total == pytest.approx(refit.df[:1])


def test_flipped_signs_are_refits_of_the_whole_test():
    values = made_values(6, 15)
    plan, model = SignPlan(6, 0, 100, 100), linear_model(np.ones(6), np.zeros((6, 0)))
    statistics = np.vstack([block for block, _ in permuted_t(values, model, plan)])
    for row, signs in zip(statistics, np.vstack(list(plan.chunks(100))), strict=True):
        assert row == pytest.approx(moderated_t(values * signs[:, None], model).t)


@pytest.mark.parametrize("own", [False, True])
def test_permuted_residuals_are_refits_of_the_whole_test(own):
    from immune_landscape.freedman_lane import residual_plan

    values, is_a = made_values(10, 8), two_groups(4, 6)
    columns = made_values(10, 8, seed=7)[:, :, None] if own else made_values(10, 1, seed=7)
    plan = residual_plan(is_a, columns, 1, max_exact=50, draws=50)
    ones = np.ones((10, 8, 1)) if own else np.ones((10, 1))
    others = np.concatenate([ones, columns], axis=-1)
    model = linear_model(is_a.astype(float), others)
    statistics = np.vstack([block for block, _ in permuted_t(values, model, plan)])
    left = model.residuals(values)
    for row, order in zip(statistics, np.vstack(list(plan.chunks(50))), strict=True):
        shuffled = np.empty_like(left)
        shuffled[order] = left
        assert row == pytest.approx(moderated_t(shuffled, model).t)
