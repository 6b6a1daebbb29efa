"""Sheets of simulated trials: what the design says comes out, and the committed sheets are those drawn from it."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from immune_landscape.derive_responses import derive_responses
from immune_landscape.errors import DesignError, ProblemsError
from immune_landscape.simulate_trials import draw_trial, read_design
from immune_landscape.store import write_table
from immune_landscape.survival import kaplan_meier, median_time

COHORTS = Path(__file__).parents[2] / "config" / "cohorts"
TRIALS = ["pancreatic_nk", "gastric_rak", "gastric_conversion"]
RULE = {"confirmation": False, "min_interval_days": 28, "min_stable_days": 42, "prefer": "given"}


@pytest.fixture(scope="module", params=TRIALS)
def drawn(request):
    design = read_design(COHORTS / request.param / "design.yaml")
    return request.param, design, draw_trial(design)


def test_committed_sheets_are_those_of_the_design(drawn, tmp_path):
    name, _, sheets = drawn
    for sheet, table in sheets.items():
        write_table(table, tmp_path / f"{sheet}.tsv")
        assert (tmp_path / f"{sheet}.tsv").read_bytes() == (COHORTS / name / f"{sheet}.tsv").read_bytes(), sheet


def test_responses_are_those_of_the_design(drawn):
    _, design, sheets = drawn
    wanted = pd.DataFrame([block["responses"] for block in design["patients"]]).sum()
    found = sheets["patients"]["best_response"].value_counts()
    assert found.to_dict() == wanted[wanted > 0].astype(int).to_dict()


def test_tumour_sizes_give_each_patient_the_best_response_told(drawn):
    _, _, sheets = drawn
    given = sheets["patients"].assign(given_response=sheets["patients"]["best_response"])
    responses = derive_responses(given, sheets["assessments"], {"recist": RULE})["responses"]
    found = responses.set_index("patient")["derived"]
    told = sheets["patients"].set_index("patient")["best_response"]
    pd.testing.assert_series_equal(found.loc[told.index], told, check_names=False)


def test_medians_are_those_of_the_design(drawn):
    _, design, sheets = drawn
    patients = sheets["patients"]
    evaluable = patients[patients["evaluable"] == "yes"]
    by = design["survival"]["by"]
    for endpoint in ("pfs", "os"):
        for group, median in design["survival"][endpoint].items():
            rows = evaluable[evaluable[by] == group] if by else evaluable
            curve = kaplan_meier(rows[f"{endpoint}_time"].to_numpy(), rows[f"{endpoint}_event"].to_numpy())
            assert median_time(curve, 0.95)[0] == pytest.approx(median, rel=0.2)


def test_events_befall_the_patients_of_the_design(drawn):
    _, design, sheets = drawn
    events = sheets["adverse_events"].merge(sheets["patients"], on="patient")
    assert not sheets["adverse_events"].duplicated(["patient", "term"]).any()
    for event in design["adverse_events"]:
        rows = events[events["term"] == event["term"]]
        found = rows[event["by"]].astype(str).value_counts().to_dict()
        assert found == event["patients"]
        assert set(rows["grade"]) <= set(event["grades"])


def test_the_reference_trial_has_its_published_numbers():
    patients = draw_trial(read_design(COHORTS / "pancreatic_nk" / "design.yaml"))["patients"]
    assert patients["dose_level"].value_counts().to_dict() == {1: 4, 2: 6, 4: 7, 8: 7}
    evaluable = patients[patients["evaluable"] == "yes"]
    assert len(evaluable) == 19
    assert evaluable["best_response"].isin(["CR", "PR"]).sum() == 6
    assert evaluable["best_response"].isin(["CR", "PR", "SD"]).sum() == 14
    assert (patients["dlt"] == "no").all()


def test_arms_are_randomised_in_their_ratio_and_enter_in_turn():
    conversion = draw_trial(read_design(COHORTS / "gastric_conversion" / "design.yaml"))["patients"]
    counts = pd.crosstab(conversion["cps_group"], conversion["arm"])
    assert (counts["conversion"] == 2 * counts["systemic"]).all()
    rak = draw_trial(read_design(COHORTS / "gastric_rak" / "design.yaml"))["patients"]
    assert rak["phase"].tolist() == ["escalation"] * 9 + ["randomised"] * 90
    runs = (rak["arm"].iloc[9:] != rak["arm"].iloc[9:].shift()).sum()
    assert runs > 20


def test_single_cells_are_spread_over_arms_and_responses():
    sheets = draw_trial(read_design(COHORTS / "gastric_conversion" / "design.yaml"))
    sequenced = sheets["samples"].loc[sheets["samples"]["gex"] != "", "patient"].unique()
    chosen = sheets["patients"].set_index("patient").loc[sequenced]
    assert len(chosen) == 15
    assert chosen["arm"].value_counts().to_dict() == {"conversion": 10, "systemic": 5}
    assert chosen["best_response"].nunique() >= 3


def test_gates_are_nested(drawn):
    _, _, sheets = drawn
    counts = sheets["populations"].set_index(["sample", "population"])["count"]
    rows = sheets["populations"][sheets["populations"]["parent"] != ""]
    parents = counts.loc[list(zip(rows["sample"], rows["parent"], strict=True))].to_numpy()
    assert (rows["count"].to_numpy() <= parents).all()


def test_an_effect_of_a_gate_acts_in_the_arm_studied():
    design = read_design(COHORTS / "gastric_rak" / "design.yaml")
    design["populations"]["CD3+CD56+"]["arm_effect"] = 3.0
    sheets = draw_trial(design)
    rows = sheets["populations"].merge(sheets["samples"], on="sample").merge(sheets["patients"], on="patient")
    counts = rows.pivot_table(index=["sample", "arm", "visit"], columns="population", values="count").reset_index()
    odds = np.log(counts["CD3+CD56+"] / counts["CD3+"]).groupby([counts["arm"], counts["visit"]]).mean()
    assert odds["tas102_rak", "cycle_2"] - odds["tas102_rak", "baseline"] > 1.5
    assert abs(odds["tas102", "cycle_2"] - odds["tas102", "baseline"]) < 0.3


def test_contradictions_of_a_design_are_named():
    design = read_design(COHORTS / "pancreatic_nk" / "design.yaml")
    fewer = copy.deepcopy(design)
    fewer["patients"][0]["responses"]["SD"] = 1
    with pytest.raises(DesignError, match="a block of 4 patients has 3 responses"):
        draw_trial(fewer)
    more = copy.deepcopy(design)
    more["adverse_events"][0]["patients"] = {"1": 5}
    with pytest.raises(DesignError, match="Fever in 5 of 4 patients of 1"):
        draw_trial(more)


def test_every_mistake_of_a_design_is_told_with_its_line(tmp_path):
    path = tmp_path / "design.yaml"
    path.write_text("seed: -1\npatients: []\nsamples: []\nwhatever: 1\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        read_design(path)
    told = str(caught.value)
    assert all(word in told for word in ("seed", "patients", "samples", "whatever", "survival"))
    assert len(caught.value.problems) == 5
