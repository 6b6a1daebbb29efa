import hashlib

import figure_tables as made
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, assert_no_overlap, check, texts_of, words_of

from immune_landscape import display_text, figures, panels
from immune_landscape.palette import colours_of, group_styles

QUIET = {**made.STUDY, "simulated": False}


def page(study=made.STUDY, **texts):
    return figures.styled(figures.new_figure)(6, 1, study, **{"title": "A title", **texts})


def test_simulated_data_are_marked_and_real_data_are_not():
    assert figures.SIMULATED in words_of(page())
    assert figures.SIMULATED not in words_of(page(QUIET))


def test_long_texts_are_wrapped_and_stay_clear_of_the_mark():
    figure = page(title="Long title " * 12, subtitle="subtitle words " * 30, footer="footer words " * 40)
    check(figure)
    assert_no_overlap(texts_of(figure))


def test_style_leaves_settings_as_they_were():
    before = dict(mpl.rcParams)
    page()
    figures.empty_figure("Title", "Reason.", made.STUDY)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_equal_figures_are_equal_bytes(tmp_path, suffix):
    sums = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{suffix}"
        figures.write_figures(figures.empty_figure("Title", "Reason.", made.STUDY), [path], made.STUDY)
        sums.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert sums[0] == sums[1]


def test_figures_are_written_by_stem_and_a_missing_one_says_so(tmp_path):
    drawn = {"a.b": figures.empty_figure("Title", "Reason.", made.STUDY)}
    figures.write_figures(drawn, [tmp_path / "a.b.svg", tmp_path / "c.png"], made.STUDY)
    assert (tmp_path / "a.b.svg").stat().st_size > 1000
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_dollar_signs_in_names_are_no_formula():
    assert "cost $x_1$" in words_of(page(title="cost $x_1$"))


def test_boxes_are_spread_until_none_overlaps_and_stay_inside():
    rng = np.random.default_rng(1)
    centres = rng.uniform(40, 60, (14, 2))
    sizes = np.tile([12.0, 5.0], (14, 1))
    moved = panels.spread_boxes(centres, sizes, (0, 0, 100, 100))
    for at in range(14):
        gap = np.abs(moved - moved[at]) - sizes
        gap[at] = 1
        assert (gap.max(axis=1) > -0.02).all()
    assert (moved - sizes / 2 >= -1e-9).all()
    assert (moved + sizes / 2 <= 100 + 1e-9).all()


def test_boxes_that_do_not_overlap_stay_where_they_are():
    centres = np.array([[10.0, 10.0], [50.0, 50.0]])
    assert (panels.spread_boxes(centres, np.full((2, 2), 8.0), (0, 0, 100, 100)) == centres).all()


def test_labels_on_data_do_not_cover_each_other():
    rng = np.random.default_rng(0)
    names = ["cd4_tn", "cd4_tcm", "cd4_tem", "cd8_tn"]
    labels = np.repeat(names, 50)
    cells = pd.DataFrame(rng.normal(0, 0.5, (200, 2)), columns=["umap_1", "umap_2"]).assign(label=labels)
    figure = page()
    axes = figure.add_subplot()
    axes.scatter(cells["umap_1"], cells["umap_2"])
    panels.label_clusters_on_data(
        axes, cells, {name: display_text.shown({}, name) for name in names}, colours_of(names)
    )
    figure.draw_without_rendering()
    texts = artists(figure, "cluster_label")
    assert len(texts) == 4
    assert_no_overlap(texts, slack=0)


def test_one_line_per_patient_and_n_of_each_group():
    values = pd.DataFrame({"patient": list("abcde"), "group": ["responder"] * 2 + ["non_responder"] * 3})
    values = values.assign(before=[1.0, 2, 3, 4, 5], after=[2.0, 3, 4, 5, 6])
    figure = page()
    axes = figure.add_subplot()
    panels.paired_patients(axes, values, group_styles(["responder", "non_responder"]), ["baseline", "on_treatment"], {})
    lines = [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]
    assert [line.get_gid() for line in lines] == [f"patient:{name}" for name in "abcde"]
    assert list(lines[0].get_ydata()) == [1.0, 2.0]
    assert "R n = 2" in words_of(figure)
    assert "NR n = 3" in words_of(figure)


def test_forest_draws_open_intervals_as_arrows_and_none_for_missing_ones():
    table = pd.DataFrame(
        {
            "effect": [0.5, -0.2, 0.3, np.nan],
            "ci_low": [0.1, -np.inf, np.nan, np.nan],
            "ci_high": [0.9, np.inf, np.nan, np.nan],
            "mde": [0.8, 0.8, 0.8, np.nan],
            "status": ["tested"] * 3 + ["too_sparse"],
        }
    )
    figure = page()
    axes = figure.add_subplot()
    panels.forest_rows(axes, table, show_mde=True)
    assert len(artists(figure, "arrow")) == 2
    assert len(artists(figure, "effect")) == 3
    assert len(artists(figure, "interval")) == 2
    filled = [point.get_markerfacecolor() != "white" for point in artists(figure, "effect")]
    assert filled == [True, False, False]
    low, high = axes.get_xlim()
    assert np.isfinite([low, high]).all()
    assert low == -high


def test_the_checks_themselves_find_text_outside_and_text_on_text():
    outside, covered = page(QUIET), page(QUIET)
    outside.text(0.99, 0.5, "a text that leaves the page on the right")
    covered.text(0.5, 0.5, "one label")
    covered.text(0.51, 0.51, "another label")
    with pytest.raises(AssertionError, match="outside the figure"):
        check(outside)
    with pytest.raises(AssertionError, match="covers"):
        check(covered)
