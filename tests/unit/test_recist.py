import itertools
import math

import numpy as np
import pandas as pd
import pytest
from recist_tables import OTHERS, TABLE_1, TARGETS

from immune_landscape.recist import (
    Rule,
    best_response,
    overall_response,
    patient_responses,
    target_response,
    time_points,
)

RULE = Rule(confirmation=False, min_interval_days=28, min_stable_days=42)
CONFIRMED = RULE._replace(confirmation=True)


def test_the_table_holds_all_combinations():
    assert set(TABLE_1) == set(itertools.product(TARGETS, OTHERS))


@pytest.mark.parametrize(("target", "other"), list(itertools.product(TARGETS, OTHERS)))
def test_every_combination_of_target_non_target_and_new_lesion(target, other):
    assert overall_response(target, other, False) == TABLE_1[target, other]
    assert overall_response(target, other, True) == "PD"


@pytest.mark.parametrize(
    ("total", "baseline", "nadir", "expected"),
    [
        (70, 100, 100, "PR"),  # 30 % below baseline, to the millimetre
        (70.1, 100, 100, "SD"),
        (35, 50, 50, "PR"),  # 0.7 * 50 is not 35 in binary
        (120, 100, 100, "PD"),
        (119.9, 100, 100, "SD"),
        (12, 100, 10, "PR"),  # 20 % over nadir, but 2 mm alone
        (14.9, 100, 10, "PR"),
        (15, 100, 10, "PD"),  # 50 % and 5 mm
        (24, 30, 20, "SD"),  # 20 % but 4 mm, and 20 % below baseline
        (25, 30, 20, "PD"),
        (55, 100, 50, "PR"),  # 5 mm but 10 %
        (60, 100, 50, "PD"),  # a growth over nadir outweighs being far below baseline
        (0, 100, 40, "CR"),
        (math.nan, 100, 40, "NE"),
        (math.nan, math.nan, math.nan, "none"),
    ],
)
def test_progression_needs_a_fifth_and_five_millimetres_over_nadir(total, baseline, nadir, expected):
    assert target_response(total, baseline, nadir, only_small_nodes=False) == expected


def test_small_nodes_alone_are_a_complete_response_whatever_their_sum():
    assert target_response(14, 60, 14, only_small_nodes=True) == "CR"
    assert target_response(math.nan, 60, 14, only_small_nodes=True) == "NE"


def sheet(*rows, **columns):
    frame = pd.DataFrame(rows, columns=["patient", "day", "target_sum", "non_target", "new_lesion"])
    return frame.assign(**columns)


def test_nadir_counts_baseline_and_all_assessments_before():
    points = time_points(
        sheet(
            ("A", 56, 60, "", "no"),
            ("A", -3, 100, "none", "no"),
            ("A", -20, 80, "none", "no"),
            ("A", 112, 50, "", "no"),
            ("A", 168, np.nan, "", "no"),
            ("A", 224, 59, "", "no"),
            ("A", 280, 60, "", "no"),
        )
    )
    assert points["day"].tolist() == [-3, 56, 112, 168, 224, 280]
    assert points["response"].tolist() == ["", "PR", "PR", "NE", "PR", "PD"]
    assert points["nadir"].tolist()[1:] == [100, 60, 50, 50, 50]
    assert points["change"].tolist()[-1] == -40
    assert points["change_from_nadir"].tolist()[-1] == 20


def test_what_is_missing_is_not_evaluated_and_what_was_never_there_is_none():
    points = time_points(
        sheet(
            ("A", 0, 40, "non_CR_non_PD", "no"),
            ("A", 56, 0, "", "no"),
            ("B", 0, 40, "", "no"),
            ("B", 56, 0, "", "no"),
            ("C", 0, np.nan, "non_CR_non_PD", "no"),
            ("C", 56, np.nan, "CR", "no"),
        )
    )
    later = points[points["response"] != ""].set_index("patient")
    assert later["non_target"].to_dict() == {"A": "NE", "B": "none", "C": "CR"}
    assert later["response"].to_dict() == {"A": "PR", "B": "CR", "C": "CR"}
    assert later.loc["C", "target"] == "none"


def test_an_assessment_that_could_not_be_made_is_not_evaluable_but_for_new_lesions():
    rows = (("A", 0, 40, "none", "no"), ("A", 50, np.nan, "none", "no"), ("A", 90, np.nan, "none", "yes"))
    points = time_points(sheet(*rows, assessable=["yes", "no", "no"]))
    assert points["response"].tolist() == ["", "NE", "PD"]


# Eisenhauer et al. 2009, table 3: best response when confirmation is needed; days 56 and 112.
TABLE_3 = {
    ("CR", "CR"): "CR",
    ("CR", "PR"): "PR",
    ("CR", "SD"): "SD",
    ("CR", "PD"): "SD",
    ("CR", "NE"): "SD",
    ("PR", "CR"): "PR",
    ("PR", "PR"): "PR",
    ("PR", "SD"): "SD",
    ("PR", "PD"): "SD",
    ("PR", "NE"): "SD",
    ("NE", "NE"): "NE",
    ("SD", "SD"): "SD",
    ("PD", "PD"): "PD",
}


@pytest.mark.parametrize(("pair", "expected"), TABLE_3.items())
def test_confirmed_best_responses(pair, expected):
    assert best_response([56, 112], pair, CONFIRMED)[0] == expected


@pytest.mark.parametrize(
    ("pair", "expected"), [(("CR", "PD"), "PD"), (("PR", "PD"), "PD"), (("CR", "NE"), "NE"), (("SD", "PD"), "PD")]
)
def test_what_is_not_confirmed_nor_stable_long_enough_falls_to_the_last_column(pair, expected):
    assert best_response([30, 41], pair, CONFIRMED._replace(min_interval_days=28))[0] == expected


@pytest.mark.parametrize(
    ("days", "responses", "plain", "confirmed"),
    [
        ([30, 50], ["PR", "PR"], "PR", "SD"),  # twenty days are too few
        ([30, 58], ["PR", "PR"], "PR", "PR"),
        ([30, 40, 58], ["PR", "NE", "PR"], "PR", "PR"),
        ([30, 45, 60, 90], ["PR", "SD", "PR", "PR"], "PR", "PR"),
        ([30, 45, 60], ["PR", "SD", "PR"], "PR", "SD"),
        ([56, 112], ["PD", "CR"], "PD", "PD"),  # nothing after progression counts
        ([20], ["SD"], "NE", "NE"),
        ([], [], "NE", "NE"),
        ([56], ["non_CR_non_PD"], "SD", "SD"),
    ],
)
def test_best_responses_by_rule(days, responses, plain, confirmed):
    assert best_response(days, responses, RULE)[0] == plain
    assert best_response(days, responses, CONFIRMED)[0] == confirmed


def test_notes_say_what_a_response_lacks():
    assert best_response([56, 84], ["CR", "SD"], CONFIRMED)[1].startswith("CR not confirmed")
    assert "42 days" in best_response([20], ["SD"], RULE)[1]
    assert "non-CR" in best_response([56], ["non_CR_non_PD"], RULE)[1]


def test_given_responses_win_unless_told_otherwise_and_conflicts_are_named():
    points = time_points(sheet(("A", 0, 40, "none", "no"), ("A", 60, 20, "none", "no"), ("A", 120, 40, "none", "no")))
    given = {"A": "SD", "B": "PR", "C": ""}
    table = patient_responses(points, given, RULE, derived_wins=False).set_index("patient")
    assert table["used"].to_dict() == {"A": "SD", "B": "PR", "C": ""}
    assert table.loc["A", "derived"] == "PR"
    assert table.loc["A", "note"] == "given SD, derived PR"
    assert table.loc["A", ["assessments", "best_change", "first_progression_day"]].tolist() == [2, -50, 120]
    later = time_points(sheet(("A", 0, 40, "none", "no"), ("A", 60, 60, "none", "no"), ("A", 120, 10, "none", "no")))
    # What shrinks after a progression is another treatment's.
    assert patient_responses(later, {"A": ""}, RULE, derived_wins=False)["best_change"].tolist() == [50]
    other = patient_responses(points, given, RULE, derived_wins=True).set_index("patient")
    assert other["used"].to_dict() == {"A": "PR", "B": "PR", "C": ""}
