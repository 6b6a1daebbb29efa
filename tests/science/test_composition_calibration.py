"""Error rates, power and coverage of the composition comparison, on simulated cohorts."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.compare_composition import compare_composition
from immune_landscape.estimates import invert_labels
from immune_landscape.permutation import permute_labels

RESPONDERS, OTHERS = 6, 13
COHORTS = 500
SUBSETS = 6
CONTRAST = {
    "name": "response_change",
    "estimand": "response_by_visit",
    "factor": "visit",
    "reference": "before",
    "target": "after",
}
SETTINGS = {
    "pseudo_count": 0.5,
    "min_cells": 20,
    "max_sparse_share": 0.3,
    "min_reference_share": 0.05,
    "alpha": 0.05,
    "power": 0.8,
    "max_exact": 5_000_000,
    "draws": 1000,
}
PATIENT_SD = 0.5
"""Spread of a subset's log abundance between patients."""
CHANGE_SD = 0.3
"""Spread of its change from one visit to the other, between patients."""


def simulated_cohort(rng, shift):
    """Return composition and design of one cohort; `shift` is added to responders' change."""
    patients = RESPONDERS + OTHERS
    responder = np.arange(patients) < RESPONDERS
    level = rng.normal(0, 0.5, SUBSETS) + rng.normal(0, PATIENT_SD, (patients, SUBSETS))
    visit_effect = rng.normal(0, 0.3, SUBSETS)
    change = visit_effect + rng.normal(0, CHANGE_SD, (patients, SUBSETS)) + np.outer(responder, shift)
    rows, samples = [], []
    for visit, logs in (("before", level), ("after", level + change)):
        shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        for patient in range(patients):
            counts = rng.multinomial(rng.integers(800, 3000), shares[patient])
            sample = f"p{patient:02d}_{visit}"
            response = "responder" if responder[patient] else "non_responder"
            samples.append((sample, f"p{patient:02d}", visit, "blood", "b1", "x", response, ""))
            rows += [(sample, f"s{k}", count) for k, count in enumerate(counts)]
    columns = ["sample", "patient", "visit", "tissue", "batch", "gex", "response", "arm"]
    composition = pd.DataFrame(rows, columns=["sample", "subset", "cells"]).assign(parent="nk")
    return composition, pd.DataFrame(samples, columns=columns)


def compared_rows(rng, shift):
    composition, design = simulated_cohort(rng, shift)
    return compare_composition(composition, design, [CONTRAST], 0, **SETTINGS)[0]


@pytest.mark.slow
def test_null_cohorts_keep_both_error_rates():
    rng = np.random.default_rng(20240501)
    tables = [compared_rows(rng, np.zeros(SUBSETS)) for _ in range(COHORTS)]
    p = np.array([table["p"] for table in tables])
    maxt = np.array([table["p_maxt"] for table in tables])
    excludes = np.array([(table["ci_low"] > 0) | (table["ci_high"] < 0) for table in tables])
    # A subset under the sparsity floor has no p value and belongs in no denominator.
    tested = ~np.isnan(p)
    error = float((p[tested] <= 0.05).mean())
    family_error = float((np.nanmin(maxt, axis=1) <= 0.05).mean())
    uncorrected = float((np.nanmin(p, axis=1) <= 0.05).mean())
    disagreement = float((excludes != (p <= 0.05))[tested].mean())
    print(f"null, {COHORTS} cohorts, {tested.sum()} tests, {(~tested).sum()} subsets too sparse")
    print(f"type-I error {error:.4f}; family-wise error: max-T {family_error:.3f}, unadjusted {uncorrected:.3f}")
    print(f"interval and test disagree in {disagreement:.5f}")
    assert tested.mean() > 0.9
    assert 0.03 <= error <= 0.07
    assert family_error <= 0.07
    assert uncorrected > 0.15
    assert disagreement < 0.005


@pytest.mark.slow
def test_planted_change_of_two_sd_is_found():
    rng = np.random.default_rng(20240502)
    cohorts, planted = 200, 2.0
    # On the centred log-ratio scale both the shift and the spread shrink with the other subsets.
    shift = np.zeros(SUBSETS)
    shift[2] = planted * CHANGE_SD / np.sqrt(1 - 1 / SUBSETS)
    found = pd.concat([compared_rows(rng, shift).query("subset == 's2'") for _ in range(cohorts)])
    power, family_power = float((found["p"] <= 0.05).mean()), float((found["p_maxt"] <= 0.05).mean())
    print(f"planted d = {planted:g}, {cohorts} cohorts: found {power:.3f}, after max-T {family_power:.3f}")
    assert power >= 0.85
    assert (found["effect"] > 0).mean() > 0.99


def coverage(rng, simulations, spread_a, spread_b, truth=1.0):
    """Share of intervals that hold the truth, and of wrong rejections with the raw difference."""
    is_a = np.arange(RESPONDERS + OTHERS) < RESPONDERS
    held, rejected_raw = 0, 0
    for _ in range(simulations):
        noise = rng.normal(0, np.where(is_a, spread_a, spread_b))
        interval = invert_labels((noise + truth * is_a)[:, None], is_a, 0)[0]
        held += interval.low <= truth <= interval.high
        rejected_raw += permute_labels(noise, is_a, 0, studentise=False).p[0] <= 0.05
    return held / simulations, rejected_raw / simulations


@pytest.mark.slow
def test_intervals_cover_the_truth():
    rng = np.random.default_rng(20240503)
    equal, _ = coverage(rng, 600, 1.0, 1.0)
    unequal, raw = coverage(rng, 600, 2.0, 1.0)
    print(f"coverage of 95 % intervals, 600 each: equal spread {equal:.3f}, responders twice {unequal:.3f}")
    print(f"raw mean difference, responders twice as spread: type-I error {raw:.3f}")
    assert 0.92 <= equal <= 0.97
    assert unequal >= 0.90
    assert raw > 1 - unequal
