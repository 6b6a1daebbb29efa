import time

import numpy as np
import pandas as pd
import pytest
from patient_cohorts import made_groups, made_values, settings

from immune_landscape.contrast_tests import run_test
from immune_landscape.freedman_lane import freedman_lane
from immune_landscape.influence import COLUMNS, leave_one_out, summarise_influence
from immune_landscape.permutation import flip_signs, permute_labels


def rows_of(table, feature):
    return table[table["feature"] == feature].set_index("patient")


def test_every_refit_is_the_test_of_the_others():
    values, groups = made_values(10, 3), made_groups(4, 6)
    table = leave_one_out(values, groups, 0, settings())
    assert list(table.columns) == COLUMNS
    assert len(table) == 30
    for at in range(10):
        kept = np.arange(10) != at
        expected = permute_labels(values[kept], groups.is_a[kept], 0)
        for feature in range(3):
            row = rows_of(table, feature).loc[f"P{at}"]
            assert row["p"] == expected.p[feature]
            assert row["effect"] == expected.effect[feature]


def test_strata_signs_and_covariates_are_kept():
    values = made_values(12, 2)
    strata = np.array(list("xxxxyyyyxxyy"))
    kept = np.arange(12) != 5
    stratified = leave_one_out(values, made_groups(5, 7, strata=strata), 0, settings())
    expected = permute_labels(values[kept], np.arange(12)[kept] < 5, 0, strata=strata[kept])
    assert rows_of(stratified, 1).loc["P5", "p"] == expected.p[1]
    signs = leave_one_out(values, made_groups(12, 0), 0, settings())
    assert rows_of(signs, 1).loc["P5", "p"] == flip_signs(values[kept], 0).p[1]
    covariates = made_values(12, 1, seed=1)
    adjusted = leave_one_out(values, made_groups(5, 7, covariates=covariates), 0, settings())
    model = freedman_lane(values[kept], np.arange(12)[kept] < 5, covariates[kept], 0, draws=2000)
    assert rows_of(adjusted, 1).loc["P5", "effect"] == pytest.approx(model.effect[1])
    assert rows_of(adjusted, 1).loc["P5", "p"] == model.p[1]


def test_baseline_of_each_feature_goes_with_its_patients():
    values, before = made_values(12, 2), made_values(12, 2, seed=1)
    groups = made_groups(5, 7, adjust_baseline=True).for_features(before)
    kept = np.arange(12) != 3
    table = leave_one_out(values, groups, 0, settings())
    expected = freedman_lane(values[kept], groups.is_a[kept], before[kept][:, :, None], 0, draws=2000)
    assert rows_of(table, 1).loc["P3", "p"] == expected.p[1]


def test_a_patient_without_a_value_has_no_row():
    values, groups = made_values(10, 2), made_groups(4, 6)
    values[3, 1] = np.nan
    table = leave_one_out(values, groups, 0, settings())
    assert "P3" not in rows_of(table, 1).index
    assert "P3" in rows_of(table, 0).index
    assert len(table) == 19


def test_few_patients_leave_refits_without_p():
    table = leave_one_out(made_values(6, 1), made_groups(2, 4), 0, settings())
    refits = rows_of(table, 0)
    assert refits.loc[["P0", "P1"], "p"].isna().all()
    assert refits.loc[["P2", "P5"], "p"].notna().all()


def test_one_patient_decides_the_finding():
    groups = made_groups(6, 13)
    values = np.random.default_rng(3).normal(0, 0.3, (19, 2)) + 2.0 * groups.is_a[:, None]
    # In the second feature one responder goes the other way, and hides what the others show.
    values[2, 1] -= 6.0
    result = run_test(values, groups, 0, settings())
    rows = leave_one_out(values, groups, 0, settings())
    sound, hidden = summarise_influence(rows, result.p, result.effect, 0.05)
    assert result.p[0] <= 0.05 < result.p[1]
    assert sound["loo_flips"] == 0
    assert sound["loo_low"] < result.effect[0] < sound["loo_high"]
    assert sound["loo_low"] > 1.5
    assert sound["loo_high"] < 2.5
    without = rows_of(rows, 1).loc["P2"]
    assert without["p"] <= 0.05
    assert hidden["loo_flips"] == 1
    assert hidden["loo_patient"] == "P2"
    assert hidden["loo_high"] == without["effect"] > result.effect[1] > hidden["loo_low"]


def test_summary_counts_changes_in_both_directions():
    rows = pd.DataFrame(
        {
            "feature": [0, 0, 0, 1, 1, 1],
            "patient": list("abcabc"),
            "effect": [1.0, 0.4, 1.1, -0.5, -0.4, 2.0],
            "p": [0.01, 0.2, np.nan, 0.3, 0.05, 0.04],
        }
    )
    first, second = summarise_influence(rows, np.array([0.02, 0.2]), np.array([0.9, 0.1]), 0.05)
    # Without c the first finding cannot be shown, which counts as losing it.
    assert first == {"loo_low": 0.4, "loo_high": 1.1, "loo_flips": 2, "loo_patient": "b"}
    # A p at the level is not below it, so that leaving out b changes nothing.
    assert second == {"loo_low": -0.5, "loo_high": 2.0, "loo_flips": 1, "loo_patient": "c"}


def test_features_without_p_or_refits_have_an_empty_summary():
    rows = pd.DataFrame({"feature": [0], "patient": ["a"], "effect": [1.0], "p": [0.3]})
    for summary in summarise_influence(rows, np.array([np.nan, 0.1]), np.array([1.0, 1.0]), 0.05):
        assert summary["loo_patient"] == ""
        assert all(np.isnan(summary[name]) for name in ("loo_low", "loo_high", "loo_flips"))
    nobody = leave_one_out(np.empty((0, 2)), made_groups(0, 0), 0, settings())
    assert nobody.empty
    assert summarise_influence(nobody, np.array([np.nan]), np.array([np.nan]), 0.05)[0]["loo_patient"] == ""


def test_large_cohorts_are_refitted_with_fewer_labelings():
    values, groups = made_values(26, 1), made_groups(13, 13)
    start = time.perf_counter()
    leave_one_out(values, groups, 0, settings(draws=1_000_000))
    assert time.perf_counter() - start < 10


def test_nineteen_patients_and_all_their_labelings_take_seconds():
    values, groups = made_values(19, 25), made_groups(6, 13)
    start = time.perf_counter()
    table = leave_one_out(values, groups, 0, settings())
    assert time.perf_counter() - start < 6.0
    assert len(table) == 19 * 25
    # Every refit enumerates: the smallest p is a multiple of 1 / 18,564 or 1 / 8,568.
    p = rows_of(table, 0)["p"]
    assert p["P18"] * 18_564 == pytest.approx(round(p["P18"] * 18_564))
    assert p["P0"] * 8_568 == pytest.approx(round(p["P0"] * 8_568))
