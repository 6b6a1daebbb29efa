import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check, words_of

from immune_landscape.display_text import format_effect
from immune_landscape.draw_composition import draw_composition


@pytest.fixture(scope="module")
def tables():
    design = made.design_of()
    composition, contrasts = made.composition_of(design), made.contrasts_of()
    return composition, made.differences_of(composition, design, contrasts), contrasts, design


def draw(composition, differences, contrasts, design, study=made.STUDY, scale="proportion"):
    return draw_composition(composition, differences, contrasts, design, study, scale=scale, columns=4)


@pytest.fixture(scope="module")
def figures(tables):
    return draw(*tables)


def patients_of(axes):
    return [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]


def test_names_are_parents_and_contrast_with_parent(figures):
    contrasts = [item["name"] for item in made.STUDY["contrasts"]]
    expected = {"all", "nk", "t"} | {f"{name}.{parent}" for name in contrasts for parent in ("nk", "t")}
    assert set(figures) == expected


def test_each_panel_has_one_line_per_patient_with_both_visits(tables, figures):
    differences = tables[1]
    figure = figures["response_change.t"]
    words = check(figure)
    chosen = differences[(differences["contrast"] == "response_change") & (differences["parent"] == "t")]
    assert len(patients_of(figure.axes[0])) == chosen["patient"].nunique() == 17
    assert "R n = 6" in words
    assert "NR n = 11" in words


def test_effects_are_printed_from_the_contrasts(tables, figures):
    contrasts = tables[2]
    row = contrasts[(contrasts["contrast"] == "response_change") & (contrasts["subset"] == "cd4_tn")].iloc[0]
    assert format_effect(row) in words_of(figures["response_change.t"])


def test_points_are_the_values_of_the_table(tables):
    differences = tables[1]
    rows = differences[(differences["contrast"] == "response_change") & (differences["subset"] == "cd4_tn")]
    for scale, column, factor in (("proportion", "before_proportion", 100), ("clr", "before", 1)):
        axes = draw(*tables, scale=scale)["response_change.t"].axes[0]
        drawn = sorted(float(line.get_ydata()[0]) for line in patients_of(axes))
        assert drawn == pytest.approx(sorted(rows[column] * factor))


def test_a_baseline_contrast_draws_points(figures):
    figure = figures["at_baseline.nk"]
    words = check(figure)
    assert all(len(line.get_xdata()) == 1 for line in patients_of(figure.axes[0]))
    assert len(patients_of(figure.axes[0])) == 19
    assert "NR n = 13" in words


def test_change_in_all_patients_has_one_group(figures):
    assert "All patients n = 17" in check(figures["all_change.nk"])


def test_sparse_subsets_are_named_as_such(tables):
    composition, differences, contrasts, design = tables
    sparse = contrasts.assign(
        status="too_sparse", effect=np.nan, ci_low=np.nan, ci_high=np.nan, p=np.nan, p_maxt=np.nan
    )
    words = check(draw(composition, differences, sparse, design)["response_change.nk"])
    assert words.count("too sparse") == len(made.SUBSETS["nk"])


def test_bars_of_a_sample_add_up_to_100(tables):
    figure = draw(*tables)["t"]
    check(figure)
    for axes in figure.axes:
        heights = pd.Series({}, dtype=float)
        for bar in axes.patches:
            if bar.get_gid() != "response" and bar.get_height() > 0:
                heights[round(bar.get_x(), 3)] = heights.get(round(bar.get_x(), 3), 0) + bar.get_height()
        assert heights.to_numpy() == pytest.approx(100)
    assert len(artists(figure, "response")) == 36


@pytest.mark.parametrize(("patients", "visits"), [(1, ("baseline",)), (60, ("baseline", "week_3", "week_6"))])
def test_without_contrasts_there_are_bars_alone(tables, patients, visits):
    design = made.design_of(patients, patients // 3, visits, missing=0)
    study = {**made.STUDY, "visits": list(visits), "contrasts": []}
    drawn = draw(made.composition_of(design), tables[1].head(0), tables[2].head(0), design, study)
    assert set(drawn) == {"all", "nk", "t"}
    words = check(drawn["all"])
    assert f"n = {patients}" in words


def test_works_without_response(tables):
    design = made.design_of(4, 0, response=False, missing=0)
    drawn = draw(made.composition_of(design), tables[1].head(0), tables[2].head(0), design)
    assert "Response not recorded" in check(drawn["nk"])


def test_no_patient_with_both_visits_says_so(tables):
    composition, differences, contrasts, design = tables
    words = check(draw(composition, differences.head(0), contrasts, design)["response_change.nk"])
    assert "No patient has the samples" in words


def test_a_parent_without_cells_says_so(tables):
    composition, differences, contrasts, design = tables
    none = composition.assign(cells=0, total=0, proportion=np.nan)
    assert "No sample has cells" in check(draw(none, differences.head(0), contrasts.head(0), design)["nk"])
