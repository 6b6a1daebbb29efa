import numpy as np
import pandas as pd
import pytest
from expression_tables import COMPARE, TESTING, contrast, design_of, sums_of
from figure_checks import artists, check, words_of

from immune_landscape.compare_expression import compare_expression
from immune_landscape.draw_expression import draw_expression

CONTRASTS = [
    contrast(),
    contrast(name="all_change", estimand="change"),
    contrast(name="at_baseline", estimand="baseline", target=""),
]
STUDY = {"title": "Made-up", "simulated": True, "labels": {}, "alpha": 0.05, "contrasts": CONTRASTS}
SETTINGS = {"top": 4, "max_subsets": 5, "columns": 3}


@pytest.fixture(scope="module")
def tables():
    design = design_of()
    sums = sums_of(design, ("nk", "cd8_teff", "b", "treg"), genes=80, planted={"g005": 2.0, "g017": -2.0})
    made = compare_expression(sums, design, CONTRASTS, TESTING._replace(null_draws=50), 1, **COMPARE)
    return made["genes"], made["subsets"], made["differences"]


def draw(genes, subsets, differences, **changes):
    return draw_expression(genes, subsets, differences, STUDY, **(SETTINGS | changes))


def panels_of(figure):
    return [axes for axes in figure.axes if axes.axison and axes.get_yticklabels()]


def points_of(axes, group):
    names = {f"patient:p{at:02d}" for at in (range(6) if group == "responder" else range(6, 19))}
    return [line for line in axes.lines if line.get_gid() in names]


def test_every_contrast_has_two_figures_that_hold_their_texts(tables):
    drawn = draw(*tables)
    assert list(drawn) == [f"{item['name']}.{what}" for item in CONTRASTS for what in ("genes", "calibration")]
    for figure in drawn.values():
        assert "SIMULATED DATA" in check(figure)


def test_points_are_patients_and_their_mean_is_the_effect(tables):
    genes, subsets, _ = tables
    axes = panels_of(draw(*tables)["response_change.genes"])[0]
    first = subsets[subsets["contrast"] == "response_change"].sort_values("found", ascending=False, kind="stable")
    own = genes[(genes["contrast"] == "response_change") & (genes["subset"] == first["subset"].iloc[0])].head(4)
    assert [text.get_text() for text in axes.get_yticklabels()] == own["gene"].tolist()
    points = np.array([line.get_xdata() for line in points_of(axes, "responder")])
    assert points.shape == (6, 4)
    assert len(points_of(axes, "non_responder")) == 13
    assert points.mean(axis=0) == pytest.approx(own["effect"].to_numpy())


def test_effects_are_filled_where_found(tables):
    axes = panels_of(draw(*tables)["response_change.genes"])[0]
    effects = [line for line in axes.lines if line.get_gid() == "effect"]
    filled = [line.get_markerfacecolor() != "white" for line in effects]
    assert filled[:2] == [True, True]
    assert len(effects) == 4


def test_what_is_not_calibrated_is_hatched_and_said(tables):
    genes, subsets, differences = tables
    marked = subsets["subset"].eq("nk") & subsets["contrast"].eq("response_change")
    # As read from a table in which other rows have no such value.
    told = subsets.assign(calibrated=subsets["calibrated"].astype(str).mask(marked, "False"))
    drawn = draw(genes, told, differences)
    words = check(drawn["response_change.genes"])
    assert words.count("· not calibrated") == 1
    assert "Hatched" in words
    hatched = [axes for axes in panels_of(drawn["response_change.genes"]) if axes.patch.get_hatch()]
    assert len(hatched) == 1
    assert words_of(drawn["response_change.calibration"]).count("not calibrated") == 1 + 1  # row and footer
    assert "· not calibrated" not in words_of(drawn["all_change.genes"])


def test_calibration_has_observed_and_null_of_each_subset(tables):
    _, subsets, _ = tables
    figure = draw(*tables)["all_change.calibration"]
    rows = subsets[subsets["contrast"] == "all_change"]
    assert [bar.get_width() for bar in artists(figure, "found")] == rows["found"].tolist()
    drawn = [line.get_xdata()[0] for line in artists(figure, "inflation")]
    assert drawn == pytest.approx(rows["inflation"].tolist())
    assert "(50 cohorts)" in words_of(figure)


def test_subsets_not_tested_are_grey_and_come_last(tables):
    genes, subsets, differences = tables
    subset = "cd8_teff"
    blank = {"p": np.nan, "fdr": np.nan, "ci_low": np.nan, "ci_high": np.nan, "status": "not_testable"}
    few = genes.copy()
    for name, value in blank.items():
        few.loc[few["subset"] == subset, name] = value
    rows = subsets.copy()
    chosen = rows["subset"] == subset
    rows.loc[chosen, "status"] = "not_testable"
    rows.loc[chosen, "note"] = "3 / 13 patients with enough cells, 4 / 6 needed"
    rows.loc[chosen, "found"] = pd.NA
    drawn = draw(few, rows, differences)
    words = check(drawn["response_change.genes"])
    assert "not testable: 3 / 13 patients with enough cells, 4 / 6 needed" in words
    assert "3 of 4 subsets tested" in words
    last = panels_of(drawn["response_change.genes"])[3]
    assert last.get_facecolor()[:3] == pytest.approx((0.957, 0.957, 0.957), abs=0.01)
    assert "CD8 Teff" not in words_of(drawn["response_change.calibration"])


def test_settings_choose_genes_and_subsets(tables):
    figure = draw(*tables, top=2, max_subsets=2, columns=2)["response_change.genes"]
    check(figure)
    panels = panels_of(figure)
    assert len(panels) == 2
    assert [len(axes.get_yticks()) for axes in panels] == [2, 2]


def test_a_gene_that_one_patient_carries_has_a_star(tables):
    genes, subsets, differences = tables
    noted = genes.assign(note="carried by p03")
    words = words_of(draw(noted, subsets, differences)["response_change.genes"])
    assert words.count("*") > words_of(draw(*tables)["response_change.genes"]).count("*")


def test_nothing_to_draw_says_so(tables):
    genes, subsets, differences = tables
    rows = subsets.assign(status="not_testable", null_runs=pd.NA)
    drawn = draw(genes.head(0), rows, differences.head(0))
    assert "No subset has enough cells" in check(drawn["all_change.genes"])
    assert "No subset has enough patients" in check(drawn["all_change.calibration"])
    assert draw(genes.head(0), subsets.head(0), differences.head(0)) == {}
