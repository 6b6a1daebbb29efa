import numpy as np
import pandas as pd
import pytest
from scipy import stats
from values_tables import TESTING, VISITS, cohort, contrast, is_responder, of

from immune_landscape import contrast_engine
from immune_landscape.claim_rules import why_untested
from immune_landscape.compare_values import DIFFERENCE_COLUMNS, compare_values
from immune_landscape.contrast_tests import contrast_columns
from immune_landscape.measure_populations import measure_populations
from immune_landscape.permutation import permute_labels


def compare(values, design, *contrasts, layer="measures", **changes):
    tables = compare_values(values, design, contrasts, layer, TESTING._replace(**changes), 1)
    assert list(tables) == ["contrasts", "differences", "influence", "null"]
    return tables


def row_of(tables, feature):
    (row,) = tables["contrasts"].query("feature == @feature").to_dict("records")
    return row


def test_the_change_is_compared_as_by_hand():
    values, design = cohort()
    tables = compare(values, design, contrast())
    change = (of(values, "m2", "on") - of(values, "m2", "pre")).to_numpy()
    row = row_of(tables, "m2")
    assert tables["contrasts"].columns.tolist() == contrast_columns("feature")
    assert row["effect"] == pytest.approx(change[:4].mean() - change[4:].mean())
    assert row["statistic"] == pytest.approx(stats.ttest_ind(change[:4], change[4:], equal_var=False).statistic)
    assert row["p"] == permute_labels(change, is_responder(), 0).p[0]
    assert row["ci_low"] < row["effect"] < row["ci_high"]


def test_differences_carry_measurement_intervals_and_units():
    values, design = cohort()
    own = compare(values, design, contrast())["differences"].query("feature == 'm1'")
    assert own.columns.tolist() == DIFFERENCE_COLUMNS
    np.testing.assert_allclose(own["before_low"], own["before"] - 0.1)
    np.testing.assert_allclose(own["after_high"], own["after"] + 0.1)
    assert set(own["unit"]) == {"u"}


def test_a_patient_without_a_value_is_named_and_left_out_of_that_feature_alone():
    values, design = cohort()
    gone = (values["sample"] == "p9_on") & (values["feature"] == "m1")
    tables = compare(values[~gone], design, contrast())
    assert (row_of(tables, "m1")["n_b"], row_of(tables, "m2")["n_b"]) == (5, 6)
    assert "left out for want of a value: p9" in row_of(tables, "m1")["note"]
    assert len(tables["differences"].query("feature == 'm1'")) == 9


def test_many_patients_left_out_are_counted(monkeypatch):
    monkeypatch.setattr(contrast_engine, "MOST_NAMED", 2)
    values, design = cohort()
    gone = values["sample"].isin(["p7_on", "p8_on", "p9_on"]) & (values["feature"] == "m1")
    note = row_of(compare(values[~gone], design, contrast()), "m1")["note"]
    assert "left out for want of a value: p7, p8, and 1 more" in note


@pytest.mark.parametrize("adjusted", [True, False])
def test_groups_that_are_masked_leave_every_row_without_a_test(adjusted):
    values, design = cohort()
    masked = design.assign(response="")
    tables = compare(values, masked, contrast(adjust_baseline=adjusted))
    assert set(tables["contrasts"]["status"]) == {"not_testable"}
    assert tables["contrasts"]["p"].isna().all()
    assert tables["contrasts"]["note"].str.contains("no patient belongs to either group: not recorded, or masked").all()
    assert tables["differences"].empty


def test_the_family_is_what_the_contrast_declares_for_the_layer():
    values, design = cohort()
    named = compare(values, design, contrast(features={"measures": ["all/m1"]}))
    assert np.isfinite(row_of(named, "m1")["p_maxt"])
    assert row_of(named, "m1")["p_maxt"] == row_of(named, "m1")["p"]
    outside = row_of(named, "m2")
    assert np.isnan(outside["p_maxt"])
    assert (outside["family"], np.isfinite(outside["p"])) == ("exploratory", True)
    elsewhere = compare(values, design, contrast(features={"expansion": ["clonality"]}))
    assert elsewhere["contrasts"]["p_maxt"].notna().all()


@pytest.mark.parametrize(
    ("summary", "weights"),
    [("last", (-1, 0, 1)), ("mean", (-1, 0.5, 0.5)), ("slope", (-0.5, 0, 0.5))],
)
def test_several_targets_become_one_number(summary, weights):
    values, design = cohort()
    keys = {"target": "", "targets": ["on", "late"], "summary": summary}
    row = row_of(compare(values, design, contrast(**keys)), "m1")
    number = sum(weight * of(values, "m1", visit) for weight, visit in zip(weights, VISITS, strict=True)).to_numpy()
    assert row["effect"] == pytest.approx(number[:4].mean() - number[4:].mean())
    assert f"{summary} of the targets present (on 10 of 10, late 10 of 10 patients)" in row["note"]


def test_of_several_targets_the_last_present_is_taken_and_the_gap_told():
    values, design = cohort()
    values = values[values["sample"] != "p0_late"]
    keys = {"target": "", "targets": ["on", "late"]}
    row = row_of(compare(values, design, contrast(**keys)), "m1")
    last = of(values, "m1", "late").reindex([f"p{i}" for i in range(10)])
    last["p0"] = of(values, "m1", "on")["p0"]
    change = (last - of(values, "m1", "pre")).to_numpy()
    assert row["effect"] == pytest.approx(change[:4].mean() - change[4:].mean())
    assert "late 9 of 10 patients" in row["note"]


def test_light_mode_leaves_effect_and_p_and_nothing_slow():
    values, design = cohort()
    full, light = (compare(values, design, contrast(), intervals=wanted) for wanted in (True, False))
    for name in ("effect", "p", "p_maxt"):
        np.testing.assert_array_equal(full["contrasts"][name], light["contrasts"][name])
    assert light["influence"].empty
    assert light["null"].empty
    assert np.isinf(light["contrasts"]["ci_low"]).all()


def test_one_patient_who_carries_a_finding_is_named():
    values, design = cohort(6, 8, shift=0.0)
    carried = (values["sample"] == "p2_on") & (values["feature"] == "m1")
    values.loc[carried, "value"] += 40
    row = row_of(compare(values, design, contrast()), "m1")
    assert row["loo_patient"] == "p2"
    assert row["loo_low"] < row["effect"] / 2


def test_no_values_give_empty_tables():
    values, design = cohort()
    tables = compare(values.iloc[:0], design, contrast())
    assert all(table.empty for table in tables.values())


def test_a_planted_change_is_found_and_the_null_run_counts_it():
    values, design = cohort(6, 13, shift=4.0)
    tables = compare(values, design, contrast(features={"measures": ["m1"]}))
    assert row_of(tables, "m1")["p_maxt"] <= 0.05
    null = tables["null"].set_index("family")
    assert null.loc["primary", "found_corrected"] == 1
    assert null.loc["primary", "null_mean_corrected"] == pytest.approx(0.05, abs=0.03)


def test_a_population_that_is_too_sparse_is_listed_as_such_and_costs_the_family_nothing():
    _, design = cohort()
    counts = {"common": 400, "rare": 3}
    given = [(at, sample, gate) for at, sample in enumerate(design["sample"]) for gate in counts]
    rows = [(sample, gate, "", counts[gate] + at, np.nan) for at, sample, gate in given]
    sheet = pd.DataFrame(rows, columns=["sample", "population", "parent", "count", "fraction"])
    floors = {"pseudo_count": 0.5, "min_events": 20, "max_sparse_share": 0.3, "share_floor": 0.001}
    tables = compare(measure_populations(sheet, design, **floors), design, contrast(), layer="populations")
    common, rare = row_of(tables, "common"), row_of(tables, "rare")
    assert (common["status"], rare["status"]) == ("tested", "too_sparse")
    assert np.isnan(rare["effect"])
    assert np.isnan(rare["p"])
    assert rare["note"].startswith("fewer than 20 events in 17 of 30 samples")
    assert why_untested(rare) == "too sparse: fewer than 20 events in 17 of 30 samples"
    assert common["p_maxt"] == common["p"]
    assert common["mde_d_family"] == common["mde_d"]


def test_the_null_run_tells_how_many_patients_share_a_family_and_leaves_other_rows_theirs():
    values, design = cohort(6, 13)
    gone = values["sample"].isin(["p3_on", "p9_on"]) & (values["feature"] == "m1")
    (family,) = compare(values[~gone], design, contrast())["null"].to_dict("records")
    assert family["note"] == "corrected p in the 17 of 19 patients who have all features of the family"
    assert compare(values, design, contrast())["null"]["note"].tolist() == [""]
    third = values[values["feature"] == "m2"].assign(feature="m3")
    outside = contrast(features={"measures": ["m3"]})
    gaps = compare(pd.concat([values[~gone], third]), design, outside)["null"].set_index("family")
    full = compare(values, design, outside)["null"].set_index("family")
    assert gaps.loc["exploratory", "tests"] == full.loc["exploratory", "tests"] == 2
    assert gaps.loc["exploratory", "null_mean_found"] == pytest.approx(0.1, abs=0.05)
    assert set(gaps["note"]) == {""}
