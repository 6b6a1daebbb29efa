import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sheet_cohorts import build_snyder
from values_tables import cohort, contrast, of

from immune_landscape.check_inputs import check_inputs
from immune_landscape.cohort import read_cohort
from immune_landscape.compare_composition import compare_composition
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.load_measures import load_measures
from immune_landscape.merge_contrasts import merge_contrasts
from immune_landscape.mixed_models import estimate_combination, fit_mixed
from immune_landscape.model_visits import COLUMNS, model_visits

SEVERAL = {"target": "", "targets": ["on", "late"], "summary": "last"}
NO_ROWS = pd.DataFrame(columns=["layer", "contrast", "parent", "feature", "effect", "status"])


def modelled(values, design, *contrasts, tested=NO_ROWS, layer="measures", min_patients=2):
    return model_visits({layer: values}, design, contrasts, tested, 0.05, 0.5, min_patients=min_patients)


def row_of(table, feature, target):
    (row,) = table.query("feature == @feature and target == @target").to_dict("records")
    return row


def test_each_target_has_a_row_with_estimate_interval_and_degrees_of_freedom():
    values, design = cohort(6, 13, seed=1, shift=1.0)
    table = modelled(values, design, contrast(**SEVERAL))
    assert table.columns.tolist() == COLUMNS
    assert table[["feature", "target"]].to_numpy().tolist() == [
        [feature, target] for feature in ("m1", "m2") for target in ("on", "late")
    ]
    row = row_of(table, "m1", "late")
    change = (of(values, "m1", "late") - of(values, "m1", "pre")).to_numpy()
    # With complete visits the estimate is the difference of mean changes.
    assert row["estimate"] == pytest.approx(change[:6].mean() - change[6:].mean())
    assert (row["visits"], row["patients"], row["samples"], row["missing"]) == (3, 19, 57, 0)
    assert row["df"] == pytest.approx(34)
    error = (row["ci_high"] - row["estimate"]) / stats.t.isf(0.025, row["df"])
    assert row["ci_low"] == pytest.approx(row["estimate"] - stats.t.isf(0.025, row["df"]) * error)
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(row["estimate"]) / error, row["df"]))
    assert row["p"] < 0.05
    assert row["p_interaction"] == row_of(table, "m1", "on")["p_interaction"]
    assert row["note"] == ""


def test_missing_visits_stay_missing_and_are_counted():
    values, design = cohort(6, 13, seed=2)
    gone = values["sample"].isin(["p1_late", "p8_on", "p9_pre"])
    row = row_of(modelled(values[~gone], design, contrast(**SEVERAL)), "m2", "late")
    assert (row["patients"], row["samples"], row["missing"]) == (19, 54, 3)
    assert row["df"] < 34
    own = values[(values["feature"] == "m2") & ~gone].copy()
    own["patient"], own["visit"] = own["sample"].str.split("_").str[0], own["sample"].str.split("_").str[1]
    first = own["patient"].isin([f"p{at}" for at in range(6)]).to_numpy(dtype=float)
    visits = np.column_stack([own["visit"] == visit for visit in ("on", "late")]).astype(float)
    model = np.column_stack([np.ones(len(own)), first, visits, visits * first[:, None]])
    fit = fit_mixed(own["value"].to_numpy(), model, pd.factorize(own["patient"])[0])
    found = estimate_combination(fit, np.eye(6)[5])
    assert row["estimate"] == pytest.approx(found.estimate)
    assert row["p"] == pytest.approx(found.p)


def test_a_single_target_is_modelled_with_all_visits_of_the_cohort():
    values, design = cohort(6, 13, seed=3)
    table = modelled(values, design, contrast())
    assert set(table["target"]) == {"on"}
    assert set(table["visits"]) == {3}


def test_two_visits_give_a_table_with_a_note_alone():
    values, design = cohort()
    two = design[design["visit"] != "late"]
    at_baseline = contrast(name="b", estimand="baseline")
    table = modelled(values[values["sample"].isin(two["sample"])], two, contrast(), at_baseline)
    assert table["note"].tolist() == [
        "2 visits with at least 2 patients in each group: the primary test says it all",
        "compares one visit",
    ]
    assert table["p"].isna().all()
    assert (table["feature"] == "").all()
    assert table["same_sign"].isna().all()


def test_a_visit_of_too_few_patients_is_left_out_and_named():
    values, design = cohort(6, 13, seed=4)
    extra = pd.DataFrame({"sample": ["p0_end", "p7_end"], "patient": ["p0", "p7"], "visit": "end"})
    extra = extra.assign(tissue="blood", batch="b1", response=["responder", "non_responder"])
    more = pd.DataFrame({"sample": extra["sample"], "parent": "all", "feature": "m1", "value": [1.0, 2.0]})
    table = modelled(pd.concat([values, more]), pd.concat([design, extra]), contrast(**SEVERAL))
    row = row_of(table, "m1", "late")
    assert row["note"] == "visits left out for want of 2 patients a group: end"
    assert (row["visits"], row["samples"]) == (3, 57)


def test_targets_without_patients_and_features_without_spread_say_so():
    values, design = cohort(6, 13, seed=5)
    late = values["sample"].str.endswith("_late")
    flat = values[values["feature"] == "m1"].assign(feature="flat", value=1.0)
    table = modelled(pd.concat([values[~late | (values["feature"] == "m1")], flat]), design, contrast(**SEVERAL))
    assert "2 visits with a value" in row_of(table, "m2", "late")["note"]
    assert row_of(table, "flat", "on")["note"] == "no spread within patients"
    assert np.isnan(row_of(table, "flat", "on")["p"])
    assert np.isfinite(row_of(table, "m1", "on")["p"])


def test_all_patients_change_together_where_no_groups_are_compared():
    values, design = cohort(6, 13, seed=6)
    row = row_of(modelled(values, design, contrast(estimand="change", **SEVERAL)), "m1", "on")
    change = of(values, "m1", "on") - of(values, "m1", "pre")
    assert row["estimate"] == pytest.approx(change.mean())
    assert row["df_interaction"] == pytest.approx(36)


def test_covariates_enter_and_patients_without_one_are_named():
    values, design = cohort(6, 13, seed=7)
    ages = {f"p{at}": 50.0 + at for at in range(19)} | {"p4": np.nan}
    aged = design.assign(age=design["patient"].map(ages))
    gone = values["sample"].isin(["p1_late", "p8_on"])
    adjusted = row_of(modelled(values[~gone], aged, contrast(covariates=["age"], **SEVERAL)), "m1", "on")
    plain = row_of(
        modelled(values[~gone & ~values["sample"].str.startswith("p4_")], design, contrast(**SEVERAL)), "m1", "on"
    )
    assert adjusted["note"] == "left out for want of a covariate: p4"
    assert adjusted["patients"] == plain["patients"] == 18
    assert adjusted["estimate"] != plain["estimate"]


def test_signs_are_held_against_the_primary_test():
    values, design = cohort(6, 13, seed=8, shift=2.0)
    keys = {"layer": "measures", "contrast": "c", "parent": "all", "status": "tested"}
    tested = pd.DataFrame([keys | {"feature": "m1", "effect": 1.0}, keys | {"feature": "m2", "effect": np.nan}])
    table = modelled(values, design, contrast(**SEVERAL), tested=tested)
    assert bool(row_of(table, "m1", "late")["same_sign"])
    assert row_of(table, "m1", "late")["effect"] == 1.0
    assert table.query("feature == 'm2'")["same_sign"].isna().all()


def test_composition_has_the_log_ratios_of_the_primary_test():
    rng = np.random.default_rng(9)
    _, design = cohort(6, 13)
    subsets = {"a": 300, "b": 200, "rare": 2}
    rows = [("nk", sample, name, rng.poisson(size)) for sample in design["sample"] for name, size in subsets.items()]
    composition = pd.DataFrame(rows, columns=["parent", "sample", "subset", "cells"])
    testing = ContrastSettings(alpha=0.05, power=0.8, max_exact=30_000, draws=200, null_draws=20)
    floors = {"pseudo_count": 0.5, "min_cells": 20, "max_sparse_share": 0.3, "min_reference_share": 0.05}
    several = contrast(parents=["nk"], **SEVERAL)
    compared = compare_composition(composition, design, [several], testing, 1, **floors)
    tested = merge_contrasts({"composition": compared["contrasts"]}, {}, [several])
    table = modelled(composition, design, several, tested=tested, layer="composition")
    assert set(table["feature"]) == {"a", "b"}
    last = table[table["target"] == "late"].set_index("feature")
    # Nobody lacks a visit, so the change at the last one is what the primary test compares.
    np.testing.assert_allclose(last["estimate"], last["effect"])
    assert last["same_sign"].all()


def test_published_blood_of_eight_visits(tmp_path):
    """Repertoires of Snyder 2017: from visit D on at most one responder is left."""
    read = read_cohort(build_snyder(tmp_path / "snyder2017"))
    tables = check_inputs(read, **read.config["check_inputs"])
    values = load_measures(tables["measures"], tables["design"], **read.config["load_measures"])
    table = modelled(values, tables["design"], *read.config["contrasts"])
    blood = table[table["feature"] == "clonality"].set_index("contrast")
    assert blood["target"].to_dict() == {"blood_a_to_b": "B", "blood_a_to_c": "C"}
    assert set(blood["note"]) == {"visits left out for want of 2 patients a group: D, E, F, G, H"}
    row = blood.loc["blood_a_to_b"]
    assert (row["visits"], row["patients"], row["samples"], row["missing"]) == (3, 21, 62, 1)
    # Every patient has A and B, so that the estimate is the published difference of their changes.
    assert row["estimate"] == pytest.approx(0.0240, abs=5e-5)
    # As lmerTest 3.1.3 has it, with degrees of freedom after Kenward and Roger.
    assert row["p"] == pytest.approx(0.2259556, abs=1e-5)
    assert row["df"] == pytest.approx(37.00037, abs=1e-3)
    assert table.loc[table["contrast"] == "blood_at_a", "note"].tolist() == ["compares one visit"]


def test_a_blinded_cohort_has_no_group_to_model():
    values, design = cohort()
    table = modelled(values, design.assign(response=""), contrast(**SEVERAL), contrast(name="t", estimand="change"))
    by_contrast = table.groupby("contrast")["note"].first()
    assert by_contrast["c"].startswith("0 visits with at least 2 patients in each group")
    assert table.loc[table["contrast"] == "t", "p"].notna().all()
