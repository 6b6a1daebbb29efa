import figure_tables as made
import numpy as np
import pytest
from figure_checks import artists, check

from immune_landscape.display_text import format_effect
from immune_landscape.draw_contrasts import draw_contrasts, question_of


def draw(contrasts, study=made.STUDY, show_mde=True):
    return draw_contrasts(contrasts, study, show_mde=show_mde)


def rows_of(name="response_change"):
    table = made.contrasts_of()
    return table[table["contrast"] == name]


def test_one_figure_per_contrast():
    assert set(draw(made.contrasts_of())) == {item["name"] for item in made.STUDY["contrasts"]}


def test_every_row_is_printed_and_tested_rows_are_drawn():
    rows = rows_of()
    figure = draw(rows)["response_change"]
    words = check(figure)
    tested = rows[rows["status"] == "tested"]
    assert len(artists(figure, "effect")) == len(tested)
    assert len(artists(figure, "mde")) == len(tested)
    for row in tested.to_dict("records"):
        assert format_effect(row) in words
    assert "6 / 13" in words
    assert "27,132 labelings" in words
    assert "fewer than 20 cells in 30 of 38 samples" in words


def test_open_intervals_end_in_arrows():
    # One row is open at both ends, one reaches far beyond the others at one end.
    assert len(artists(draw(rows_of())["response_change"], "arrow")) == 3


def test_band_can_be_left_out():
    assert not artists(draw(rows_of(), show_mde=False)["response_change"], "mde")


def test_all_too_sparse_draws_no_effect_but_lists_the_rows():
    rows = rows_of().assign(
        status="too_sparse", effect=np.nan, ci_low=np.nan, ci_high=np.nan, mde=np.nan, p=np.nan, p_maxt=np.nan
    )
    figure = draw(rows)["response_change"]
    words = check(figure)
    assert not artists(figure, "effect")
    assert f"0 of {len(rows)} rows tested" in words
    assert words.count("too sparse") >= len(rows)


def test_a_single_row_fits():
    check(draw(rows_of().head(1))["response_change"])


def test_one_group_has_one_n():
    words = check(draw(rows_of("all_change"))["all_change"])
    assert "19 /" not in words
    assert "rises" in words


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("response_change", "change from Baseline to On treatment: Responders against Non-responders"),
        ("at_baseline", "Responders against Non-responders at Baseline"),
        ("all_change", "On treatment against Baseline in all patients"),
    ],
)
def test_questions_name_groups_and_visits(name, text):
    assert question_of(rows_of(name), made.STUDY) == text


def test_no_contrast_gives_no_figure():
    assert draw(made.contrasts_of().head(0)) == {}


def test_no_figure_claims_the_absence_of_a_difference():
    words = check(draw(rows_of())["response_change"])
    assert "does not show that there is no difference" in words
    assert "significant" not in words.replace("not significant", "")
