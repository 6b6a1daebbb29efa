"""Patients of a contrast for tests that need no sheets."""

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.patient_groups import PatientGroups


def made_groups(count_a, count_b, **fields):
    """Return patients P0, P1, ... of which the first `count_a` respond; `count_b` 0 for one group."""
    count = count_a + count_b
    names = [f"P{at}" for at in range(count)]
    group = ["responder"] * count_a + ["non_responder"] * count_b if count_b else ["all"] * count
    table = pd.DataFrame({"patient": names, "group": group, "sample_reference": "", "sample_target": ""})
    kinds = ("responder", "non_responder") if count_b else ("all", "")
    given = {"strata": None, "covariates": None, "adjust_baseline": False} | fields
    weights = pd.DataFrame({"patient": names, "sample": "", "level": "", "weight": 1.0})
    return PatientGroups(
        table=table, weights=weights, groups=kinds, notes=[], one_group=not count_b, paired=True, **given
    )


def settings(**fields):
    """Return test settings with small numbers."""
    given = {"alpha": 0.05, "power": 0.8, "max_exact": 5_000_000, "draws": 2000, "null_draws": 1000} | fields
    return ContrastSettings(**given)


def made_values(count, features, seed=0):
    """Return (patients, features) random numbers."""
    return np.random.default_rng(seed).normal(size=(count, features))
