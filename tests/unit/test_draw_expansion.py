import figure_tables as made
import numpy as np
import pytest
from figure_checks import check

from immune_landscape.draw_expansion import draw_expansion


@pytest.fixture(scope="module")
def metrics():
    return made.expansion_of(made.design_of())


def draw(metrics, study=made.STUDY, shown=made.METRICS):
    return draw_expansion(metrics, "Clonotype: identical CDR3", study, shown_metrics=list(shown), columns=4)


def patients_of(axes):
    return [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]


def test_there_is_one_line_per_patient_and_the_depth_is_stated(metrics):
    figure = draw(metrics)
    words = check(figure)
    assert len(patients_of(figure.axes[0])) == 19
    assert "180 receptor cells" in words
    assert "Clonotype: identical CDR3. Counted within a sample." in " ".join(words.split())
    assert "Responders n = 6" in words


def test_only_the_metrics_asked_for_are_drawn(metrics):
    figure = draw(metrics, shown=("clonality",))
    words = check(figure)
    assert "Clonality" in words
    assert "Hill" not in words


def test_a_metric_without_a_value_at_this_depth_has_no_panel(metrics):
    refused = metrics.assign(value=metrics["value"].where(metrics["metric"] != "hill_1"))
    words = check(draw(refused))
    assert "Hill q = 2" in words
    assert "Hill q = 1" not in words


def test_samples_below_the_depth_leave_gaps_not_errors(metrics):
    shallow = metrics.copy()
    shallow.loc[shallow["patient"] == "P01", ["value", "low", "high"]] = np.nan
    figure = draw(shallow)
    check(figure)
    assert len(patients_of(figure.axes[0])) == 18


def test_no_sample_at_the_depth_says_so(metrics):
    nothing = metrics.assign(value=np.nan, low=np.nan, high=np.nan, depth=np.nan)
    assert "No sample has enough receptor cells" in check(draw(nothing))


def test_works_without_response_and_with_one_sample():
    metrics = made.expansion_of(made.design_of(1, 0, ("baseline",), response=False))
    assert "Response not recorded n = 1" in check(draw(metrics))
