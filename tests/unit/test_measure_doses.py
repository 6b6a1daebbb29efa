import numpy as np
import pandas as pd
import pytest
from clinical_cohorts import escalation_tables

from immune_landscape.measure_doses import measure_doses, read_escalation, read_level


@pytest.mark.parametrize(
    ("evaluable", "toxic", "reading"),
    [
        (0, 0, "insufficient"),
        (2, 0, "insufficient"),
        (2, 1, "insufficient"),
        (2, 2, "stop"),  # two toxicities are too many however few were treated
        (3, 0, "escalate"),
        (3, 1, "expand"),
        (3, 2, "stop"),
        (4, 1, "expand"),
        (5, 1, "expand"),
        (5, 2, "stop"),
        (6, 0, "escalate"),
        (6, 1, "escalate"),
        (6, 2, "stop"),
        (7, 1, "escalate"),
        (7, 2, "stop"),
        (12, 2, "escalate"),
        (12, 3, "stop"),
    ],
)
def test_readings_for_cohorts_of_any_size(evaluable, toxic, reading):
    assert read_level(evaluable, toxic) == reading


@pytest.mark.parametrize(
    ("evaluable", "toxic", "status", "mtd"),
    [
        ([3, 3, 6], [0, 0, 2], "reached", "2"),
        ([3, 6, 3], [0, 1, 2], "reached", "2"),
        ([3, 3, 6], [0, 0, 1], "not reached", ""),
        ([3, 2, 3], [0, 0, 2], "reached", "1"),
        ([3], [2], "not determined", ""),
        ([3, 3], [0, 1], "not determined", ""),
        ([3, 2], [0, 0], "not determined", ""),
        ([], [], "not determined", ""),
    ],
)
def test_the_maximum_tolerated_dose(evaluable, toxic, status, mtd):
    levels = ["1", "2", "4"][: len(evaluable)]
    found = read_escalation(levels, evaluable, toxic)
    assert (found.status, found.mtd) == (status, mtd)
    assert found.note


def test_an_mtd_of_few_patients_says_so():
    assert "3 evaluable" in read_escalation(["1", "2"], [3, 3], [0, 2]).note
    assert "evaluable" not in read_escalation(["1", "2"], [6, 3], [0, 2]).note


def test_the_published_escalation():
    """Tan 2025: cohorts of 4, 6, 7 and 7 without a dose-limiting toxicity."""
    patients, _ = escalation_tables()
    tables = measure_doses(patients, level=0.95)
    doses, mtd = tables["doses"].set_index("dose_level"), tables["mtd"].iloc[0]
    assert doses["evaluable"].to_dict() == {"1": 4, "2": 6, "4": 7, "8": 7, "all": 24}
    assert set(doses["dlt"]) == {0}
    assert round(100 * doses.loc["all", "high"], 1) == 14.2
    assert doses.loc["all", "upper_one_sided"] == pytest.approx(1 - 0.05 ** (1 / 24))
    assert (mtd["status"], mtd["mtd"], mtd["maximum_administered"]) == ("not reached", "", "8")
    assert (mtd["low"], round(100 * mtd["high"], 1)) == (0, 14.2)
    assert doses.loc["all", "reading"] == ""


def test_patients_not_evaluable_or_not_treated_do_not_count_nor_their_toxicities():
    patients = pd.DataFrame(
        {
            "patient": list("abcdef"),
            "dose_level": [1, 1, 1, 1, 1, np.nan],
            "dlt_evaluable": ["yes", "yes", "yes", "no", "yes", "yes"],
            "dlt": ["no", "yes", "no", "yes", "yes", "yes"],
            "treated": ["", "", "", "", "no", ""],
        }
    )
    row = measure_doses(patients, level=0.95)["doses"].iloc[0]
    assert row[["patients", "treated", "evaluable", "dlt"]].tolist() == [5, 4, 3, 1]
    assert row["reading"] == "expand"
