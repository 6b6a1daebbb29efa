"""Cells of blood and tumour in regions, made up on the spot, for tests of the microenvironment."""

import numpy as np
import pandas as pd

SIGNATURES = {"effector_molecules": ["PRF1", "GZMB", "NKG7"], "exhaustion_t": ["PDCD1", "LAG3", "TOX"]}
DEFINITION = {"n_bins": 5}
SETTINGS = {
    "fluids": ["blood"],
    "lineages": ["t", "b"],
    "signatures": ["effector_molecules", "exhaustion_t"],
    "min_cells": 10,
}
KINDS = {
    "epithelial": ("epithelial", "epithelial", "other"),
    "b": ("b", "b", "other"),
    "platelet": ("platelet", "platelet", "other"),
    "nameless": ("unassigned", "unassigned", "other"),
    "treg": ("t", "treg", "t"),
    "cd8_tex": ("t", "cd8_tex", "t"),
    "cd8_tem": ("t", "cd8_tem", "t"),
    "cd4_tn": ("t", "cd4_tn", "t"),
}
"""Kind -> lineage, subset, branch."""


def design_of(rows):
    """Return a design of (sample, patient, visit, tissue, region)."""
    table = pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "region"])
    return table.assign(gex=table["sample"] + ".h5", response="responder")


def labels_of(numbers):
    """Return labels of cells: sample -> kind -> number."""
    rows = [
        (f"{sample}:{kind}{at}", sample, *KINDS[kind])
        for sample, kinds in numbers.items()
        for kind, number in kinds.items()
        for at in range(number)
    ]
    return pd.DataFrame(rows, columns=["cell", "sample", "lineage", "subset", "branch"]).set_index("cell")


def registry_of():
    """Return the registry of two programmes, all genes measured."""
    rows = [
        {"signature": name, "branch": "t", "found_genes": ",".join(genes), "negative_genes": "", "status": "scored"}
        for name, genes in SIGNATURES.items()
    ]
    return pd.DataFrame(rows)


def counts_of(labels, seed=0):
    """Return raw counts in which exhausted cells have the genes of exhaustion and others those of effectors."""
    import anndata
    import scipy.sparse as sp

    genes = [*(gene for own in SIGNATURES.values() for gene in own), *(f"G{at}" for at in range(60))]
    rng = np.random.default_rng(seed)
    values = rng.poisson(np.r_[np.full(6, 2.0), np.linspace(0.5, 16, 60)], (len(labels), len(genes)))
    exhausted = (labels["subset"] == "cd8_tex").to_numpy()
    values[np.ix_(exhausted, range(3, 6))] += 12
    values[np.ix_(~exhausted, range(3))] += 6
    obs = pd.DataFrame(index=labels.index)
    return anndata.AnnData(sp.csr_matrix(values.astype(np.float32)), obs=obs, var=pd.DataFrame(index=genes))
