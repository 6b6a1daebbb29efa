"""A finding has a p below the level, everywhere: a p at the level is none."""

import numpy as np
import pandas as pd
import pytest
from patient_cohorts import made_groups, settings

from immune_landscape.claim_rules import CONTRADICTED, REPLICATES, Effect, Thresholds, judge_effect
from immune_landscape.contrast_tests import Reach, is_significant, why_untestable
from immune_landscape.estimates import invert_labels, invert_signs
from immune_landscape.influence import summarise_influence
from immune_landscape.null_run import null_findings
from immune_landscape.permutation import flip_signs, permute_labels
from immune_landscape.verdicts import verdict_of

ROW = {
    "contrast": "main",
    "estimand": "response_by_visit",
    "group_a": "responder",
    "effect": 1.0,
    "mde": 2.0,
    "status": "tested",
    "note": "",
}
STUDY = {"contrasts": [{"name": "main", "reference": "before", "target": "after"}], "labels": {}}
LIMITS = Thresholds(alpha=0.05, min_stable_share=0.9, assumed_d=1.0, half=0.5)


def judged(p, estimate=1.0):
    return judge_effect(Effect(1, estimate, -3.0, 3.0, p, "p maxT", 1.0, 1.5, 1.0, "references", True), LIMITS)[0]


@pytest.mark.parametrize(("p", "found"), [(0.0499, True), (0.05, False), (0.0501, False)])
def test_row_verdict_and_claim_agree_at_the_level(p, found):
    row = ROW | {"p": p, "p_maxt": p}
    assert is_significant(row, 0.05) == found
    assert verdict_of(row, STUDY, 0.05).startswith("Associated") == found
    assert (judged(p) == REPLICATES) == found
    assert (judged(p, -1.0) == CONTRADICTED) == found


def test_p_alone_at_the_level_is_not_called_nominal():
    assert "though p alone is" in verdict_of(ROW | {"p": 0.04, "p_maxt": 0.2}, STUDY, 0.05)
    assert "though p alone is" not in verdict_of(ROW | {"p": 0.05, "p_maxt": 0.2}, STUDY, 0.05)


def test_a_row_that_was_not_tested_says_why():
    told = verdict_of(ROW | {"status": "too_sparse", "note": "few cells", "p": np.nan, "p_maxt": np.nan}, STUDY, 0.05)
    assert told == "Not tested: too sparse (few cells)."


def test_an_interval_of_signs_holds_what_is_not_rejected():
    values = np.array([[1.0], [2.0], [3.0], [4.0], [-0.5]])
    p = flip_signs(values, 0).p[0]
    assert p == 4 / 32
    at, above = (invert_signs(values, 0, level=1 - alpha)[0] for alpha in (p, p + 0.01))
    assert at.low < 0
    assert above.low > 0


def test_an_interval_of_labels_holds_what_is_not_rejected():
    values = np.array([5.0, 4.0, 2.9, 3.0, 2.0, 1.0, 0.0])[:, None]
    is_a = np.arange(7) < 3
    p = permute_labels(values, is_a, 0).p[0]
    assert p < 0.2
    at, above = (invert_labels(values, is_a, 0, level=1 - alpha)[0] for alpha in (p, p + 0.01))
    assert at.low < 0
    assert above.low > 0


def test_a_smallest_p_at_the_level_cannot_be_a_finding():
    groups = made_groups(4, 5)
    kept = np.ones(9, dtype=bool)
    assert "0.05, is not below 0.05" in why_untestable(groups, kept, Reach(20, True, 0.05), 0.05)
    assert why_untestable(groups, kept, Reach(20, True, 0.05), 0.051) == ""


def test_the_null_run_counts_what_is_below_the_level():
    values, groups = np.random.default_rng(0).normal(size=(6, 1)), made_groups(3, 3)
    # The smallest of 20 labelings and their mirrors have p = 0.1.
    assert null_findings(values, groups, 0, settings(alpha=0.1)).mean_found == 0
    assert null_findings(values, groups, 0, settings(alpha=0.101)).mean_found == pytest.approx(0.1)


def test_a_refit_at_the_level_is_on_the_side_of_no_finding():
    rows = pd.DataFrame({"feature": [0, 0], "patient": list("ab"), "effect": [1.0, 1.0], "p": [0.05, 0.049]})
    (summary,) = summarise_influence(rows, np.array([0.01]), np.array([1.0]), 0.05)
    assert summary["loo_flips"] == 1
