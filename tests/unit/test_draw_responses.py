import numpy as np
import pytest
from clinical_tables import STUDY, trial
from figure_checks import artists, check

from immune_landscape.draw_responses import draw_responses


def drawn(outcomes=None, points=True, limit=90):
    tables = trial()
    parts = (tables["timepoints"], tables["responses"]) if points else (None, None)
    return draw_responses(
        tables["outcomes"] if outcomes is None else outcomes, *parts, STUDY, label_patients_up_to=limit
    )


def test_the_waterfall_has_a_bar_for_each_patient_followed_the_best_last():
    figure = drawn()["waterfall"]
    words = check(figure)
    known = trial()["responses"]["best_change"].dropna()
    bars = artists(figure, "bar")
    assert len(bars) == len(known)
    heights = [bar.get_height() for bar in sorted(bars, key=lambda bar: bar.get_x())]
    np.testing.assert_allclose(heights, np.minimum(known.sort_values(ascending=False), 100))
    assert f"{len(known)} patients with target lesions" in words
    assert f"{40 - len(known)} of the cohort without" in words


def test_the_spider_has_a_line_for_each_patient_from_baseline():
    figure = drawn()["spider"]
    check(figure)
    points = trial()["timepoints"]
    lines = [line for line in figure.axes[0].lines if str(line.get_gid()).startswith("patient:")]
    assert len(lines) == points["patient"].nunique()
    assert all(line.get_ydata()[0] == 0 for line in lines)
    rings = sum(len(line.get_xdata()) for line in artists(figure, "progression"))
    assert rings == ((points["response"] == "PD") & points["change"].notna()).sum()


def test_the_swimmer_has_a_lane_for_each_patient_with_death_or_life_at_its_end():
    figure = drawn()["swimmer"]
    words = check(figure)
    outcomes = trial()["outcomes"]
    assert len(artists(figure, "lane")) == len(outcomes)
    assert len(artists(figure, "death")) == outcomes["os_event"].sum()
    assert len(artists(figure, "alive")) == (outcomes["os_event"] == 0).sum()
    for word in ("Progression", "Progressive disease", "Death", "Alive", "First response", "P01"):
        assert word in words


def test_no_response_is_marked_after_a_progression():
    points = trial()["timepoints"].copy()
    points.loc[points["day"] > 56, "response"] = "PR"
    points.loc[points["day"] == 56, "response"] = "PD"
    points.loc[points["patient"].isin(["P02", "P03"]) & (points["day"] == 56), "response"] = "CR"
    outcomes = trial()["outcomes"]
    figure = draw_responses(outcomes, points, None, STUDY, label_patients_up_to=90)["swimmer"]
    assert set(points.loc[points["response"] == "CR", "patient"]) == {"P02", "P03"}
    assert len(artists(figure, "response")) == 2


@pytest.mark.parametrize("limit", [0, 90])
def test_patients_are_named_up_to_a_number(limit):
    words = check(drawn(limit=limit)["swimmer"])
    assert ("P01" in words) == (limit > 0)


def test_without_assessments_or_times_figures_say_so():
    figures = drawn(points=False)
    assert "No patient has a sum" in check(figures["waterfall"])
    assert "No patient has a sum" in check(figures["spider"])
    assert len(artists(figures["swimmer"], "lane")) == 40
    bare = trial()["outcomes"][["patient", "best_response"]]
    assert "No patient has a time" in check(drawn(bare)["swimmer"])
