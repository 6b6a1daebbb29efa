import pytest
from clinical_tables import STUDY, escalation, trial
from marker_sheets import SETTINGS, cells, patients_of, sheet_of

from immune_landscape.measure_biomarkers import measure_biomarkers
from immune_landscape.report_clinical import clinical_section


@pytest.fixture(scope="module")
def page():
    return clinical_section(trial(), STUDY)


def test_rates_and_medians_are_told_of_all_and_of_each_arm(page):
    table = trial()["endpoints"]
    for group, name in (("all", "All patients"), ("rak", "TAS-102 + RAK")):
        row = table[
            (table["group"] == group) & (table["population"] == "evaluable") & (table["endpoint"] == "orr")
        ].iloc[0]
        assert f"{name}</td>" in page
        assert f"{100 * row['estimate']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" in page
    assert "Median overall survival" in page
    assert "PD-L1 CPS</td>" not in page


def test_medians_of_evaluable_patients_are_told_where_nobody_was_randomised():
    endpoints = trial()["endpoints"]
    single = endpoints[endpoints["population"] != "intention_to_treat"]
    (row,) = single.query("endpoint == 'os' and population == 'evaluable' and by == 'all'").to_dict("records")
    told = f"{row['estimate']:.1f} [{row['low']:.1f}, not reached]"
    assert row["high"] == float("inf")
    assert told in clinical_section({"endpoints": single}, STUDY)
    assert told not in clinical_section({"endpoints": endpoints}, STUDY)


def test_arms_are_compared_with_their_strata(page):
    table = trial()["comparisons"]
    rows = table[(table["measure"] == "hazard_ratio") & (table["endpoint"] == "os")]
    stratified = rows[rows["strata"] != ""].iloc[0]
    plain = rows[rows["strata"] == ""].iloc[0]
    shown = [f"{row['estimate']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" for row in (stratified, plain)]
    assert shown[0] != shown[1]
    assert shown[0] in page
    assert shown[1] not in page
    assert "stratified by PD-L1 CPS" in page


def test_safety_and_doses_are_lines():
    text = clinical_section(escalation(), STUDY)
    assert "0 of 24 treated patients had one of grade 3 or 4 at worst (0.0 to 14.2 %)." in text
    assert "Dose-limiting toxicity in 0 of 24 evaluable patients (0.0 to 14.2 %)." in text
    assert "Maximum tolerated dose: not reached" in text
    assert "maximum administered dose 8" in text


def test_a_median_that_is_not_reached_says_so():
    table = trial()["endpoints"].assign(estimate=float("inf"))
    assert "not reached" in clinical_section({"endpoints": table[table["endpoint"] == "os"]}, STUDY)


def test_an_estimate_without_an_interval_says_so():
    table = trial()["comparisons"].assign(low=float("nan"), high=float("nan"))
    text = clinical_section({"comparisons": table}, STUDY)
    assert "[no interval]" in text
    assert "nan" not in text


def test_nothing_given_makes_no_section():
    table = trial()["endpoints"].assign(estimate=float("nan"))
    assert clinical_section({"endpoints": table, "comparisons": None}, STUDY) is None
    assert clinical_section({}, STUDY) is None


def test_biomarkers_are_lines_with_their_classes_and_conflicts():
    rows = [cells("P01", tumour=20), cells("P02", tumour=0, cps=4), cells("P03", viable=20)]
    study = {"visits": ["baseline"], "randomisation": {}}
    tables = measure_biomarkers(patients_of(3), sheet_of(*rows), study, **SETTINGS)
    given = {"marker_classes": tables["summary"], "marker_conflicts": tables["conflicts"]}
    text = clinical_section(given, STUDY)
    assert "PD-L1 combined positive score: 0 below 1, 2 at least 1, 0 at least 5, 0 at least 10 of 2 patients" in text
    assert "1 not evaluable" in text
    assert "Sources disagree on a biomarker of 1 patient" in text
