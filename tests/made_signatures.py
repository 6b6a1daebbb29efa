"""Made-up cells and profiles with known signatures, for tests of scores and of their null."""

import anndata
import numpy as np
import pandas as pd
from cells import make_counts

from immune_landscape.scope_profiles import LAYER
from immune_landscape.set_scores import expression_bins
from immune_landscape.signature_registry import choose_signatures, registry_table

RESPONSE_BY_VISIT = {
    "name": "response_change",
    "estimand": "response_by_visit",
    "reference": "before",
    "target": "after",
}


def design_of(patients=19, responders=6, **columns):
    """Return the design of patients with two visits each, responders first."""
    rows = [
        {
            "sample": f"p{patient:02d}_{visit}",
            "patient": f"p{patient:02d}",
            "visit": visit,
            "tissue": "blood",
            "batch": "b1",
            "gex": "x",
            "response": "responder" if patient < responders else "non_responder",
            "arm": "",
        }
        for patient in range(patients)
        for visit in ("before", "after")
    ]
    return pd.DataFrame(rows).assign(**columns)


def make_cells(numbers, levels, seed=0):
    """Return counts and labels of cells.

    `numbers` gives how many cells a (sample, subset) has, `levels` the expected counts of each subset's genes. The
    branch of a subset is the beginning of its name.
    """
    rng = np.random.default_rng(seed)
    genes = list(dict.fromkeys(gene for own in levels.values() for gene in own))
    samples = [sample for (sample, _), number in numbers.items() for _ in range(number)]
    subsets = [subset for (_, subset), number in numbers.items() for _ in range(number)]
    mean = np.array([[levels[subset].get(gene, 0.0) for gene in genes] for subset in subsets])
    counts = make_counts(rng.poisson(mean), genes, samples)
    branch = ["t" if subset.startswith(("cd", "t_")) else subset.partition("_")[0] for subset in subsets]
    labels = pd.DataFrame({"sample": samples, "branch": branch, "subset": subsets}, index=counts.obs_names)
    return counts, labels


def make_profiles(rng, design, signatures, genes=600, n_bins=10, shared=0.0, planted=0.0):
    """Return profiles of NK cells and the registry of its signatures.

    Genes change independently with the visit in each patient, and in responders by an amount of their own. Genes of the
    first signature also share a change of each patient with standard deviation `shared`, and change by `planted` in
    responders.
    """
    own = [gene for signature in choose_signatures(signatures) for gene in (*signature.genes, *signature.negative)]
    names = [*dict.fromkeys(own), *(f"GENE{number}" for number in range(genes))]
    level = rng.gamma(2.0, 0.5, len(names))
    patients = design["patient"].nunique()
    base = level + rng.normal(0, 0.1, (patients, len(names)))
    change = rng.normal(0, 0.05, len(names)) + rng.normal(0, 0.1, (patients, len(names)))
    responder = design.drop_duplicates("patient")["response"].eq("responder").to_numpy()
    change += responder[:, None] * rng.normal(0, 0.05, len(names))
    first = np.isin(names, choose_signatures(signatures)[0].genes)
    change[:, first] += rng.normal(0, shared, (patients, 1)) + planted * responder[:, None]
    values = np.stack([base, base + change], axis=1).reshape(-1, len(names)).astype(np.float32)
    obs = pd.DataFrame({"sample": design["sample"], "scope": "nk", "branch": "nk", "cells": 100, "weight": 1.0})
    obs.index = pd.Index(obs["sample"] + ":nk")
    bins = {"bin_nk": expression_bins(values.mean(axis=0).astype(float), n_bins), "bin_t": -1}
    profiles = anndata.AnnData(obs=obs, var=pd.DataFrame(bins, index=names), layers={LAYER: values})
    return profiles, registry_table(choose_signatures(signatures), names, {}, min_genes=3, min_share=0.5)


def all_tested(contrast, signatures, parent="nk"):
    """Return rows of a contrasts table, all tested."""
    return pd.DataFrame(
        {"contrast": contrast["name"], "parent": parent, "feature": list(signatures), "status": "tested"}
    )
