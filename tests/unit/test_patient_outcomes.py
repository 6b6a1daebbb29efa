import numpy as np
import pandas as pd
import pytest

from immune_landscape.patient_outcomes import (
    common_window,
    followed_population,
    groupings,
    ordered_values,
    populations,
    ratio_of,
    stratum_of,
    texts_of,
    time_marks,
    times_of,
)

RATIO = {"randomisation": {"ratio": {"a": 1, "b": 1}, "strata": ["cps"]}}


def patients(**columns):
    return pd.DataFrame({"patient": ["P1", "P2", "P3", "P4"]} | columns)


def test_words_are_empty_where_missing_and_whole_numbers_have_no_point():
    table = patients(dose_level=[1.0, 2.5, np.nan, 10.0], arm=["a", None, "", "b"])
    assert texts_of(table, "dose_level").tolist() == ["1", "2.5", "", "10"]
    assert texts_of(table, "arm").tolist() == ["a", "", "", "b"]
    assert texts_of(table, "nothing").tolist() == [""] * 4
    assert ordered_values(table, "dose_level") == ["1", "2.5", "10"]


def test_times_need_a_time_and_a_flag():
    found = times_of(patients(pfs_time=[1, 2, np.nan, 4], pfs_event=[1, np.nan, 1, 0]), "pfs")
    assert found.patients.tolist() == [0, 3]
    assert found.times.tolist() == [1, 4]
    assert found.events.tolist() == [True, False]
    assert len(times_of(patients(), "os").times) == 0


def test_who_is_evaluable_treated_and_meant_to_be_treated():
    best = ["PR", "NE", "SD", ""]
    inside = populations(patients(best_response=best, evaluable=["yes", "", "no", "yes"]), {})
    assert {name: members.tolist() for name, members in inside.items()} == {
        "evaluable": [True, False, False, False],
        "all_treated": [True] * 4,
    }
    assert followed_population({}, inside) == "all_treated"
    dealt = populations(patients(best_response=best, treated=["yes", "no", "", ""]), RATIO)
    assert dealt["all_treated"].tolist() == [True, False, True, True]
    assert dealt["intention_to_treat"].all()
    assert followed_population(RATIO, dealt) == "intention_to_treat"


def test_an_arm_beside_the_randomised_ones_is_no_part_of_what_was_dealt():
    study = {"randomisation": {"ratio": {"a": 1, "b": 1, "escalation": 0}}}
    inside = populations(patients(arm=["a", "b", "escalation", "a"], best_response=["PR"] * 4), study)
    assert inside["intention_to_treat"].tolist() == [True, True, False, True]
    assert inside["all_treated"].all()
    assert ratio_of(study) == {"a": 1, "b": 1}


def test_groups_are_told_where_there_are_several():
    table = patients(arm=["a", "a", "b", ""], dose_level=[1.0] * 4, cps=["x", "y", "x", "y"])
    found = [(by, group, int(members.sum())) for by, group, members in groupings(table, RATIO)]
    assert found == [("all", "all", 4), ("arm", "a", 2), ("arm", "b", 1), ("cps", "x", 2), ("cps", "y", 2)]


def test_strata_of_several_columns_are_crossed():
    table = patients(sex=["f", "m", "f", "m"], cps=["x", "x", "y", ""])
    assert stratum_of(table, ["sex", "cps"]).tolist() == ["f | x", "m | x", "f | y", "m | "]
    assert stratum_of(table, []) is None


@pytest.mark.parametrize(("times", "expected"), [([], [6, 12]), ([3], [3])])
def test_marks(times, expected):
    assert time_marks({"time_unit": "months"}, times) == expected


def test_the_common_window_ends_where_the_first_group_does():
    table = patients(os_time=[5, 9, 7, 3], os_event=[1, 0, 1, 1])
    groups = [times_of(table.iloc[:2], "os"), times_of(table.iloc[2:], "os")]
    assert common_window(groups) == 7
    assert np.isnan(common_window([times_of(patients(), "os")]))
