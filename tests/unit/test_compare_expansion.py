from itertools import combinations, product
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.compare_expansion import DIFFERENCE_COLUMNS, compare_expansion
from immune_landscape.contrast_tests import contrast_columns
from immune_landscape.errors import DesignError

SETTINGS = {
    "metrics": ["expanded_share", "clonality"],
    "scopes": ["all"],
    "alpha": 0.05,
    "power": 0.8,
    "max_exact": 5_000_000,
    "draws": 999,
}
INTERACTION = {
    "name": "expansion_by_response",
    "estimand": "response_by_visit",
    "reference": "baseline",
    "target": "on_treatment",
}
RESPONDERS = 4
PATIENTS = [f"P{number:02d}" for number in range(1, 11)]
VISITS = ("baseline", "on_treatment")


def cohort():
    rows = [
        (f"{patient}_{visit}", patient, visit, "blood", "responder" if at < RESPONDERS else "non_responder")
        for at, patient in enumerate(PATIENTS)
        for visit in VISITS
    ]
    table = pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])
    return table.assign(arm="", batch="b1", day=np.nan, tcr="contigs.csv", gex="", bulk_tcr="")


def expansion(design, seed=0, shift=0.0):
    """Simulate standardised metrics per sample; `shift` is added to responders on treatment."""
    rng = np.random.default_rng(seed)
    tables = []
    for metric, standardised in (("expanded_share", True), ("clonality", True), ("receptor_cells", False)):
        table = design[["sample", "patient", "visit", "tissue", "response"]].copy()
        value = rng.normal(0.3, 0.1, len(table))
        value[(table["response"] == "responder") & (table["visit"] == "on_treatment")] += shift
        tables.append(table.assign(scope="all", metric=metric, value=value, standardised=standardised))
    raw = tables[0].assign(standardised=False, value=9.0)
    return pd.concat([*tables, raw], ignore_index=True)


def changes(table, metric):
    chosen = table[(table["metric"] == metric) & table["standardised"] & (table["scope"] == "all")]
    wide = chosen.pivot_table(index="patient", columns="visit", values="value")
    return (wide["on_treatment"] - wide["baseline"]).reindex(PATIENTS).to_numpy()


def welch(values, members):
    first, second = values[list(members)], np.delete(values, list(members))
    return stats.ttest_ind(first, second, equal_var=False).statistic


def row_of(table, metric):
    return table[table["metric"] == metric].iloc[0]


def test_interaction_equals_all_labelings_by_hand():
    design = cohort()
    data = expansion(design, shift=0.15)
    table, _ = compare_expansion(data, design, [INTERACTION], 0, **SETTINGS)
    labelings = list(combinations(range(10), RESPONDERS))
    by_metric = {
        metric: np.abs([welch(changes(data, metric), members) for members in labelings])
        for metric in SETTINGS["metrics"]
    }
    for metric, statistics in by_metric.items():
        row, values = row_of(table, metric), changes(data, metric)
        assert row["effect"] == pytest.approx(values[:RESPONDERS].mean() - values[RESPONDERS:].mean())
        assert abs(row["statistic"]) == pytest.approx(statistics[0])
        assert row["p"] == pytest.approx(np.mean(statistics >= statistics[0] * (1 - 1e-9)))
        assert (row["labelings"], row["exact"]) == (comb(10, RESPONDERS), True)
        assert (row["n_a"], row["n_b"], row["status"]) == (4, 6, "tested")
        assert row["ci_low"] < row["effect"] < row["ci_high"]
    largest = max(by_metric, key=lambda metric: by_metric[metric][0])
    maxima = np.max(list(by_metric.values()), axis=0)
    assert row_of(table, largest)["p_maxt"] == pytest.approx(np.mean(maxima >= maxima[0] * (1 - 1e-9)))


def test_differences_hold_each_patient_before_and_after():
    design = cohort()
    data = expansion(design)
    _, differences = compare_expansion(data, design, [INTERACTION], 0, **SETTINGS)
    assert list(differences.columns) == DIFFERENCE_COLUMNS
    shares = differences[differences["metric"] == "expanded_share"].set_index("patient")
    assert shares.loc[PATIENTS, "difference"].to_numpy() == pytest.approx(changes(data, "expanded_share"))
    assert (shares["after"] - shares["before"]).to_numpy() == pytest.approx(shares["difference"].to_numpy())
    assert shares["group"].value_counts().to_dict() == {"non_responder": 6, "responder": 4}


def test_change_in_all_patients_equals_all_signings_by_hand():
    design = cohort()
    data = expansion(design, seed=3, shift=0.2)
    contrast = {**INTERACTION, "estimand": "change"}
    table, _ = compare_expansion(data, design, [contrast], 0, **SETTINGS)
    values = changes(data, "expanded_share")
    means = np.abs([np.mean(values * signs) for signs in product((1, -1), repeat=10)])
    row = row_of(table, "expanded_share")
    assert row["effect"] == pytest.approx(values.mean())
    assert row["p"] == pytest.approx(np.mean(means >= means[0] * (1 - 1e-9)))
    assert (row["group_a"], row["group_b"], row["labelings"]) == ("all", "", 2**10)


def test_baseline_uses_the_first_visit_only():
    design = cohort()
    data = expansion(design, shift=5)
    contrast = {"name": "at_baseline", "estimand": "baseline", "reference": "baseline"}
    table, differences = compare_expansion(data, design, [contrast], 0, **SETTINGS)
    before = data[(data["metric"] == "clonality") & (data["visit"] == "baseline")].groupby("response")["value"].mean()
    assert row_of(table, "clonality")["effect"] == pytest.approx(before["responder"] - before["non_responder"])
    assert differences["difference"].isna().all()


def test_unmeasured_sample_leaves_its_patient_out_and_is_named():
    design = cohort()
    data = expansion(design)
    data.loc[(data["sample"] == "P07_baseline") & (data["metric"] == "clonality"), "value"] = np.nan
    table, differences = compare_expansion(data, design, [INTERACTION], 0, **SETTINGS)
    row = row_of(table, "clonality")
    assert (row["n_a"], row["n_b"], row["labelings"]) == (4, 5, comb(9, 4))
    assert "left out for want of receptor cells: P07" in row["note"]
    assert row_of(table, "expanded_share")["n_b"] == 6
    assert "P07" not in set(differences.loc[differences["metric"] == "clonality", "patient"])


def test_what_cannot_be_tested_has_a_row_and_no_p():
    design = cohort()
    data = expansion(design)
    absent = {**SETTINGS, "scopes": ["all", "cd8_teff"]}
    table, _ = compare_expansion(data, design, [INTERACTION], 0, **absent)
    missing = table[table["parent"] == "cd8_teff"]
    assert missing["note"].str.contains("not measured in any patient").all()
    assert (missing["status"] == "not_testable").all()
    assert missing[["p", "p_maxt", "effect"]].isna().all(axis=None)
    assert list(table.columns) == contrast_columns("metric")
    few = design[design["patient"].isin(PATIENTS[2:6])]
    table, _ = compare_expansion(data, few, [INTERACTION], 0, **SETTINGS)
    assert table["note"].str.contains("smallest attainable p").all()
    assert table["p"].isna().all()
    assert table["effect"].notna().all()


def test_counts_enter_as_they_are_and_shares_as_standardised():
    design = cohort()
    data = expansion(design)
    settings = {**SETTINGS, "metrics": ["expanded_share", "receptor_cells"]}
    table, differences = compare_expansion(data, design, [INTERACTION], 0, **settings)
    assert (table["status"] == "tested").all()
    assert not (differences["before"] == 9.0).any()


def test_no_contrast_gives_empty_tables_and_a_wrong_one_is_told():
    design = cohort()
    tables = compare_expansion(expansion(design), design, [], 0, **SETTINGS)
    assert [list(table.columns) for table in tables] == [contrast_columns("metric"), DIFFERENCE_COLUMNS]
    assert all(table.empty for table in tables)
    with pytest.raises(DesignError, match="estimand is 'trend'"):
        compare_expansion(expansion(design), design, [{**INTERACTION, "estimand": "trend"}], 0, **SETTINGS)


def test_null_cohorts_reject_at_the_nominal_rate():
    design = cohort()
    settings = {**SETTINGS, "metrics": ["clonality"], "max_exact": 1000}
    p_values = [
        compare_expansion(expansion(design, seed=seed), design, [INTERACTION], 0, **settings)[0]["p"].iloc[0]
        for seed in range(200)
    ]
    rejected = sum(p <= 0.05 for p in p_values)
    assert stats.binomtest(rejected, 200, 0.05).pvalue > 0.01
