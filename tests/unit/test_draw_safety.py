import pytest
from clinical_tables import STUDY, escalation, trial
from figure_checks import artists, check

from immune_landscape.draw_safety import draw_safety


def drawn(table=None, by="arm", relation="any", most=30):
    return draw_safety(trial()["safety"] if table is None else table, STUDY, 0.95, by=by, relation=relation, most=most)


def test_each_arm_has_a_panel_and_each_term_a_bar_in_parts():
    figure = drawn()
    words = check(figure)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["TAS-102, n = 20", "TAS-102 + RAK, n = 20"]
    table = trial()["safety"]
    rows = table[(table["by"] == "arm") & (table["relation"] == "any") & (table["grades"] != "any")]
    assert len(artists(figure, "grades")) == len(rows)
    widths = sum(bar.get_width() for bar in artists(figure, "grades"))
    assert widths == pytest.approx(100 * rows["share"].sum())
    for word in ("Any adverse event", "Fever", "Blood", "Grade 3-4"):
        assert word in words


def test_dose_levels_and_the_published_numbers():
    figure = drawn(escalation()["safety"], by="dose_level")
    words = check(figure)
    for word in ("Dose level 1, n = 4", "Dose level 8, n = 7", "2 [7–93]", "0 [0–41]"):
        assert word in words


def test_without_groups_all_patients_have_one_panel():
    figure = drawn(by="dose_level")
    check(figure)
    assert len(figure.axes) == 1


def test_terms_beyond_the_limit_are_counted():
    words = check(drawn(most=4))
    assert "further terms in the table" in words
    assert "Infusion reaction" not in words


def test_related_events_say_so():
    assert "not excluded" in check(drawn(relation="related"))


def test_an_empty_table_says_so():
    assert "No adverse event" in check(drawn(trial()["safety"].head(0)))
