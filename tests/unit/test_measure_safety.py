import pandas as pd
import pytest
from clinical_cohorts import PUBLISHED_EVENTS, escalation_tables
from scipy.stats import beta

from immune_landscape.measure_safety import measure_safety

PATIENTS = pd.DataFrame({"patient": list("abcd"), "arm": ["x", "x", "y", "y"], "treated": ["", "", "", "no"]})
EVENTS = pd.DataFrame(
    [
        ("a", "Fever", 1, "no", "no", "General"),
        ("a", "Fever", 3, "yes", "yes", "General"),
        ("a", "Fever", 2, "yes", "no", "General"),
        ("b", "Fever", 2, "", "no", "General"),
        ("b", "Rash", 5, "no", "yes", ""),
        ("c", "Chill", 1, "unknown", "no", "General"),
        ("d", "Chill", 4, "yes", "yes", "General"),
    ],
    columns=["patient", "term", "grade", "related", "serious", "category"],
)


def cell(table, term, grades, by="all", group="all", relation="any"):
    found = table[
        (table["term"] == term)
        & (table["grades"] == grades)
        & (table["by"] == by)
        & (table["group"] == group)
        & (table["relation"] == relation)
    ]
    assert len(found) == 1
    return found.iloc[0]


@pytest.fixture(scope="module")
def table():
    return measure_safety(PATIENTS, EVENTS, {}, level=0.95)


def test_a_patient_counts_once_at_the_worst_grade(table):
    counts = {grades: int(cell(table, "Fever", grades)["patients"]) for grades in ("any", "1-2", "3-4", "5")}
    assert counts == {"any": 2, "1-2": 1, "3-4": 1, "5": 0}
    assert cell(table, "Fever", "any")["events"] == 4
    overall = {
        grades: int(cell(table, "any adverse event", grades)["patients"]) for grades in ("any", "1-2", "3-4", "5")
    }
    assert overall == {"any": 3, "1-2": 1, "3-4": 1, "5": 1}
    assert cell(table, "serious adverse event", "any")["patients"] == 2
    assert cell(table, "General", "any")["patients"] == 3


def test_those_not_treated_count_nowhere(table):
    assert cell(table, "Chill", "any")["patients"] == 1
    assert set(table.loc[table["group"] == "y", "n"]) == {1}
    assert set(table.loc[table["group"] == "all", "n"]) == {3}


def test_a_relation_that_is_not_excluded_counts(table):
    assert cell(table, "Fever", "any", relation="related")["patients"] == 2
    assert cell(table, "Rash", "5", relation="related")["patients"] == 0
    assert cell(table, "Chill", "any", relation="related")["patients"] == 1


def test_every_group_has_every_term_with_exact_bounds(table):
    zero = cell(table, "Rash", "any", "arm", "y")
    assert zero["patients"] == 0
    assert zero["high"] == pytest.approx(beta.ppf(0.975, 1, 1))
    assert zero["upper_one_sided"] == pytest.approx(0.95)
    assert len(table.groupby(["by", "group"]).size().unique()) == 1


def test_terms_run_from_the_commonest(table):
    own = table[(table["kind"] == "term") & (table["by"] == "all") & (table["relation"] == "any")]
    assert own["term"].drop_duplicates().tolist() == ["Fever", "Chill", "Rash"]


def test_the_published_table():
    """Tan 2025, table 2."""
    patients, events = escalation_tables()
    found = measure_safety(patients, events, {}, level=0.95)
    shares = {term: round(100 * cell(found, term, "1-2")["share"], 1) for term in PUBLISHED_EVENTS}
    assert shares == {"Fever": 16.7, "Fatigue": 12.5, "Chill": 8.3, "Rash": 4.2}
    assert round(100 * cell(found, "Fever", "any", "dose_level", "8")["share"], 1) == 28.6
    assert cell(found, "any adverse event", "3-4")["patients"] == 0
    assert round(100 * cell(found, "any adverse event", "3-4")["high"], 1) == 14.2


def test_a_cohort_without_events_has_rows_of_zero():
    found = measure_safety(PATIENTS, EVENTS.head(0), {}, level=0.95)
    assert set(found["term"]) == {"any adverse event"}
    assert set(found["patients"]) == {0}
