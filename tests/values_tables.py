"""Made-up numbers per sample with a design, for tests of comparisons."""

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import ContrastSettings

TESTING = ContrastSettings(alpha=0.05, power=0.8, max_exact=5_000_000, draws=1000, null_draws=200)
VISITS = ("pre", "on", "late")


def contrast(**keys):
    base = {"name": "c", "estimand": "response_by_visit", "reference": "pre", "target": "on", "factor": "visit"}
    return {**base, "family": "primary", **keys}


def cohort(responders=4, others=6, seed=0, shift=0.0):
    """Return values and design; `shift` is added to responders' change of m1."""
    rng = np.random.default_rng(seed)
    samples, rows = [], []
    for at in range(responders + others):
        responder = at < responders
        for step, visit in enumerate(VISITS):
            sample = f"p{at}_{visit}"
            response = "responder" if responder else "non_responder"
            samples.append((sample, f"p{at}", visit, "blood", "b1", response))
            for feature in ("m1", "m2"):
                value = rng.normal() + (shift * step if responder and feature == "m1" else 0.0)
                rows.append((sample, "all", feature, value, value - 0.1, value + 0.1, "u"))
    design = pd.DataFrame(samples, columns=["sample", "patient", "visit", "tissue", "batch", "response"])
    return pd.DataFrame(rows, columns=["sample", "parent", "feature", "value", "low", "high", "unit"]), design


def of(values, feature, visit):
    chosen = values[(values["feature"] == feature) & values["sample"].str.endswith(f"_{visit}")]
    return chosen.assign(patient=chosen["sample"].str.split("_").str[0]).set_index("patient")["value"]


def is_responder(count=10, responders=4):
    return np.arange(count) < responders
