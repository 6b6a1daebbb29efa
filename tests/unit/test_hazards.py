import math

import numpy as np
import pytest
from scipy import optimize, stats

from immune_landscape.hazards import (
    COX,
    FIRTH,
    fit_cox,
    fit_firth,
    fit_hazards,
    interaction_p,
    partial_likelihood,
    proportionality,
)
from immune_landscape.risk_sets import risk_sets


def made(seed, count=40, strata=1):
    """Return times with ties, events, a group, a number, and strata."""
    rng = np.random.default_rng(seed)
    group = (np.arange(count) % 2).astype(float)
    times = np.ceil(rng.exponential(8, count) * np.exp(-0.4 * group))
    return times, rng.random(count) < 0.7, group, rng.normal(0, 1, count), rng.integers(0, strata, count)


def plain_efron(beta, times, events, x, strata):
    """Write Efron's partial likelihood as its definition, patient by patient."""
    log, information = 0.0, np.zeros((x.shape[1], x.shape[1]))
    for stratum in np.unique(strata):
        own = strata == stratum
        t, d, z = times[own], events[own], x[own]
        risk = np.exp(z @ beta)
        for moment in np.unique(t[d]):
            tied, at_risk = (t == moment) & d, t >= moment
            for at in range(int(tied.sum())):
                weights = at_risk * risk - at / tied.sum() * tied * risk
                mean = weights @ z / weights.sum()
                spread = z - mean
                information += np.einsum("i,ij,ik->jk", weights / weights.sum(), spread, spread)
                log -= math.log(weights.sum())
            log += float((z[tied] @ beta).sum())
    return log, information


@pytest.mark.parametrize("seed", range(8))
def test_likelihood_and_information_are_those_of_the_definition(seed):
    times, events, group, number, strata = made(seed, strata=3)
    x = np.stack([group, number], axis=1)
    beta = np.array([0.7, -0.3])
    sets = risk_sets(times, events, x, strata)
    found = partial_likelihood(beta * sets.scale, sets)
    log, information = plain_efron(beta, times, events, x, strata)
    assert found.log == pytest.approx(log)
    np.testing.assert_allclose(found.information / np.outer(sets.scale, sets.scale) ** -1, information, rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_residuals_sum_to_zero_at_the_maximum(seed):
    times, events, group, number, strata = made(seed, strata=2)
    x = np.stack([group, number], axis=1)
    fit = fit_cox(times, events, x, 0.95, strata)
    sets = risk_sets(times, events, x, strata)
    np.testing.assert_allclose(
        partial_likelihood(fit.coefficients * sets.scale, sets).residuals.sum(axis=0), 0, atol=1e-4
    )
    assert fit.method == COX


@pytest.mark.parametrize("seed", range(4))
def test_firth_maximises_the_penalised_likelihood(seed):
    times, events, group, _, strata = made(seed, 24, strata=2)
    x = group[:, None]

    def fall(beta):
        log, information = plain_efron(np.array([beta]), times, events, x, strata)
        return -(log + 0.5 * math.log(np.linalg.det(information)))

    best = optimize.minimize_scalar(fall, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9})
    fit = fit_firth(times, events, group, 0.9, strata)
    assert fit.coefficients[0] == pytest.approx(best.x, abs=1e-4)
    # Both ends of the profile interval lie as far below the maximum as chi-square says.
    for bound in (fit.low[0], fit.high[0]):
        assert 2 * (fall(bound) - best.fun) == pytest.approx(stats.chi2.ppf(0.9, 1), abs=1e-3)
    assert fit.p[0] == pytest.approx(stats.chi2.sf(2 * (fall(0.0) - best.fun), 1), abs=1e-4)


def test_firth_of_three_patients_is_the_root_of_its_score():
    """Times 1, 2, 3, all events, covariate 1, 1, 0: two events with a choice, p1 = 2r/(2r+1) and p2 = r/(r+1)."""
    fit = fit_firth([1, 2, 3], [1, 1, 1], [1, 1, 0], 0.95)

    def penalised(beta):
        ratio = math.exp(beta)
        one, two = 2 * ratio / (2 * ratio + 1), ratio / (ratio + 1)
        information = one * (1 - one) + two * (1 - two)
        return math.log(ratio / (2 * ratio + 1)) + math.log(two) + 0.5 * math.log(information)

    best = optimize.minimize_scalar(lambda beta: -penalised(beta), bounds=(-5, 8), method="bounded")
    assert fit.coefficients[0] == pytest.approx(best.x, abs=1e-4)
    assert fit.coefficients[0] < 2


def test_several_coefficients_have_profile_intervals_around_them():
    times, events, group, number, _ = made(3, 30)
    fit = fit_firth(times, events, np.stack([group, 100 * number], axis=1), 0.95)
    alone = fit_firth(times, events, np.stack([group, number], axis=1), 0.95)
    np.testing.assert_allclose(fit.coefficients * [1, 100], alone.coefficients, atol=1e-4)
    np.testing.assert_allclose(fit.low * [1, 100], alone.low, atol=1e-3)
    assert (fit.low < fit.coefficients).all()
    assert (fit.high > fit.coefficients).all()


def test_events_in_one_group_alone_give_a_finite_ratio_and_one_open_bound_at_most():
    times, events = np.arange(1.0, 21), np.arange(20) % 2 == 0
    group = events.astype(float)
    fit = fit_hazards(times, events, group, 0.95, 1.0)
    assert fit.method == FIRTH
    assert np.isfinite(fit.coefficients[0])
    assert fit.low[0] > 0


@pytest.mark.parametrize(("threshold", "method"), [(10, COX), (60, FIRTH)])
def test_few_events_per_coefficient_are_penalised(threshold, method):
    times, events, group, *_ = made(1, 60)
    assert fit_hazards(times, events, group, 0.95, threshold).method == method


def test_without_an_event_that_tells_groups_apart_nothing_is_told():
    fit = fit_firth([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0], [0, 0, 1, 1], 0.95, ["a", "a", "b", "b"])
    assert np.isnan(fit.coefficients).all()
    assert math.isnan(proportionality(np.array([1.0, 2.0]), np.array([True, False]), np.array([0.0, 1.0])))


def test_crossing_hazards_are_noticed_and_constant_ones_are_not():
    rng = np.random.default_rng(0)
    group = (np.arange(400) % 2).astype(float)
    everyone = np.ones(400, dtype=bool)
    constant = rng.exponential(10, 400) * np.exp(-0.5 * group)
    crossing = np.where(group == 1, rng.weibull(3, 400), rng.weibull(0.7, 400)) * 10
    assert proportionality(crossing, everyone, group) < 1e-6
    assert proportionality(constant, everyone, group) > 0.01


def test_an_interaction_is_found_where_it_is_and_needs_both_groups():
    rng = np.random.default_rng(2)
    group, levels = np.arange(200) % 2 == 0, np.where(np.arange(200) // 2 % 2 == 0, "x", "y")
    ratio = np.where(levels == "x", 4.0, 0.25)
    times = rng.exponential(10, 200) / np.where(group, ratio, 1.0)
    everyone = np.ones(200, dtype=bool)
    assert interaction_p(times, everyone, group, levels, 10) < 1e-6
    assert interaction_p(rng.exponential(10, 200), everyone, group, levels, 10) > 0.01
    assert math.isnan(interaction_p(times, everyone, group, np.where(group, "x", "y"), 10))
    few = np.arange(200) % 9 == 0
    assert interaction_p(times, few, group, levels, 50) > 0
    assert interaction_p(times, few, group, levels, 50) < 0.2


def split(seed, times, events):
    """Cut each follow-up at a random time; return starts, ends, events and the patient of each row."""
    cut = np.random.default_rng(seed).uniform(0, 1, len(times)) * times
    starts, ends = np.r_[np.zeros(len(times)), cut], np.r_[cut, times]
    return starts, ends, np.r_[np.zeros(len(times), dtype=bool), events], np.tile(np.arange(len(times)), 2)


@pytest.mark.parametrize("fit", [fit_cox, fit_firth])
def test_a_follow_up_in_two_parts_is_one(fit):
    times, events, group, number, strata = made(4, strata=2)
    x = np.stack([group, number], axis=1)
    starts, ends, ended, patient = split(1, times, events)
    whole = fit(times, events, x, 0.95, strata)
    parts = fit(ends, ended, x[patient], 0.95, strata[patient], starts)
    np.testing.assert_allclose(parts.coefficients, whole.coefficients, rtol=1e-5)
    np.testing.assert_allclose(parts.errors, whole.errors, rtol=1e-5)
    np.testing.assert_allclose(parts.low, whole.low, rtol=1e-4, atol=1e-5)


def test_rows_with_starts_are_those_of_statsmodels_where_no_start_is_an_event():
    from statsmodels.duration.hazard_regression import PHReg

    times, events, group, number, _ = made(5)
    x = np.stack([group, number], axis=1)
    starts = np.random.default_rng(2).uniform(0, 0.7, len(times)) * times
    expected = PHReg(times, x, events.astype(int), entry=starts, ties="efron").fit(disp=0)
    found = fit_cox(times, events, x, 0.95, None, starts)
    np.testing.assert_allclose(found.coefficients, expected.params, rtol=1e-6)
    np.testing.assert_allclose(found.errors, expected.bse, rtol=1e-6)


def test_who_starts_at_an_event_is_not_at_risk_of_it():
    times, events = np.array([2.0, 5.0, 6.0, 7.0]), np.array([True, True, False, True])
    starts, x = np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0, 2.0])
    sets = risk_sets(times, events, x, None, starts)
    found = partial_likelihood(np.zeros(1), sets)
    # At 2 the first two alone, at 5 the last three, at 7 the last alone.
    assert found.log == pytest.approx(-math.log(2) - math.log(3))


def test_ratios_of_rows_in_two_parts_are_as_constant_as_of_one():
    times, events, _, number, strata = made(6, strata=2)
    starts, ends, ended, patient = split(3, times, events)
    whole = proportionality(times, events, number, strata)
    assert proportionality(ends, ended, number[patient], strata[patient], starts) == pytest.approx(whole, rel=1e-6)


def test_a_likelihood_without_a_maximum_says_so():
    times, events = np.arange(1.0, 9.0), np.ones(8, dtype=bool)
    found = fit_cox(times, events, -times, 0.95, None, np.zeros(8))
    assert found.p[0] > 0.5
    assert abs(found.coefficients[0]) > 5


@pytest.mark.parametrize("starts", [None, np.zeros(40)])
def test_events_without_a_choice_of_patients_are_no_error(starts):
    strata, last = np.arange(40) // 2, np.arange(40) % 2 == 1
    covariate = np.random.default_rng(1).normal(size=40)
    fit = fit_firth(1.0 + last, last, covariate, 0.95, strata, starts)
    assert np.isnan([fit.coefficients[0], fit.low[0], fit.high[0], fit.p[0]]).all()
    if starts is None:
        found = fit_hazards(1.0 + last, last, covariate, 0.95, 0, strata)
        assert found.method == FIRTH
        assert np.isnan(found.coefficients).all()
