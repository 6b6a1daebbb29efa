import numpy as np
import pandas as pd
import pytest

from immune_landscape import display_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "< 0.0001"),
        (0.0123, "0.012"),
        (0.0012, "0.0012"),
        (0.5, "0.50"),
        (1.0, "1.00"),
        (np.nan, "–"),
    ],
)
def test_p_values_are_never_zero(value, text):
    assert display_text.format_p(value) == text


def test_effects_show_open_ends_and_true_minus_signs():
    row = {"effect": -0.5, "ci_low": -np.inf, "ci_high": 0.25}
    assert display_text.format_effect(row) == "−0.50 [−∞, +0.25]"
    assert display_text.format_effect({"effect": 0.004, "ci_low": -0.01, "ci_high": 0.02}) == "+0.004 [−0.010, +0.020]"
    assert display_text.format_effect({"effect": np.nan, "ci_low": np.nan, "ci_high": np.nan}) == "–"
    assert display_text.format_effect({"effect": 0.5, "ci_low": np.nan, "ci_high": np.nan}) == "+0.50"


def test_display_names_prefer_the_study_then_the_cell_types():
    study = {"labels": {"cd8_teff": "Killers"}}
    assert display_text.shown(study, "cd8_teff") == "Killers"
    assert display_text.shown({}, "cd8_teff") == "CD8 Teff"
    assert display_text.shown({}, "on_treatment") == "On treatment"
    assert display_text.shown({}, "C1D1") == "C1D1"


def test_interval_is_named_by_its_level():
    assert display_text.interval_name({"alpha": 0.05}) == "95 % CI"
    assert display_text.interval_name({"alpha": 0.01}) == "99 % CI"
    assert "%" not in display_text.interval_name({})


def test_visits_come_in_the_order_of_the_study_and_unknown_ones_last():
    study = {"visits": ["baseline", "week_4"]}
    visits = ["zero", "week_4", "baseline", "early", "week_4"]
    assert display_text.ordered_visits(visits, study) == ["baseline", "week_4", "early", "zero"]


@pytest.mark.parametrize("nothing", ["", np.nan, None])
def test_one_group_has_one_number_of_patients(nothing):
    # A table of changes alone is read back with a second group that is all missing.
    row = {"group_a": "all", "group_b": nothing, "n_a": 5, "n_b": 0}
    assert display_text.groups_of(row) == ["all"]
    assert display_text.patients_of(row) == "5"
    assert display_text.patients_of(row | {"group_b": "non_responder", "n_b": 7.0}) == "5 / 7"


def test_facts_of_an_undeclared_contrast_are_empty():
    study = {"contrasts": [{"name": "c", "estimand": "change", "reference": "a", "target": "b"}]}
    assert display_text.levels_of(display_text.facts_of(study, "c")) == ["a", "b"]
    assert display_text.facts_of(study, "d") == {}
    assert display_text.facts_of({}, "d") == {}


def test_one_wide_interval_does_not_stretch_the_axis():
    bounds = pd.Series([-0.5, 40.0, np.inf, np.nan])
    assert display_text.reach_of(1.0, bounds, most=3) == 3.0
    assert display_text.reach_of(1.0, bounds[:1], most=3) == 1.0
    assert display_text.reach_of(0.0, bounds[2:], most=3) == 0.0


@pytest.mark.parametrize(
    ("layer", "feature", "name"),
    [
        ("composition", "cd8_teff", "CD8 Teff"),
        ("signatures", "effector_molecules", "Effector molecules"),
        ("expansion", "expanded_share", "Share of expanded cells"),
        ("populations", "CD3+CD56+", "CD3+CD56+"),
        ("measures", "own", "Labelled"),
    ],
)
def test_features_have_the_names_of_their_layer_and_labels_win(layer, feature, name):
    assert display_text.shown_feature({"labels": {"own": "Labelled"}}, layer, feature) == name


def test_adjusted_scopes_are_named():
    assert display_text.shown_parent({}, "nk_adjusted") == "NK cells (composition-adjusted)"


def test_several_targets_stand_as_one():
    facts = {
        "name": "c",
        "estimand": "change",
        "reference": "a",
        "target": "",
        "targets": ["b", "d"],
        "summary": "mean",
    }
    assert display_text.facts_of({"contrasts": [facts]}, "c")["target"] == "mean of b, d"
