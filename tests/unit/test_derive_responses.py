import numpy as np
import pandas as pd

from immune_landscape.derive_responses import derive_responses

RECIST = {"confirmation": False, "min_interval_days": 28, "min_stable_days": 42, "prefer": "given"}
ASSESSMENTS = pd.DataFrame(
    [("A", -5, 50), ("A", 60, 30), ("A", 70, 30), ("B", 0, 20), ("B", 56, 26)], columns=["patient", "day", "target_sum"]
).assign(non_target="none", new_lesion="no", nodes_below_10mm=np.nan, assessable=np.nan)
OUTCOMES = pd.DataFrame({"patient": ["A", "B", "C"], "given_response": ["SD", np.nan, "PR"], "best_response": "CR"})


def derived(**changes):
    return derive_responses(OUTCOMES, ASSESSMENTS, {"recist": RECIST | changes})


def test_the_response_on_the_sheet_is_held_against_the_one_derived():
    table = derived()["responses"].set_index("patient")
    assert table["derived"].to_dict() == {"A": "PR", "B": "PD", "C": ""}
    assert table["given"].to_dict() == {"A": "SD", "B": "", "C": "PR"}
    assert table["used"].to_dict() == {"A": "SD", "B": "PD", "C": "PR"}


def test_the_rules_of_the_protocol_decide():
    assert derived(prefer="derived")["responses"]["used"].tolist() == ["PR", "PD", "PR"]
    strict = derived(confirmation=True)["responses"].set_index("patient")
    assert strict.loc["A", "derived"] == "SD"
    assert "PR not confirmed" in strict.loc["A", "note"]
    assert derived(confirmation=True, min_stable_days=100)["responses"]["derived"].tolist() == ["NE", "PD", ""]


def test_every_assessment_has_its_row():
    points = derived()["timepoints"]
    assert len(points) == len(ASSESSMENTS)
    assert points["response"].tolist() == ["", "PR", "PR", "", "PD"]


def test_a_masked_cohort_has_no_row_of_a_patient():
    tables = derive_responses(OUTCOMES.head(0), ASSESSMENTS.head(0), {"recist": RECIST})
    assert tables["timepoints"].empty
    assert tables["responses"].empty
