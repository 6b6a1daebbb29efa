import itertools

import numpy as np
import pytest

from immune_landscape.hazards import partial_likelihood
from immune_landscape.risk_sets import risk_sets
from immune_landscape.score_tests import permute_markers, risk_weights
from immune_landscape.survival import log_rank


def made(seed, n=30):
    rng = np.random.default_rng(seed)
    times = np.ceil(rng.exponential(8, n))
    return times, rng.random(n) < 0.7, rng.normal(0, 1, (n, 3)), rng.integers(0, 2, n)


def permuted(values, times, events, **changed):
    return permute_markers(values, times, events, 1, **({"max_exact": 999, "draws": 999} | changed))


@pytest.mark.parametrize("strata", [False, True])
def test_the_statistic_is_the_score_of_a_cox_model(strata):
    times, events, values, blocks = made(1)
    within = blocks if strata else None
    found = permuted(values, times, events, strata=within)
    for at, column in enumerate(values.T):
        sets = risk_sets(times, events, column, within)
        likelihood = partial_likelihood(np.zeros(1), sets)
        score, information = likelihood.residuals.sum(), likelihood.information[0, 0]
        assert found.statistic[at] == pytest.approx(score / np.sqrt(information))
        assert found.effect[at] == pytest.approx(score / information / sets.scale[0])


def test_of_two_groups_without_ties_it_is_the_log_rank_test():
    rng = np.random.default_rng(2)
    times, events, group = rng.exponential(8, 30), rng.random(30) < 0.8, np.arange(30) % 2
    found = permuted(group.astype(float), times, events)
    assert found.statistic[0] ** 2 == pytest.approx(log_rank(times, events, group)[0])


def test_few_patients_are_permuted_in_all_ways():
    times, events = np.array([1.0, 2, 3, 4, 5]), np.array([True, True, False, True, True])
    marker = np.array([0.1, 1.5, -0.4, 2.0, 0.3])
    found = permuted(marker, times, events)
    assert (found.exact[0], found.labelings[0]) == (True, 120)
    weights = risk_weights(times, events, np.zeros(5, dtype=int))

    def statistic(x):
        score = (x[events] - weights @ x).sum()
        return abs(score) / np.sqrt((weights @ x**2 - (weights @ x) ** 2).sum())

    every = [statistic(np.array(order)) for order in itertools.permutations(marker)]
    assert found.p[0] == pytest.approx(np.mean(np.array(every) >= statistic(marker) - 1e-9))


def test_patients_with_the_same_outcome_need_no_exchange():
    times, events = np.array([1.0, 1, 2, 2, 3]), np.array([True, True, False, False, True])
    assert permuted(np.arange(5.0), times, events).labelings[0] == 30


def test_markers_stay_within_strata():
    times, events = np.array([1.0, 2, 3, 4, 5, 6]), np.ones(6, dtype=bool)
    found = permuted(np.arange(6.0), times, events, strata=np.array([0, 0, 0, 1, 1, 1]))
    assert found.labelings[0] == 36


def test_a_marker_in_the_order_of_the_events_is_found_and_noise_is_not():
    times, events, values, _ = made(3)
    values[:, 0] = -times
    found = permuted(values, times, events)
    assert found.p[0] == 0.001
    assert found.p_maxt[0] == 0.001
    assert (found.p[1:] > 0.01).all()
    assert (found.p_maxt >= found.p).all()


def test_missing_values_leave_patients_out():
    times, events, values, _ = made(4)
    values[:5, 0] = np.nan
    alone = permuted(values[5:, :1], times[5:], events[5:])
    assert permuted(values, times, events).statistic[0] == pytest.approx(alone.statistic[0])


def test_without_a_choice_of_patients_there_is_no_test():
    found = permuted(np.arange(3.0), np.array([1.0, 2, 3]), np.array([False, False, True]))
    assert np.isnan(found.p[0])
