import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from immune_landscape.compare_outcomes import compare_outcomes, responses_by
from immune_landscape.errors import DesignError
from immune_landscape.hazards import COX, FIRTH, fit_cox, fit_firth
from immune_landscape.survival import log_rank, restricted_mean

STUDY = {
    "time_unit": "months",
    "responders": {"positive": ["CR", "PR"], "negative": ["SD", "PD"]},
    "extra_columns": {},
    "randomisation": {"ratio": {"new": 1, "old": 1}, "control": "old", "strata": ["cps"], "subgroups": ["sex"]},
}
SETTINGS = {"level": 0.95, "firth_below": 10, "window": None, "by": [], "landmark": None}


def outcomes(count=80, seed=1):
    rng = np.random.default_rng(seed)
    arm = np.array(["new", "old"])[np.arange(count) % 2]
    times = np.where(arm == "new", 1.6, 1.0) * rng.exponential(8, count)
    return pd.DataFrame(
        {
            "patient": [f"P{at:02d}" for at in range(count)],
            "arm": arm,
            "cps": np.array(["high", "low"])[np.arange(count) // 2 % 2],
            "sex": rng.choice(["female", "male"], count),
            "best_response": rng.choice(["PR", "SD", "PD"], count),
            "pfs_time": np.minimum(times, 12).round(2),
            "pfs_event": (times <= 12).astype(int),
            "os_time": np.minimum(2 * times, 24).round(2),
            "os_event": (2 * times <= 24).astype(int),
        }
    ).assign(response=lambda table: np.where(table["best_response"] == "PR", "responder", "non_responder"))


def compared(table=None, points=None, study=STUDY, **changed):
    return compare_outcomes(outcomes() if table is None else table, points, study, **SETTINGS | changed)


def row(tables, endpoint, measure, **wanted):
    found = tables["comparisons"]
    for column, value in {"endpoint": endpoint, "measure": measure, **wanted}.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def parts(table, endpoint):
    return tuple(table[f"{endpoint}_{part}"].to_numpy() for part in ("time", "event"))


def test_arms_are_compared_with_and_without_strata():
    table = outcomes()
    times, events = parts(table, "pfs")
    is_new, found = (table["arm"] == "new").to_numpy(), compared(table)
    for strata in ("", "cps"):
        within = table["cps"].to_numpy() if strata else None
        fit = fit_cox(times, events == 1, is_new, 0.95, within)
        ratio = row(found, "pfs", "hazard_ratio", strata=strata)
        assert ratio["method"] == COX
        assert ratio["estimate"] == pytest.approx(np.exp(fit.coefficients[0]))
        assert (ratio["low"], ratio["high"]) == pytest.approx((np.exp(fit.low[0]), np.exp(fit.high[0])))
        test = row(found, "pfs", "log_rank", strata=strata)
        assert (test["estimate"], test["p"]) == pytest.approx(log_rank(times, events == 1, is_new, within))
    assert (ratio["n_a"], ratio["n_b"]) == (40, 40)
    assert ratio["events_a"] + ratio["events_b"] == events.sum()
    assert (ratio["group_a"], ratio["group_b"]) == ("new", "old")


def test_restricted_means_differ_up_to_the_last_time_of_both():
    table = outcomes()
    times, events = parts(table, "os")
    is_new = (table["arm"] == "new").to_numpy()
    window = min(times[is_new].max(), times[~is_new].max())
    means = [restricted_mean(times[part], events[part] == 1, window) for part in (is_new, ~is_new)]
    found = row(compared(table), "os", "mean_difference")
    assert found["at"] == window
    assert found["estimate"] == pytest.approx(means[0].time - means[1].time)
    assert found["high"] - found["estimate"] == pytest.approx(1.959964 * math.hypot(means[0].error, means[1].error))
    assert row(compared(table, window=6), "os", "mean_difference")["at"] == 6


def test_without_an_event_in_a_group_restricted_means_have_no_interval():
    table = outcomes(20)
    table.loc[table["arm"] == "new", "os_event"] = 0
    found = row(compared(table), "os", "mean_difference")
    assert found["estimate"] > 0
    assert found[["low", "high", "p"]].isna().all()
    assert "no event" in found["note"]


def test_rates_of_arms_differ_in_every_population():
    table = outcomes()
    table.loc[:3, "best_response"] = "NE"
    found = compared(table)
    for population, n in (("evaluable", 38), ("intention_to_treat", 40)):
        rate = row(found, "orr", "rate_difference", population=population)
        assert (rate["n_a"], rate["n_b"]) == (n, n)
        expected = fisher_exact([[rate["events_a"], n - rate["events_a"]], [rate["events_b"], n - rate["events_b"]]])
        assert rate["p"] == pytest.approx(expected.pvalue)
        assert rate["low"] < rate["estimate"]
        assert rate["high"] > rate["estimate"]


def test_few_events_are_penalised_and_their_proportionality_is_not_tested():
    table = outcomes(20)
    table["os_event"] = (np.arange(20) % 5 == 0).astype(int)
    found = row(compared(table), "os", "hazard_ratio", strata="")
    times, events = parts(table, "os")
    fit = fit_firth(times, events == 1, (table["arm"] == "new").to_numpy(), 0.95)
    assert found["method"] == FIRTH
    assert found["estimate"] == pytest.approx(np.exp(fit.coefficients[0]))
    assert math.isnan(row(compared(table), "os", "proportionality", strata="")["p"])


def test_subgroups_have_their_own_ratio_and_one_p_of_interaction_each():
    table = outcomes()
    found = compared(table)["subgroups"]
    own = found[found["endpoint"] == "pfs"]
    assert own["value"].tolist() == ["", "high", "low", "female", "male"]
    high = table[table["cps"] == "high"]
    times, events = parts(high, "pfs")
    fit = fit_cox(times, events == 1, (high["arm"] == "new").to_numpy(), 0.95)
    assert own.iloc[1]["estimate"] == pytest.approx(np.exp(fit.coefficients[0]))
    assert own.iloc[1]["n_a"] + own.iloc[2]["n_a"] == 40
    for _, part in own.iloc[1:].groupby("subgroup"):
        assert len(set(part["p_interaction"])) == 1
        assert part["p_interaction"].notna().all()


def test_a_column_of_many_values_makes_no_subgroups():
    table = outcomes().assign(sex=[f"s{at}" for at in range(80)])
    found = compared(table)["subgroups"]
    assert "more than 6 values" in set(found["note"])


@pytest.mark.parametrize("column", ["response", "best_response", "dlt"])
def test_times_by_what_came_later_are_refused_without_a_landmark(column):
    with pytest.raises(DesignError, match="landmark"):
        compared(by=[column])


def test_second_sources_of_a_response_are_refused_as_well():
    study = STUDY | {"extra_columns": {"patients": {"reader": {"same_as": "best_response"}}}}
    with pytest.raises(DesignError, match="reader"):
        compared(outcomes().assign(reader="PR"), study=study, by=["reader"])


def test_a_landmark_leaves_out_who_had_the_event_before_and_counts_from_there():
    table = outcomes()
    found = compared(table, by=["response"], landmark=4.0)
    ratio = row(found, "pfs", "hazard_ratio", by="response")
    left = table[table["pfs_time"] > 4]
    times, events = parts(left, "pfs")
    fit = fit_cox(times - 4, events == 1, (left["response"] == "responder").to_numpy(), 0.95)
    assert ratio["estimate"] == pytest.approx(np.exp(fit.coefficients[0]))
    assert (ratio["landmark"], ratio["n_a"] + ratio["n_b"]) == (4.0, len(left))
    assert "after the landmark" in ratio["note"]


def test_with_assessments_the_response_is_the_one_known_at_the_landmark():
    table = outcomes(8).assign(pfs_time=range(6, 14), pfs_event=1)
    days = [
        (f"P{at:02d}", day, response)
        for at in range(8)
        for day, response in ((60, "SD"), (120, "PR" if at < 5 else "SD"))
    ]
    points = pd.DataFrame(days, columns=["patient", "day", "response"])
    early, late = (compared(table, points, by=["response"], landmark=mark) for mark in (3.0, 5.0))
    assert not (early["comparisons"]["by"] == "response").any()
    ratio = row(late, "pfs", "log_rank", by="response")
    assert (ratio["n_a"], ratio["n_b"]) == (5, 3)
    assert "up to the landmark" in ratio["note"]
    assert responses_by(points, 91) == dict.fromkeys(table["patient"], "SD")


def test_a_column_known_at_baseline_needs_no_landmark_and_no_arms():
    study = STUDY | {"randomisation": {"ratio": {}, "control": "", "strata": [], "subgroups": []}}
    found = compared(study=study, by=["sex"])
    assert set(found["comparisons"]["by"]) == {"sex"}
    assert found["comparisons"]["landmark"].isna().all()
    assert found["subgroups"].empty


def test_a_group_of_one_is_told_and_not_compared():
    table = outcomes(9)
    table["arm"] = ["new", *["old"] * 8]
    found = row(compared(table), "pfs", "hazard_ratio")
    assert math.isnan(found["estimate"])
    assert "fewer than 2" in found["note"]
