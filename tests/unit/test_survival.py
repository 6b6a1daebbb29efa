import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight

from immune_landscape.survival import (
    count_at_risk,
    curve_table,
    kaplan_meier,
    log_rank,
    median_time,
    restricted_mean,
    survival_at,
)

# Freireich 1963, weeks of remission with 6-mercaptopurine (censored times negative here) and placebo.
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, -6, -9, -10, -11, -17, -19, -20, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def curve_of(signed):
    signed = np.array(signed, dtype=float)
    return kaplan_meier(np.abs(signed), signed > 0)


def test_published_curve_and_medians():
    curve = curve_of(TREATED)
    # Table of Kalbfleisch and Prentice 1980 for the treated group.
    np.testing.assert_allclose(curve.survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=0.0006)
    assert median_time(curve, 0.95).time == 23
    assert median_time(curve_of(PLACEBO), 0.95).time == 8


def test_interval_of_the_published_data():
    treated, placebo = median_time(curve_of(TREATED), 0.95), median_time(curve_of(PLACEBO), 0.95)
    assert (treated.low, treated.high) == (13, math.inf)
    assert (placebo.low, placebo.high) == (4, 11)


def numbers_of(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(8, 40))
    times = np.round(rng.exponential(8, count) + 0.05, 2)
    return times, rng.random(count) < rng.uniform(0.5, 1)


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_statsmodels(seed):
    times, events = numbers_of(seed)
    curve = kaplan_meier(times, events)
    with np.errstate(all="ignore"):
        other = SurvfuncRight(times, events.astype(int))
        low, high = other.quantile_ci(0.5, method="cloglog")
    at = np.searchsorted(other.surv_times, curve.times)
    np.testing.assert_allclose(curve.survival, other.surv_prob[at], atol=1e-12)
    left = curve.survival > 1e-9
    errors = curve.survival[left] * np.sqrt(curve.variance[left])
    np.testing.assert_allclose(errors, other.surv_prob_se[at][left], atol=1e-12)
    found = median_time(curve, 0.95)
    if not np.isclose(curve.survival, 0.5).any():
        expected = other.quantile(0.5)
        assert found.time == (math.inf if np.isnan(expected) else expected)
    if np.isfinite(found.low) and np.isfinite(found.high):
        assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("seed", range(20))
def test_interval_holds_the_times_that_the_test_does_not_reject(seed):
    times, events = numbers_of(seed)
    curve = kaplan_meier(times, events)
    found = median_time(curve, 0.9)
    for time, survival, variance in zip(*curve, strict=True):
        if 0 < survival < 1 and np.isfinite(variance):
            # Delta method: Var(log(-log S)) = Greenwood's sum / log(S)^2.
            distance = abs(np.log(-np.log(survival)) - np.log(np.log(2))) / (np.sqrt(variance) / abs(np.log(survival)))
            if distance < norm.ppf(0.95) - 1e-9 and np.isfinite(found.low):
                assert found.low <= time < found.high


def test_a_curve_that_stays_at_one_half_has_the_middle_as_its_median():
    assert median_time(curve_of([1, 2, 3, 4]), 0.95).time == 2.5
    assert median_time(curve_of([1, 2, 3]), 0.95).time == 2


def test_no_event_and_few_events():
    none = median_time(curve_of([-3, -5]), 0.95)
    assert none.time == math.inf
    assert math.isnan(none.low)
    assert none.high == math.inf
    few = median_time(curve_of([2, -3, -4, -5, -6, -7]), 0.95)
    assert few.time == math.inf
    assert few.high == math.inf


def test_a_wider_level_gives_a_wider_interval():
    curve = curve_of(PLACEBO)
    narrow, wide = median_time(curve, 0.8), median_time(curve, 0.99)
    assert wide.low <= narrow.low <= narrow.time <= narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low


def test_survival_at_a_time_is_that_of_the_curve_and_unknown_after_the_last():
    times, events = np.abs(np.array(TREATED, dtype=float)), np.array(TREATED) > 0
    ten = survival_at(times, events, 10, 0.95)
    # Kalbfleisch and Prentice 1980: 0.753 at ten weeks.
    assert ten.estimate == pytest.approx(0.7529, abs=5e-5)
    assert ten.low < ten.estimate
    assert ten.high > ten.estimate
    assert survival_at(times, events, 5, 0.95).estimate == 1
    assert math.isnan(survival_at(times, events, 36, 0.95).estimate)


def test_a_table_of_a_curve_counts_everybody_once():
    times, events = np.abs(np.array(TREATED, dtype=float)), np.array(TREATED) > 0
    table = curve_table(times, events, 0.95)
    assert table["time"].iloc[0] == 0
    assert table["events"].sum() + table["censored"].sum() == len(times)
    # Those who left before a time are those no longer at risk at it.
    gone = (table["events"] + table["censored"]).cumsum().shift(fill_value=0)
    assert (table["at_risk"] + gone == len(times)).all()
    assert (np.diff(table["survival"]) <= 0).all()
    assert count_at_risk(times, [0, 10, 35.5]).tolist() == [21, 15, 0]


@pytest.mark.parametrize("seed", range(10))
def test_a_restricted_mean_is_the_area_under_the_curve(seed):
    times, events = numbers_of(seed)
    window = float(np.quantile(times, 0.7))
    grid = np.linspace(0, window, 200_001)
    curve = kaplan_meier(times, events)
    heights = np.r_[1.0, curve.survival][np.searchsorted(curve.times, grid, side="right")]
    found = restricted_mean(times, events, window)
    assert found.time == pytest.approx(heights[:-1].mean() * window, abs=1e-3)


def test_a_restricted_mean_of_complete_times_is_their_mean_with_its_error():
    times = np.array(PLACEBO, dtype=float)
    found = restricted_mean(times, np.ones(21, dtype=bool), 40)
    assert found.time == pytest.approx(times.mean())
    # Greenwood's error of a mean without censoring is the standard deviation with n, not n - 1, over the root of n.
    assert found.error == pytest.approx(times.std() / math.sqrt(21))
    assert math.isnan(restricted_mean([3.0, 4.0], [True, False], 5).time)


def test_log_rank_of_the_published_data():
    times = np.abs(np.array([*TREATED, *PLACEBO], dtype=float))
    events = np.array([*TREATED, *PLACEBO]) > 0
    group = np.repeat(["a", "b"], 21)
    statistic, p = log_rank(times, events, group)
    # Freireich's data: chi-square 16.79 in many textbooks.
    assert statistic == pytest.approx(16.79, abs=0.005)
    assert p < 1e-4
    one, _ = log_rank(np.tile(times, 2), np.tile(events, 2), np.tile(group, 2), np.repeat([1, 2], 42))
    # Two strata with the same patients add up.
    assert one == pytest.approx(2 * statistic)
    assert math.isnan(log_rank(times, events, np.zeros(42))[0])
