"""Simulated sums of counts of one subset, and their comparison. Nothing here is data of patients."""

import numpy as np
import pandas as pd
from science.simulated_layers import CONTRAST, EXACT, draw_levels, settings_of

from immune_landscape.compare_expression import compare_expression
from immune_landscape.pseudobulk import Pseudobulk

GENES = 400
PLANTED = 20
"""Genes of the interaction, the first ones."""

SETTINGS = settings_of("compare_expression")
CALIBRATED = EXACT._replace(null_draws=200, intervals=True)


def simulate_expression(rng, cohort, planted):
    """Negative binomial sums of counts over the cells of one subset; genes differ in level and in spread."""
    fixed = np.random.default_rng(0)
    level, spread = np.exp(fixed.normal(3.5, 1, GENES)) + 10, np.sqrt(6 / fixed.chisquare(6, GENES))
    logs = draw_levels(rng, cohort, GENES, 0.0) * spread
    # Genes go up and down together with the state of a sample.
    logs += rng.normal(0, 0.3, (len(logs), 1)) * fixed.normal(0, 0.5, GENES)
    logs[:, :PLANTED] += planted * (cohort.responder & cohort.after)[:, None]
    depth = cohort.depth * np.exp(rng.normal(0, 0.4, len(logs)))
    mean, dispersion = level * np.exp(logs) * depth[:, None], 0.05 + 0.1 * fixed.random(GENES)
    counts = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))
    profiles = pd.DataFrame({"sample": cohort.sample, "subset": "nk_dim", "cells": 100})
    return Pseudobulk(profiles, pd.Index([f"g{k:03d}" for k in range(GENES)]), counts)


def compared_expression(sums, cohort, testing):
    """Return the tables of a cohort."""
    return compare_expression(sums, cohort.design, [CONTRAST], testing, 0, **SETTINGS)
