"""Mixed models of all visits: as R has them, and with the error rate and coverage they claim at small numbers."""

import numpy as np
import pandas as pd
import pytest
from science.rows import share
from unit.test_mixed_models import golden, largest_difference

from immune_landscape.model_visits import model_visits

ALPHA = 0.05
VISITS = ("before", "early", "late")
CONTRAST = {
    "name": "c",
    "estimand": "response_by_visit",
    "reference": "before",
    "targets": ["early", "late"],
    "summary": "last",
}
NO_ROWS = pd.DataFrame(columns=["layer", "contrast", "parent", "feature", "effect", "status"])
MISSING = 0.12
"""Chance that a visit is missing."""

FEATURES = 4
"""Independent features of a cohort: with one alone, chance takes 500 cohorts to the edge of the limits."""


def test_numbers_are_those_of_pbkrtest(science):
    tables = golden()
    found = max(largest_difference(rows, expected) for _, rows, expected in tables)
    what = f"largest relative difference of estimate, error, df and p from lme4 and pbkrtest, {len(tables)} data sets"
    science.row("golden/kenward_roger", what, found, None, 1e-6, sum(len(expected) for _, _, expected in tables))


def made_design(responders=6, others=13):
    rows = [
        (f"p{at}_{visit}", f"p{at}", visit, "responder" if at < responders else "non_responder")
        for at in range(responders + others)
        for visit in VISITS
    ]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "response"]).assign(tissue="blood")


def simulated_rows(seed, cohorts, shift=0.0):
    """Return the rows of the last visit of every cohort: patients differ as much as their visits, some missing."""
    rng, design = np.random.default_rng(seed), made_design()
    moved = (design["response"].eq("responder") & design["visit"].eq("late")).to_numpy() * shift
    patients = pd.factorize(design["patient"])[0]
    rows = []
    for _ in range(cohorts):
        held = design[rng.random(len(design)) >= MISSING]
        between, within = rng.normal(size=(FEATURES, patients.max() + 1)), rng.normal(size=(FEATURES, len(design)))
        values = between[:, patients] + within + moved
        parts = [held[["sample"]].assign(feature=f"x{at}", value=values[at, held.index]) for at in range(FEATURES)]
        table = pd.concat(parts).assign(parent="all")
        rows.append(model_visits({"measures": table}, design, [CONTRAST], NO_ROWS, ALPHA, 0.5, min_patients=2))
    found = pd.concat(rows, ignore_index=True)
    return found[found["target"] == VISITS[-1]]


@pytest.mark.slow
def test_null_cohorts_keep_the_level(science):
    cohorts = science.replicates(quick=40)
    rows = simulated_rows(41, cohorts)
    assert rows["missing"].mean() > 4
    for column, name, what in (
        ("p", "mixed_model", "at the last visit"),
        ("p_interaction", "mixed_model_joint", "at any visit"),
    ):
        error, tests = share((rows[column] < ALPHA).where(rows[column].notna()))
        told = f"share of p < {ALPHA} of a mixed model without an interaction, {what}, 6:13 patients, 3 visits, gaps"
        science.row(f"type1/{name}", told, error, *science.limits(0.03, 0.07, tests), tests)


@pytest.mark.slow
def test_intervals_cover_a_planted_change(science):
    cohorts = science.replicates(quick=40)
    rows = simulated_rows(42, cohorts, shift=1.5)
    covered, known = share(((rows["ci_low"] <= 1.5) & (rows["ci_high"] >= 1.5)).where(rows["p"].notna()))
    what = "share of 95 % intervals of a mixed model that hold the planted change of 1.5, 6:13 patients, 3 visits, gaps"
    science.row("coverage/mixed_model", what, covered, *science.limits(0.92, 0.97, known), known)
