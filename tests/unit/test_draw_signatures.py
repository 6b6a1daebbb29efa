import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.display_text import format_effect
from immune_landscape.draw_signatures import draw_signatures

SCOPES = ["nk", "nk_adjusted", "t", "t_adjusted"]
FEATURES = {"nk": ["proinflammatory_nk_tang_noanchor", "effector_molecules"], "t": ["effector_molecules", "naive"]}
KEYS = ["contrast", "parent", "feature"]


def tables(seed=1):
    """Return contrasts, differences, nulls and overlaps of all scopes and one subset."""
    rng = np.random.default_rng(seed)
    rows, patients = [], []
    pairs = [(scope, name) for scope in (*SCOPES, "cd8_teff") for name in FEATURES["nk" if scope[0] == "n" else "t"]]
    for contrast in made.STUDY["contrasts"]:
        one, visits = contrast["estimand"] == "change", contrast["estimand"] != "baseline"
        for parent, feature in pairs:
            effect, p = rng.normal(0, 0.1), rng.uniform(0.001, 0.9)
            keys = {"contrast": contrast["name"], "parent": parent, "feature": feature}
            facts = {"estimand": contrast["estimand"], "family": contrast["family"], "n_a": 19 if one else 6}
            groups = ["all", ""] if one else ["responder", "non_responder"]
            facts |= {"group_a": groups[0], "group_b": groups[1], "n_b": 0 if one else 13}
            ends = {"effect": effect, "ci_low": effect - 0.1, "ci_high": effect + 0.1, "p": p, "p_maxt": min(1, 3 * p)}
            rows.append({**keys, **facts, **ends, "status": "tested", "note": "", "mde": 0.2})
            for at in range(19):
                group = "all" if one else groups[at >= 6]
                before, after = rng.normal(0, 0.2, 2)
                patients.append({**keys, "patient": f"P{at}", "group": group, "before": before, "after": after})
                if not visits:
                    patients[-1]["after"] = np.nan
    contrasts = pd.DataFrame(rows)
    bounds = {"null_low": -0.04, "null_high": 0.05, "null_p": rng.uniform(0.002, 1, len(contrasts))}
    nulls = contrasts[KEYS].assign(**bounds, sets=500)
    overlap = pd.DataFrame(pairs, columns=["parent", "signature"])
    overlap["warning"] = (overlap["parent"] == "nk") & (overlap["signature"] == "effector_molecules")
    return [contrasts, pd.DataFrame(patients), nulls, overlap]


def draw(parts, study=made.STUDY, scopes=SCOPES, panels=4):
    return draw_signatures(*parts, study, scopes=scopes, panels=panels, columns=3)


def points(figure):
    return artists(figure, "effect")


def test_a_forest_and_the_patients_of_each_contrast():
    figures = draw(tables())
    names = [item["name"] for item in made.STUDY["contrasts"]]
    assert set(figures) == {*names, *(f"{name}.patients" for name in names)}
    for figure in figures.values():
        check(figure)


def test_rows_bands_and_numbers_are_those_of_the_tables():
    parts = tables()
    figure = draw(parts)["response_change"]
    rows = parts[0][(parts[0]["contrast"] == "response_change") & parts[0]["parent"].isin(SCOPES)]
    words = check(figure)
    assert len(points(figure)) == len(artists(figure, "null")) == len(rows) == 8
    for row in rows.to_dict("records"):
        assert format_effect(row) in words
    band = artists(figure, "null")[0]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-0.04, 0.05))
    # A signature is named in each branch, its adjusted score below.
    assert words.count("Effector molecules") == 2
    assert words.count("composition-adjusted") == 4


def test_points_are_filled_by_the_corrected_p_alone():
    parts = tables()
    parts[0]["p"], parts[0]["p_maxt"] = 0.001, 0.2
    parts[0].loc[parts[0]["feature"] == "naive", "p_maxt"] = 0.049
    parts[0].loc[parts[0]["parent"] == "nk", "p_maxt"] = np.nan
    drawn = points(draw(parts)["response_change"])
    filled = [point for point in drawn if point.get_markerfacecolor() != "white"]
    assert len(filled) == 2


def test_a_circular_score_is_marked_and_the_mark_explained():
    parts = tables()
    words = check(draw(parts)["response_change"])
    assert words.count("†") == 2
    parts[3]["warning"] = False
    assert "†" not in check(draw(parts)["response_change"])


def test_rows_not_tested_say_why_and_have_no_band():
    parts = tables()
    lost = (parts[0]["contrast"] == "response_change") & (parts[0]["parent"] == "t")
    numbers = ["effect", "ci_low", "ci_high", "p", "p_maxt"]
    parts[0].loc[lost, numbers] = np.nan
    parts[0].loc[lost, ["status", "note"]] = ["not_testable", "fewer than two patients in a group"]
    parts[2] = parts[2][~lost]
    figure = draw(parts)["response_change"]
    assert "not testable: fewer than two patients" in check(figure)
    assert len(points(figure)) == len(artists(figure, "null")) == 6


def test_panels_show_every_patient_of_the_smallest_p():
    parts = tables()
    parts[0].loc[parts[0]["parent"].eq("t_adjusted") & parts[0]["feature"].eq("naive"), "p"] = 0.0004
    figure = draw(parts, panels=1)["response_change.patients"]
    words = check(figure)
    assert "Naive (T)" in words
    assert "T cells (composition-adjusted)" in words
    assert "0.0004" in words
    assert "R n = 6" in words
    assert len([line for line in figure.findobj() if str(line.get_gid()).startswith("patient:")]) == 19


def test_plain_and_adjusted_of_one_signature_take_one_panel():
    figure = draw(tables(), panels=20)["response_change.patients"]
    assert len([axes for axes in figure.axes if axes.axison]) == 4


def test_subsets_can_be_drawn_and_nothing_scored_says_so():
    parts = tables()
    assert "CD8 Teff" in check(draw(parts, scopes=["cd8_teff"])["response_change"])
    words = [check(figure) for figure in draw(parts, scopes=["mait"]).values()]
    assert all("No signature was" in each for each in words)
