import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.display_text import format_effect, format_p, shown
from immune_landscape.draw_robustness import APART, CHOICES, draw_robustness
from immune_landscape.model_composition import PRIMARY, SCALES

KEYS = ["contrast", "parent", "subset"]
NAME = "response_change"


def contrasts_of(names=(NAME,)):
    table = made.contrasts_of().assign(loo_flips=0.0)
    table = table[table["contrast"].isin(names)]
    return table.assign(loo_low=table["effect"] - 0.1, loo_high=table["effect"] + 0.1)


def tables_of(contrasts, seed=1):
    """Return the tables of the other analysis choices: one reference and one definition of each row disagree."""
    rng = np.random.default_rng(seed)
    tested = contrasts[contrasts["status"] == "tested"]
    references, models, labels, stability, definitions = [], [], [], [], []
    for row in tested.to_dict("records"):
        keys = {key: row[key] for key in KEYS}
        effect = row["effect"]
        for name, other in (("clr", effect), ("a", 1.5 * effect), ("b", effect / 2), ("c", -effect)):
            references.append(keys | {"reference": name, "effect": other, "same_sign": name != "c", "steady": True})
        references.append(keys | {"reference": "of the family", "effect": -effect, "same_sign": False, "steady": False})
        for model in (PRIMARY, "ancova", "binomial", "propeller_logit", "propeller_asin"):
            value = effect / 8 if model == "propeller_asin" else effect
            role = "primary" if model == PRIMARY else "concordance"
            bounds = {"effect": value, "ci_low": value - 0.1, "ci_high": value + 0.1}
            models.append(keys | {"model": model, "scale": SCALES[model], **bounds, "same_sign": True, "role": role})
        for run in range(8):
            labels.append(keys | {"run": f"r{run}", "effect": effect + rng.normal(0, 0.01), "same_sign": True})
        stability.append(keys | {"runs": 10, "share_present": 0.8, "share_same_sign": 1.0})
        facts = {"layer": "composition", "contrast": row["contrast"], "parent": row["parent"]}
        for name, other in (("as declared", effect), ("CR, PR or SD", effect), ("P01 moved", -effect)):
            definitions.append(facts | {"feature": row["subset"], "definition": name, "effect": other,
                                        "same_sign": name != "P01 moved"})  # fmt: skip
    return [pd.DataFrame(rows) for rows in (references, models, labels, stability, definitions)]


def draw(contrasts=None, max_subsets=9, study=made.STUDY, **changes):
    contrasts = contrasts_of() if contrasts is None else contrasts
    names = ("references", "models", "labels", "stability", "definitions")
    tables = dict(zip(names, tables_of(contrasts), strict=True)) | changes
    return draw_robustness(contrasts, *tables.values(), study, max_subsets=max_subsets)


def points(figure, name):
    return sum(len(line.get_xdata()) for line in artists(figure, f"choice:{name}"))


def headline(contrasts, count=9, name=NAME):
    rows = contrasts[(contrasts["contrast"] == name) & (contrasts["status"] == "tested")]
    return rows.loc[sorted(rows["p"].sort_values(kind="stable").index[:count])]


def test_one_page_per_contrast_with_the_smallest_p_of_the_family():
    names = [item["name"] for item in made.STUDY["contrasts"]]
    contrasts = contrasts_of(names)
    pages = draw(contrasts)
    assert list(pages) == names
    words = check(pages[NAME])
    assert words.count("same sign") == 9
    for row in headline(contrasts).to_dict("records"):
        assert shown(made.STUDY, row["subset"]) in words
        assert f"{format_effect(row)}; p maxT {format_p(row['p_maxt'])}" in words
    assert "those with the smallest p of" in " ".join(words.split())
    assert "n 6 / 13" in words


def test_every_choice_is_a_row_and_every_alternative_a_point():
    contrasts = contrasts_of()
    figure = draw(contrasts, max_subsets=4)[NAME]
    words = check(figure)
    assert len(artists(figure, "primary_interval")) == 4
    assert points(figure, "primary") == points(figure, "binomial") == points(figure, "propeller_asin") == 4
    assert points(figure, "references") == 4 * 3
    assert points(figure, "labels") == 4 * 8
    assert points(figure, "definitions") == 4 * 2
    shown_rows = {"primary", "ancova", "references", "loo", "labels", "definitions", "binomial", "propeller_logit"}
    for name in shown_rows | set(APART):
        assert (CHOICES | APART)[name] in words
    assert CHOICES["change_score"] not in words


def test_the_other_sign_is_a_cross_and_is_counted():
    contrasts = contrasts_of()
    figure = draw(contrasts, max_subsets=1)[NAME]
    words = check(figure)
    for name, same, other in (("references", 2, 1), ("definitions", 1, 1)):
        lines = artists(figure, f"choice:{name}")
        counts = {line.get_marker(): len(line.get_xdata()) for line in lines}
        assert counts == {"o": same, "X": other}
    assert "2 of 3" in words
    assert "1 of 2" in words
    assert "8 of 8; 2 without" in words


def test_points_lie_where_the_tables_say():
    contrasts = contrasts_of()
    top = headline(contrasts, 1).iloc[0]
    figure = draw(contrasts, max_subsets=1)[NAME]
    drawn = [x for line in artists(figure, "choice:references") for x in line.get_xdata()]
    assert sorted(drawn) == pytest.approx(sorted([1.5 * top["effect"], top["effect"] / 2, -top["effect"]]))
    (apart,) = [line for line in artists(figure, "choice:propeller_asin") if len(line.get_xdata())]
    assert apart.get_xdata()[0] == pytest.approx(top["effect"] / 8)
    joint = next(line for line in artists(figure, "choice:binomial") if len(line.get_xdata()))
    assert joint.axes is not apart.axes, "the arcsine scale has an axis of its own"
    assert apart.axes.get_xlabel() == "radians"


def test_zero_is_in_the_middle_of_both_scales():
    figure = draw()[NAME]
    assert all(np.isclose(sum(axes.get_xlim()), 0) for axes in figure.axes if axes.get_visible())


def test_tables_that_are_not_there_leave_their_rows_out():
    contrasts = contrasts_of().drop(columns=["loo_low", "loo_high", "loo_flips"])
    empty = {
        "labels": pd.DataFrame(columns=[*KEYS, "effect", "same_sign"]),
        "stability": pd.DataFrame(columns=[*KEYS, "runs", "share_present", "share_same_sign"]),
    }
    words = check(draw(contrasts, max_subsets=2, definitions=None, **empty)[NAME])
    for name in ("loo", "labels", "definitions"):
        assert CHOICES[name] not in words
    assert CHOICES["binomial"] in words


def test_patients_who_move_p_are_counted_and_a_range_over_zero_is_told():
    contrasts = contrasts_of()
    top = headline(contrasts, 1).index[0]
    contrasts.loc[top, ["loo_low", "loo_high", "loo_flips"]] = [-0.2, contrasts.at[top, "effect"], 3]
    assert "not all; p moved by 3" in check(draw(contrasts, max_subsets=1)[NAME])


def test_models_without_an_estimate_say_so():
    contrasts = contrasts_of()
    models = tables_of(contrasts)[1]
    blank = models["model"] == "binomial"
    models = models.assign(same_sign=models["same_sign"].astype(str).mask(blank, ""))
    models.loc[blank, ["effect", "ci_low", "ci_high"]] = np.nan
    figure = draw(contrasts, max_subsets=3, models=models)[NAME]
    assert check(figure).count("no estimate") == 3
    assert points(figure, "binomial") == 0
    assert points(figure, "ancova") == 3


def test_untested_members_are_named_and_rows_outside_the_family_left_out():
    contrasts = contrasts_of().head(8)
    outside = headline(contrasts, 1).index[0]
    contrasts.loc[outside, "p_maxt"] = np.nan
    words = check(draw(contrasts, max_subsets=30)[NAME])
    heading = shown(made.STUDY, str(contrasts.at[outside, "subset"]))
    assert heading not in words.split("\n")
    assert "Not tested:" in words


def test_unbounded_intervals_stay_on_the_page():
    contrasts = contrasts_of()
    contrasts["ci_high"] = np.inf
    check(draw(contrasts, max_subsets=2)[NAME])


def test_nothing_tested_gives_a_page_that_says_so():
    contrasts = contrasts_of().assign(status="too_sparse")
    tables = tables_of(contrasts_of())
    figure = draw_robustness(contrasts, *tables, made.STUDY, max_subsets=9)[NAME]
    assert "No subset of the family was tested" in check(figure)
