import numpy as np
import pandas as pd
import pytest

from immune_landscape.compare_outcomes import Rules, hazard_ratio
from immune_landscape.hazards import COX, FIRTH, fit_cox
from immune_landscape.outcome_links import Covariates, Followed, Limits, link_marker, link_sides, value_rows

LIMITS = Limits(Rules(0.95, 10, None), 10, 5)


def made(n=60, seed=1):
    rng = np.random.default_rng(seed)
    names = np.array([f"p{at}" for at in range(n)])
    marker = rng.normal(10, 4, n)
    times = rng.exponential(np.exp(-0.2 * (marker - 10)))
    followed = Followed(names, times, rng.random(n) < 0.8, None, None)
    outcomes = pd.DataFrame({"patient": names, "age": rng.normal(60, 9, n), "site": rng.choice(["a", "b", "c"], n)})
    return marker, followed, outcomes


def covariates(outcomes, *names):
    return Covariates(names, outcomes)


def test_the_ratio_is_that_of_a_cox_model_of_the_standardised_marker():
    marker, followed, outcomes = made()
    row = link_marker(marker, followed, covariates(outcomes), LIMITS)
    fit = fit_cox(followed.times, followed.events, marker, 0.95)
    spread = marker.std(ddof=1)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * spread), rel=1e-6)
    assert row["high"] == pytest.approx(np.exp(fit.high[0] * spread), rel=1e-6)
    assert (row["n"], row["events"], row["method"]) == (60, int(followed.events.sum()), COX)
    assert row["sd"] == pytest.approx(spread)
    assert row["p_proportional"] > 0


def test_few_events_are_penalised_and_fewer_not_estimated():
    marker, followed, outcomes = made(n=9)
    assert link_marker(marker, followed, covariates(outcomes), LIMITS)["method"] == FIRTH
    row = link_marker(marker, followed, covariates(outcomes), LIMITS._replace(min_events=20))
    assert row["note"] == "fewer than 20 events"
    assert "hazard_ratio" not in row


def test_covariates_that_the_events_do_not_allow_are_dropped_and_named():
    marker, followed, outcomes = made()
    events = int(followed.events.sum())
    assert events // 10 - 1 >= 3
    asked = covariates(outcomes, "site", "age")
    free = link_marker(marker, followed, asked, LIMITS)
    assert (free["covariates"], free["note"]) == ("site, age", "")
    tight = LIMITS._replace(events_per_coefficient=events / 2.5)
    row = link_marker(marker, followed, asked, tight)
    assert row["covariates"] == "age"
    assert row["note"] == f"one coefficient per {events / 2.5:g} events leaves no room for site"
    none = link_marker(marker, followed, asked, LIMITS._replace(events_per_coefficient=events))
    assert none["covariates"] == ""
    assert none["note"].endswith("no room for site, age")


def test_patients_without_a_covariate_are_counted():
    marker, followed, outcomes = made()
    outcomes.loc[:3, "age"] = np.nan
    row = link_marker(marker, followed, covariates(outcomes, "age"), LIMITS)
    assert (row["n"], row["no_covariate"]) == (56, 4)
    table = np.column_stack([marker, (outcomes["age"] - outcomes["age"].mean())])[4:]
    fit = fit_cox(followed.times[4:], followed.events[4:], table, 0.95)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * row["sd"]), rel=1e-5)


def test_a_marker_that_parts_events_perfectly_has_a_finite_ratio():
    n = 30
    followed = Followed(np.arange(n).astype(str), np.arange(1.0, n + 1), np.ones(n, dtype=bool), None, None)
    row = link_marker(-np.arange(1.0, n + 1), followed, covariates(pd.DataFrame()), LIMITS)
    assert row["method"] == FIRTH
    assert np.isfinite(row["hazard_ratio"])
    assert row["p"] < 1e-6


def test_equal_markers_tell_nothing():
    _, followed, outcomes = made()
    row = link_marker(np.full(60, 3.0), followed, covariates(outcomes), LIMITS)
    assert row["note"] == "no difference between patients"


def test_sides_are_compared_by_ratio_and_restricted_means():
    marker, followed, outcomes = made()
    above = marker > np.median(marker)
    row = link_sides(above, followed, covariates(outcomes), LIMITS, "months")
    expected = hazard_ratio(followed.times, followed.events, above, LIMITS.rules)
    assert row["hazard_ratio"] == pytest.approx(expected["estimate"], rel=1e-6)
    assert row["mean_difference"] < 0 < row["window"]
    few = link_sides(np.arange(60) < 2, followed, covariates(outcomes), LIMITS, "months")
    assert few["note"] == "fewer than 3 patients on a side of the cut-point"


def test_values_hold_until_the_next_sample():
    samples = pd.DataFrame(
        {
            "patient": ["a", "a", "a", "b", "c", "d"],
            "day": [-3.0, 60.0, 200.0, 30.0, 90.0, 0.0],
            "value": [1.0, 2.0, 3.0, 5.0, 7.0, 9.0],
        }
    )
    ends = {"a": (100.0, True), "b": (50.0, False), "c": (80.0, True), "e": (9.0, True)}
    rows, unused = value_rows(samples, ends, 1.0)
    expected = [("a", 0.0, 60.0, False, 1.0), ("a", 60.0, 100.0, True, 2.0), ("b", 30.0, 50.0, False, 5.0)]
    assert list(rows.itertuples(index=False, name=None)) == expected
    assert unused == {"c", "e"}


def test_days_are_counted_in_the_unit_of_the_times():
    samples = pd.DataFrame({"patient": ["a", "a"], "day": [0.0, 14.0], "value": [1.0, 2.0]})
    rows, _ = value_rows(samples, {"a": (4.0, True)}, 7.0)
    assert rows["start"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("spare", ["site", "height"])
def test_covariates_that_do_not_differ_within_strata_change_nothing(spare):
    marker, followed, outcomes = made()
    within = followed._replace(strata=outcomes["site"].to_numpy())
    asked = covariates(outcomes.assign(height=170.0), spare)
    row, plain = (link_marker(marker, within, each, LIMITS) for each in (asked, covariates(outcomes)))
    for name in ("hazard_ratio", "low", "high", "p"):
        assert row[name] == pytest.approx(plain[name])
    assert row["covariates"] == spare


def test_a_marker_that_does_not_differ_within_strata_has_no_ratio():
    _, followed, outcomes = made()
    codes = outcomes["site"].map({"a": 0.0, "b": 1.0, "c": 2.0}).to_numpy()
    row = link_marker(codes, followed._replace(strata=codes), covariates(outcomes), LIMITS)
    assert row["note"] == "no difference between patients of a stratum"
    assert "hazard_ratio" not in row


@pytest.mark.parametrize("starts", [None, np.zeros(40)])
def test_without_a_choice_of_patients_at_an_event_the_ratio_is_missing_not_infinite(starts):
    n = 40
    strata, last = np.arange(n) // 2, np.arange(n) % 2 == 1
    followed = Followed(np.arange(n).astype(str), 1.0 + last, last, starts, strata)
    marker = np.random.default_rng(1).normal(size=n)
    row = link_marker(marker, followed, covariates(pd.DataFrame()), LIMITS)
    assert np.isnan([row["hazard_ratio"], row["low"], row["high"], row["p"]]).all()
    assert row["note"] == "no event tells patients apart"


def test_a_median_that_is_the_largest_value_has_no_sides():
    _, followed, outcomes = made()
    row = link_sides(np.zeros(60, dtype=bool), followed, covariates(outcomes), LIMITS, "months")
    assert row["note"] == "fewer than 3 patients on a side of the cut-point"
