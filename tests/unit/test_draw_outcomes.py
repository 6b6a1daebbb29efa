import numpy as np
import pytest
from figure_checks import artists, check
from unit.test_link_outcomes import STUDY, linked, made

from immune_landscape.draw_outcomes import draw_outcomes

FACTS = STUDY | {"simulated": True, "title": "Made up", "labels": {}}


@pytest.fixture(scope="module")
def tables():
    table, design, outcomes = made()
    outcomes = outcomes.assign(os_time=outcomes["pfs_time"] + 1, os_event=outcomes["pfs_event"])
    return linked(table, design, outcomes, on_treatment=["landmark", "time_dependent"])


def drawn(tables, max_rows=36, curves=4):
    return draw_outcomes(tables, FACTS, 0.95, max_rows=max_rows, curves=curves)


@pytest.mark.parametrize("endpoint", ["pfs", "os"])
def test_a_row_for_each_link_with_its_patients(tables, endpoint):
    figure = drawn(tables)[endpoint]
    words = check(figure)
    links = tables["links"]
    own = links[(links["endpoint"] == endpoint) & (links["marker"] == "per_sd")]
    assert len(artists(figure, "ratio")) == len(own) == 6
    for row in own.to_dict("records"):
        assert f"{row['events']} / {row['n']}" in words
        assert f"{row['hazard_ratio']:.2f} [{row['low']:.2f} to {row['high']:.2f}]" in words
    for word in ("Value at Baseline", "Change up to Week 8", "time-dependent", "No cut-point was searched"):
        assert word in words.replace("\n", " ")


def test_who_left_before_the_landmark_is_told(tables):
    links = tables["links"]
    row = links[(links["analysis"] == "landmark") & (links["endpoint"] == "pfs")].iloc[0]
    words = check(drawn(tables)["pfs"])
    assert f"before: {row['events_before']} events, {row['censored_before']} censored" in words


def test_with_many_rows_those_of_the_smallest_p_are_drawn(tables):
    figure = drawn(tables, max_rows=2)["pfs"]
    assert len(artists(figure, "ratio")) == 2
    assert "The 2 of 6 rows with the smallest p." in check(figure).replace("\n", " ")


def test_rows_without_an_estimate_say_why(tables):
    links = tables["links"].copy()
    links.loc[0, ["hazard_ratio", "p_permutation", "p", "q"]] = np.nan
    links.loc[0, "note"] = "too sparse: fewer than 20 cells"
    figure = drawn(tables | {"links": links})["pfs"]
    assert "too sparse: fewer than 20 cells" in check(figure)
    assert len(artists(figure, "ratio")) == 5


def test_curves_of_the_strongest_have_numbers_at_risk(tables):
    figure = drawn(tables, curves=3)["sides"]
    words = check(figure).replace("\n", " ")
    assert len(artists(figure, "curve")) == 6
    assert artists(figure, "at_risk")
    assert "chosen after looking" in words
    links = tables["links"]
    single = links[(links["marker"] == "per_sd") & links["p_permutation"].notna()]
    best = single.sort_values("p_permutation").iloc[0]
    heights = artists(figure, "curve")[0].get_ydata()
    own = tables["curves"]
    own = own[(own[["endpoint", "feature", "analysis"]] == best[["endpoint", "feature", "analysis"]]).all(axis=1)]
    np.testing.assert_allclose(heights, 100 * own.loc[own["side"] == "above", "survival"])


def test_nothing_to_draw_is_told(tables):
    empty = {name: table.iloc[:0] for name, table in tables.items()}
    figures = drawn(empty)
    for name in ("pfs", "os", "sides"):
        assert "No " in check(figures[name])


def test_footers_tell_strata_and_covariates(tables):
    links = tables["links"].assign(strata="arm", covariates="age, sex")
    figures = drawn(tables | {"links": links})
    for name in ("pfs", "sides"):
        words = check(figures[name]).replace("\n", " ")
        assert "Within strata of arm. Adjusted for age, sex where the events allow it." in words
    assert "Adjusted" not in check(drawn(tables)["pfs"])
