import figure_tables as made
import numpy as np
import pytest
from figure_checks import check, words_of

from immune_landscape.display_text import format_effect
from immune_landscape.draw_expansion import draw_expansion


@pytest.fixture(scope="module")
def tables():
    metrics = made.expansion_of(made.design_of())
    return metrics, made.expansion_differences(metrics), made.contrasts_of(item="metric")


def draw(metrics, differences, contrasts, study=made.STUDY, shown=made.METRICS):
    return draw_expansion(metrics, differences, contrasts, study, shown_metrics=list(shown), columns=4)


def patients_of(axes):
    return [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]


def test_overview_has_one_line_per_patient_and_states_the_depth(tables):
    figure = draw(*tables)["overview"]
    words = check(figure)
    assert len(patients_of(figure.axes[0])) == 19
    assert "180 receptor cells" in words
    assert "Responders n = 6" in words


def test_contrasts_show_patients_with_both_visits_and_their_intervals(tables):
    figure = draw(*tables)["response_change"]
    words = check(figure)
    assert len(patients_of(figure.axes[0])) == 17
    assert "NR n = 11" in words
    spans = [segment for part in figure.axes[0].collections for segment in part.get_segments()]
    values = tables[1][(tables[1]["metric"] == "expanded_share") & (tables[1]["contrast"] == "response_change")]
    expected = sorted([*values["before"] * 0.93, *values["after"] * 0.93])
    assert sorted(segment[0][1] for segment in spans) == pytest.approx(expected)


def test_effects_are_printed_from_the_contrasts(tables):
    contrasts = tables[2]
    row = contrasts[(contrasts["contrast"] == "response_change") & (contrasts["metric"] == "expanded_share")].iloc[0]
    assert format_effect(row) in words_of(draw(*tables)["response_change"])


def test_only_the_metrics_asked_for_are_drawn(tables):
    figure = draw(*tables, shown=("clonality",))["overview"]
    words = check(figure)
    assert "Clonality" in words
    assert "Hill" not in words


def test_samples_below_the_depth_leave_gaps_not_errors(tables):
    metrics = tables[0].copy()
    metrics.loc[metrics["patient"] == "P01", ["value", "low", "high"]] = np.nan
    figure = draw(metrics, *tables[1:])["overview"]
    check(figure)
    assert len(patients_of(figure.axes[0])) == 18


def test_no_sample_at_the_depth_says_so(tables):
    metrics = tables[0].assign(value=np.nan, low=np.nan, high=np.nan, depth=np.nan)
    drawn = draw(metrics, tables[1].head(0), tables[2])
    assert "No sample has enough receptor cells" in check(drawn["overview"])
    assert "No patient has measured samples" in check(drawn["response_change"])


def test_without_contrasts_there_is_the_overview_alone(tables):
    drawn = draw(tables[0], tables[1].head(0), tables[2].head(0), {**made.STUDY, "contrasts": []})
    assert set(drawn) == {"overview"}


def test_works_without_response_and_with_one_sample():
    metrics = made.expansion_of(made.design_of(1, 0, ("baseline",), response=False))
    drawn = draw(
        metrics,
        made.expansion_differences(made.expansion_of(made.design_of())).head(0),
        made.contrasts_of(item="metric").head(0),
    )
    assert "Response not recorded n = 1" in check(drawn["overview"])
