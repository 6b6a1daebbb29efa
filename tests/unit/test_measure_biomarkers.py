import numpy as np
import pandas as pd
import pytest
from marker_sheets import SETTINGS, cells, patients_of, proteins, sheet_of
from scipy.stats import beta

from immune_landscape.measure_biomarkers import AGREES, measure_biomarkers

STUDY = {"visits": ["baseline", "later"], "randomisation": {}, "eligibility": {}}
STRATUM = {"column": "cps_group", "cut": 1, "high": "at_least_1", "low": "below_1"}


def measured(sheet, patients=None, study=STUDY, **settings):
    known = patients_of(sheet["patient"].nunique()) if patients is None else patients
    return measure_biomarkers(known, sheet, study, **{**SETTINGS, **settings})


def one(tables, patient="P01", marker="cps"):
    table = tables["biomarkers"]
    return table[(table["patient"] == patient) & (table["marker"] == marker)].iloc[0]


def test_counts_become_a_score_with_its_class():
    row = one(measured(sheet_of(cells(tumour=10, lymphocytes=5, macrophages=3, viable=300, pdl1_assay="22C3"))))
    assert row["value"] == pytest.approx(100 * 18 / 300)
    assert (row["class"], row["source"], row["assay"], row["arm"]) == ("5_to_10", "computed", "22C3", "old")


def test_patients_without_a_measurement_are_told_so():
    tables = measured(sheet_of(cells("P01")), patients_of(3))
    assert one(tables, "P02")["reason"] == "not measured"
    assert one(tables, "P02")["class"] == ""
    assert len(tables["biomarkers"]) == 3
    everybody = tables["summary"].query("by == 'all' and `class` == 'at_least_1'").iloc[0]
    assert (everybody["patients"], everybody["n"], everybody["not_evaluable"]) == (1, 1, 2)


def test_a_measurement_that_was_not_chosen_is_held_against_what_is_given_with_it():
    high = cells(tumour=90, lymphocytes=0, macrophages=0, viable=300, tissue="tumour", region="core")
    low = cells(tumour=18, lymphocytes=0, macrophages=0, viable=300, cps=1, tissue="tumour", region="margin")
    tables = measured(sheet_of(high, low))
    assert one(tables)["region"] == "core"
    assert tables["conflicts"]["kind"].tolist() == ["computed_given"]
    assert "(tumour, margin)" in tables["conflicts"]["message"][0]


@pytest.mark.parametrize(("prefer", "value", "named"), [("given", 3.0, "1_to_5"), ("computed", 6.0, "5_to_10")])
def test_what_is_given_and_computed_are_held_against_each_other(prefer, value, named):
    tables = measured(sheet_of(cells(tumour=18, lymphocytes=0, macrophages=0, viable=300, cps=3)), prefer=prefer)
    row = one(tables)
    assert (row["value"], row["class"], row["source"]) == (value, named, prefer)
    conflict = tables["conflicts"].iloc[0]
    assert (conflict["kind"], conflict["used"]) == ("computed_given", prefer)
    assert "6 (5_to_10)" in conflict["message"]


def test_rounding_is_no_conflict_but_another_class_is():
    rounded = cells(tumour=7, lymphocytes=0, macrophages=0, viable=300, cps=2)
    assert measured(sheet_of(rounded))["conflicts"].empty
    # 0.6 rounds to 1, which is in another class.
    across = cells(tumour=6, lymphocytes=0, macrophages=0, viable=1000, cps=1)
    assert measured(sheet_of(across))["conflicts"]["kind"].tolist() == ["computed_given"]


def test_a_score_given_of_too_few_cells_is_listed():
    tables = measured(sheet_of(cells(viable=60, cps=8)))
    assert tables["conflicts"]["kind"].tolist() == ["given_unreadable"]
    assert one(tables)["class"] == "5_to_10"
    assert "fewer than 100" in one(tables)["reason"]
    assert one(measured(sheet_of(cells(viable=60, cps=8)), prefer="computed"))["class"] == "5_to_10"


def test_patients_tsv_gives_what_the_sheet_does_not():
    patients = patients_of(2, msi=["MSS", "MSI-H"], tmb=[3.0, 12.0])
    tables = measured(sheet_of(proteins("P01"), proteins("P02")), patients)
    assert (one(tables, "P02", "msi")["class"], one(tables, "P02", "tmb")["class"]) == ("MSI-H", "TMB-H")
    assert tables["conflicts"]["kind"].tolist() == ["mmr_msi"]
    assert tables["conflicts"]["patient"].tolist() == ["P02"]


def test_two_sheets_that_differ_are_listed():
    patients = patients_of(1, msi="MSI-H", cps=20.0)
    row = cells(tumour=10, lymphocytes=0, macrophages=0, viable=1000, cps=1, msi="MSS")
    tables = measured(sheet_of(row), patients)
    assert sorted(tables["conflicts"]["kind"]) == ["sheets_differ", "sheets_differ"]
    assert one(tables, marker="msi")["class"] == "MSS"


def test_the_number_behind_a_given_status_is_kept_where_the_counts_agree():
    told = {"patient": "P01", "msi_markers_unstable": 3, "msi_markers_tested": 5}
    assert one(measured(sheet_of({**told, "msi": "MSI-H"})), marker="msi")["value"] == pytest.approx(0.6)
    disagreeing = measured(sheet_of({**told, "msi": "MSS"}))
    assert np.isnan(one(disagreeing, marker="msi")["value"])
    assert disagreeing["conflicts"]["kind"].tolist() == ["computed_given"]


def test_a_score_by_sequencing_is_classed_by_its_own_limit_alone():
    row = sheet_of({"patient": "P01", "msi_score": 12.0})
    assert measured(row)["biomarkers"].empty
    assert one(measured(row, msi_score_high=10.0), marker="msi")["class"] == "MSI-H"
    assert one(measured(row, msi_score_high=20.0), marker="msi")["class"] == "MSS"


@pytest.mark.parametrize(("several", "value"), [("highest", 4.0), ("first", 1.0)])
def test_of_several_measurements_one_of_the_earliest_visit_is_taken(several, value):
    rows = [
        cells(tumour=50, lymphocytes=0, macrophages=0, viable=100, visit="later"),
        cells(tumour=1, lymphocytes=0, macrophages=0, viable=100, visit="baseline", region="core"),
        cells(tumour=4, lymphocytes=0, macrophages=0, viable=100, visit="baseline", region="margin"),
        cells(tumour=9, lymphocytes=0, macrophages=0, viable=90, visit="baseline", region="edge"),
    ]
    tables = measured(sheet_of(*rows), several=several)
    row = one(tables)
    assert row["value"] == value
    assert (row["measurements"], row["reason"]) == (4, f"{several} of 3")
    assert len(tables["measurements"]) == 4


def test_any_deficient_region_makes_a_patient_deficient():
    rows = [proteins(region="core"), proteins(region="margin", lost=("msh6",))]
    row = one(measured(sheet_of(*rows)), marker="mmr")
    assert (row["class"], row["region"]) == ("dMMR", "margin")


def test_small_and_different_panels_are_flagged():
    rows = [
        {"patient": "P01", "n_nonsynonymous": 4, "callable_mb": 0.4, "tmb_panel": "small"},
        {"patient": "P02", "n_nonsynonymous": 200, "callable_mb": 34.0, "tmb_panel": "exome"},
    ]
    tables = measured(sheet_of(*rows))
    assert one(tables, "P01", "tmb")["flag"] == "panel of 0.4 Mb, below 0.667; 2 panels in the cohort, not harmonised"
    assert one(tables, "P02", "tmb")["flag"] == "2 panels in the cohort, not harmonised"
    by_panel = tables["summary"].query("by == 'tmb_panel' and `class` == 'TMB-H'").set_index("group")
    assert by_panel["patients"].to_dict() == {"small": 1, "exome": 0}
    alone = measured(sheet_of(rows[1]), patients_of(1).assign(patient="P02"))
    assert one(alone, "P02", "tmb")["flag"] == ""


def test_classes_are_counted_by_arm_and_stratum_with_exact_intervals():
    scores = [0, 2, 6, 12, 0.5, 3]
    rows = [{"patient": f"P{at:02d}", "cps": score} for at, score in enumerate(scores, 1)]
    patients = patients_of(6, cps_group=["below_1", *["at_least_1"] * 5])
    study = STUDY | {"randomisation": {"strata": ["cps_group"]}}
    tables = measured(sheet_of(*rows), patients, study, stratum=STRATUM)
    summary = tables["summary"].set_index(["by", "group", "class"])
    assert summary.loc[("all", "all", "at_least_5"), "patients"] == 2
    row = summary.loc[("arm", "new", "at_least_1")]
    assert (row["patients"], row["n"]) == (3, 4)
    assert row["low"] == pytest.approx(beta.ppf(0.025, 3, 2))
    assert row["high"] == pytest.approx(beta.ppf(0.975, 4, 1))
    agreeing = summary.loc[("all", "all", AGREES)]
    assert (agreeing["patients"], agreeing["n"]) == (5, 6)
    conflict = tables["conflicts"].iloc[0]
    assert (conflict["patient"], conflict["kind"], conflict["used"]) == ("P05", "stratum", "at_least_1")


def test_patients_outside_the_rule_are_named_and_kept():
    study = STUDY | {"eligibility": {"mmr": ["pMMR"], "msi": ["MSS"], "sex": ["female"]}}
    patients = patients_of(3, msi=["MSS", "MSI-H", ""], sex=["female", "male", ""])
    tables = measured(sheet_of(*(proteins(f"P0{at}") for at in (1, 2, 3))), patients, study)
    judged = tables["biomarkers"].set_index(["patient", "marker"])["eligibility"]
    assert judged.xs("mmr", level="marker").tolist() == ["eligible"] * 3
    assert judged.xs("msi", level="marker").tolist() == ["eligible", "outside", "not known"]
    assert judged.xs("sex", level="marker").tolist() == ["eligible", "outside", "not known"]
    assert tables["summary"]["marker"].isin(["mmr", "msi"]).all()


def test_without_arms_all_patients_are_one_group():
    tables = measured(sheet_of(cells("P01"), cells("P02")), patients_of(2, arm=""))
    assert set(tables["summary"]["by"]) == {"all"}


def test_an_empty_sheet_makes_empty_tables():
    tables = measured(sheet_of(), patients_of(2))
    assert all(table.empty for table in tables.values())
    assert isinstance(tables["summary"], pd.DataFrame)


def test_strata_named_as_a_column_of_measurements_are_those_of_the_patients():
    people = patients_of(4, source=["at_least_1", "below_1", "at_least_1", "below_1"])
    rows = [
        cells(name, tumour=more, lymphocytes=0, macrophages=0)
        for name, more in zip(people["patient"], (50, 0, 50, 50), strict=True)
    ]
    study = STUDY | {"randomisation": {"ratio": {"new": 1, "old": 1}, "control": "old", "strata": ["source"]}}
    summary = measured(sheet_of(*rows), people, study, stratum=STRATUM | {"column": "source"})["summary"]
    own = summary[summary["by"] == "source"]
    assert own.groupby("group")["n"].first().to_dict() == {"at_least_1": 2, "below_1": 2}
    agreed = summary[(summary["class"] == AGREES) & (summary["by"] == "all")].iloc[0]
    assert (agreed["patients"], agreed["n"]) == (3, 4)
