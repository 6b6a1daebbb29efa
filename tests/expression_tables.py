"""Made-up sums of counts of a cohort with two visits, for tests of expression."""

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.pseudobulk import Pseudobulk

TESTING = ContrastSettings(alpha=0.05, power=0.8, max_exact=5_000_000, draws=1000, null_draws=200)
COMPARE = {
    "min_count": 10,
    "min_share": 0.25,
    "normalisation": "library",
    "prior_count": 2,
    "min_first": 4,
    "min_second": 6,
    "fdr": 0.05,
    "max_null_share": 0.1,
    "top": 5,
    "gene_sets": [],
    "min_set_genes": 3,
    "ambient_controls": {},
}
CHANGE_SD = 0.35
"""Spread of a gene's change from one visit to the other, between patients, in natural logarithms."""


def contrast(**keys):
    """Return a contrast of responders' change against that of the others."""
    base = {"name": "response_change", "estimand": "response_by_visit", "reference": "before", "target": "after"}
    return base | {"factor": "visit", "family": "primary"} | keys


def design_of(responders=6, others=13):
    """Return a design with two visits of every patient."""
    rows = []
    for patient in range(responders + others):
        for visit in ("before", "after"):
            rows.append(
                {
                    "sample": f"p{patient:02d}_{visit}",
                    "patient": f"p{patient:02d}",
                    "visit": visit,
                    "tissue": "blood",
                    "batch": "b1",
                    "response": "responder" if patient < responders else "non_responder",
                    "arm": "arm_b" if patient % 2 else "arm_a",
                    "site": "s1" if patient % 3 else "s2",
                    "age": 40.0 + (7 * patient) % 23,
                }
            )
    return pd.DataFrame(rows)


def sums_of(design, subsets=("nk",), genes=300, seed=0, planted=None, depth=60_000, dispersion=0.05):
    """Return negative binomial sums; `planted` is gene -> natural log fold added to responders' change."""
    rng = np.random.default_rng(seed)
    names = [f"g{at:03d}" for at in range(genes)]
    shift = np.array([(planted or {}).get(name, 0.0) for name in names])
    profiles, counts = [], []
    for subset in subsets:
        level = rng.normal(0, 1.2, genes)
        for _, samples in design.groupby("patient", sort=False):
            own = level + rng.normal(0, 0.4, genes)
            change = rng.normal(0, CHANGE_SD, genes)
            for row in samples.to_dict("records"):
                after = row["visit"] == "after"
                logs = own + after * (change + shift * (row["response"] == "responder"))
                mean = np.exp(logs) / np.exp(logs).sum() * depth * rng.uniform(0.6, 1.6)
                counts.append(rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean)))
                profiles.append((row["sample"], subset, 50))
    return Pseudobulk(pd.DataFrame(profiles, columns=["sample", "subset", "cells"]), pd.Index(names), np.array(counts))


def without(sums, dropped):
    """Return the sums without some pairs of sample and subset."""
    kept = [pair not in dropped for pair in zip(sums.profiles["sample"], sums.profiles["subset"], strict=True)]
    return Pseudobulk(sums.profiles[kept].reset_index(drop=True), sums.genes, sums.counts[np.array(kept)])
