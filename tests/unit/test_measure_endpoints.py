import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from immune_landscape.check_inputs import check_inputs
from immune_landscape.cohort import read_cohort
from immune_landscape.measure_endpoints import COLUMNS, NOT_GIVEN, measure_endpoints, risk_ticks
from immune_landscape.survival import kaplan_meier, restricted_mean, survival_at

STUDY = {"time_unit": "months"}
BEST = ["CR"] + ["PR"] * 5 + ["SD"] * 8 + ["PD"] * 5


def sheet(best=tuple(BEST), **columns):
    patients = [f"P{at:02d}" for at in range(len(best))]
    times = np.arange(1, len(best) + 1) / 2
    return pd.DataFrame(
        {"patient": patients, "best_response": list(best), "evaluable": "yes", "arm": "a"}
        | {"pfs_time": times, "pfs_event": 1, "os_time": times + 4, "os_event": 1}
        | columns
    )


def row(table, endpoint, population="evaluable", group="all", by=None):
    by = by or ("all" if group == "all" else "arm")
    found = table.query("endpoint == @endpoint and population == @population and by == @by and group == @group")
    assert len(found) == 1
    return found.iloc[0]


def tables(table=None, study=STUDY, level=0.95, times=(), window=None):
    return measure_endpoints(sheet() if table is None else table, study, level=level, times=list(times), window=window)


def measured(table=None, **given):
    return tables(table, **given)["endpoints"]


def test_rates_of_the_reference_trial():
    table = measured()
    assert table.columns.tolist() == COLUMNS
    orr, dcr = row(table, "orr"), row(table, "dcr")
    assert (orr["n"], orr["events"], round(orr["estimate"], 3)) == (19, 6, 0.316)
    assert (round(orr["low"], 3), round(orr["high"], 3)) == (0.126, 0.566)
    assert (dcr["events"], round(dcr["estimate"], 3)) == (14, 0.737)
    assert (round(dcr["low"], 3), round(dcr["high"], 3)) == (0.488, 0.909)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_are_those_of_the_beta_distribution(level):
    orr = row(measured(level=level), "orr")
    tail = (1 - level) / 2
    assert orr["low"] == pytest.approx(beta.ppf(tail, 6, 14))
    assert orr["high"] == pytest.approx(beta.ppf(1 - tail, 7, 13))


def test_medians_are_in_the_unit_of_the_cohort():
    pfs = row(measured(), "pfs")
    # Without censoring the median of the curve is that of the times.
    assert (pfs["estimate"], pfs["unit"], pfs["n"], pfs["events"]) == (5.0, "months", 19, 19)
    assert pfs["low"] < 5.0 < pfs["high"]
    assert row(measured(), "os")["estimate"] == 9.0


def test_patients_without_an_assessed_response_count_among_all_treated_only():
    table = measured(sheet(best=[*BEST, "NE", "", "PR"], evaluable=["yes"] * 21 + ["no"]))
    assert (row(table, "orr")["n"], row(table, "orr")["events"]) == (19, 6)
    everybody = row(table, "orr", "all_treated")
    assert (everybody["n"], everybody["events"]) == (22, 7)
    assert row(table, "pfs")["n"] == 19
    assert row(table, "pfs", "all_treated")["n"] == 22


def test_arms_are_added_when_there_are_several():
    assert set(measured()["by"]) == {"all"}
    arms = ["x"] * 10 + ["y"] * 9
    table = measured(sheet(arm=arms))
    assert set(table["group"]) == {"all", "x", "y"}
    assert (row(table, "orr", group="x")["n"], row(table, "orr", group="x")["events"]) == (10, 6)
    assert (row(table, "orr", group="y")["n"], row(table, "orr", group="y")["events"]) == (9, 0)
    assert row(table, "orr", group="y")["low"] == 0


def test_a_masked_cohort_has_rows_without_numbers():
    blank = dict.fromkeys(("pfs_time", "pfs_event", "os_time", "os_event"), np.nan)
    table = measured(sheet(best=[""] * 19, evaluable="", arm="", **blank))
    assert set(table["method"]) == {NOT_GIVEN}
    assert table["estimate"].isna().all()
    assert (table["n"] == 0).all()
    assert set(table["endpoint"]) == {"orr", "dcr", "pfs", "os"}


def test_absent_columns_are_not_given():
    table = measured(sheet()[["patient", "os_time", "os_event"]])
    given = table[table["method"] != NOT_GIVEN]
    assert set(given["population"]) == {"all_treated"}
    assert set(given["endpoint"]) == {"os", "os_rate", "os_mean"}


def test_patients_without_a_time_or_flag_do_not_enter_a_curve():
    times = np.arange(1, 20, dtype=float)
    times[0] = np.nan
    flags = np.ones(19)
    flags[[1, 2]] = np.nan, 0
    pfs = row(measured(sheet(pfs_time=times, pfs_event=flags)), "pfs")
    assert (pfs["n"], pfs["events"]) == (17, 16)


def test_a_median_that_is_not_reached_is_infinite():
    pfs = row(measured(sheet(pfs_event=[1] + [0] * 18)), "pfs")
    assert math.isinf(pfs["estimate"])
    assert math.isinf(pfs["high"])


def test_a_treated_patient_without_any_sample_is_among_all_treated(tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "cohort.yaml").write_text("title: Endpoints\nvisits: [before]\nlayers: [measures]\n")
    lines = [f"P{at:02d}\t{best}\t{at + 1}\t1" for at, best in enumerate([*BEST, "NE"])]
    (folder / "patients.tsv").write_text("\n".join(["patient\tbest_response\tos_time\tos_event", *lines]) + "\n")
    samples = [f"s{at:02d}\tP{at:02d}\tbefore" for at in range(18)]
    (folder / "samples.tsv").write_text("\n".join(["sample\tpatient\tvisit", *samples]) + "\n")
    (folder / "measures.tsv").write_text("sample\tmeasure\tvalue\ns00\tx\t1\ns01\tx\t2\n")
    checked = check_inputs(read_cohort(folder), min_pairs=1, untestable_contrasts="note", probe_cells=10)
    assert checked["design"]["patient"].nunique() == 18
    everybody = measured(checked["outcomes"])
    assert row(everybody, "orr", "all_treated")["n"] == 20
    assert row(everybody, "orr")["n"] == 19
    assert row(everybody, "os", "all_treated")["n"] == 20


def test_survival_at_landmarks_and_restricted_means_are_those_of_the_curve():
    table = sheet(pfs_event=[1, 0] * 9 + [1])
    times, events = table["pfs_time"].to_numpy(), table["pfs_event"].to_numpy() == 1
    found = measured(table, times=[3, 6], window=8)
    rates = found.query("endpoint == 'pfs_rate' and population == 'evaluable' and by == 'all'").set_index("at")
    for at in (3, 6):
        assert rates.loc[at, ["estimate", "low", "high"]].tolist() == list(survival_at(times, events, at, 0.95))
    mean = row(found, "pfs_mean")
    assert (mean["estimate"], mean["at"]) == (restricted_mean(times, events, 8).time, 8)
    assert mean["high"] - mean["estimate"] == pytest.approx(1.959964 * restricted_mean(times, events, 8).error)


@pytest.mark.parametrize(("unit", "marks"), [("months", [6, 12]), ("weeks", [26, 52]), ("days", [183, 365])])
def test_half_a_year_and_a_year_are_told_by_default(unit, marks):
    found = measured(study={"time_unit": unit})
    assert sorted(set(found.loc[found["endpoint"] == "os_rate", "at"])) == marks


def test_dose_levels_and_strata_are_groups_in_their_order():
    table = sheet(dose_level=[10.0] * 9 + [2.0] * 10, cps=["high", "low"] * 9 + [""])
    study = STUDY | {"randomisation": {"ratio": {"a": 1, "b": 1}, "strata": ["cps"]}}
    found = measured(table, study=study)
    groups = found[["by", "group"]].drop_duplicates().to_numpy().tolist()
    assert groups == [["all", "all"], ["dose_level", "2"], ["dose_level", "10"], ["cps", "high"], ["cps", "low"]]
    assert row(found, "orr", group="10", by="dose_level")["events"] == 6


def test_all_randomised_count_where_arms_were_dealt_and_all_treated_where_somebody_was_not():
    table = sheet(treated=["no"] + ["yes"] * 18)
    found = measured(table)
    assert set(found["population"]) == {"evaluable", "all_treated", "intention_to_treat"}
    assert row(found, "orr", "all_treated")["n"] == 18
    assert row(found, "orr", "intention_to_treat")["n"] == 19
    ratio = STUDY | {"randomisation": {"ratio": {"a": 1, "b": 1}, "strata": []}}
    assert set(tables(table)["curves"]["population"]) == {"all_treated"}
    assert set(tables(table, study=ratio)["curves"]["population"]) == {"intention_to_treat"}


def test_curves_and_numbers_at_risk_tell_the_same_patients():
    arms = ["x"] * 10 + ["y"] * 9
    found = tables(sheet(arm=arms, os_event=[1, 0] * 9 + [1]))
    curve = found["curves"].query("endpoint == 'os' and group == 'x'")
    own = sheet(arm=arms, os_event=[1, 0] * 9 + [1]).head(10)
    expected = kaplan_meier(own["os_time"].to_numpy(), own["os_event"].to_numpy() == 1)
    assert curve["survival"].iloc[-1] == pytest.approx(expected.survival[-1])
    risk = found["at_risk"].query("endpoint == 'os' and group == 'x'")
    assert risk["at_risk"].tolist() == [(own["os_time"] >= time).sum() for time in risk["time"]]
    assert risk["events"].tolist() == [(own["os_event"] * (own["os_time"] <= time)).sum() for time in risk["time"]]


@pytest.mark.parametrize("end", [0.0, 0.9, 3.0, 13.4, 24.0, 60.0, 400.0, 3000.0, 12000.0])
def test_ticks_are_few_and_round(end):
    ticks = risk_ticks(np.array([end / 2, end]))
    assert ticks[0] == 0
    assert ticks[-1] <= end
    assert len(ticks) <= 9
    assert end == 0 or len(ticks) >= 4
