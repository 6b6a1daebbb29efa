"""Made-up cohorts and references, for tests of the reference's vote."""

import pickle

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from cells import make_groups

from immune_landscape import store
from immune_landscape.store import sha256_of

MARKERS = {
    "helper": ["CD3D", "CD3E", "TRAC", "CD4", "IL7R", "LTB"],
    "cytotoxic": ["CD3D", "CD3E", "TRAC", "CD8A", "CD8B", "GZMK"],
    "killer": ["NKG7", "GNLY", "KLRD1", "KLRF1", "PRF1", "NCAM1"],
    "b_like": ["MS4A1", "CD79A", "CD79B", "BANK1", "PAX5", "CD19"],
}
SLUGS = {"helper": "cd4_tn", "cytotoxic": "cd8_tem", "killer": "nk", "b_like": "b"}
SETTINGS = {
    "min_probability": 0.5,
    "min_lineage_probability": 0.8,
    "min_share": 0.5,
    "resolution": None,
    "min_genes": 100,
    "n_genes": 20,
    "max_cells": 1000,
    "inverse_penalty": 0.01,
}


def make_cohort(sizes=None, seed=1):
    """Return counts, clusters of one graph, and the true group of each cell."""
    counts, truth = make_groups(sizes or dict.fromkeys(MARKERS, 60), MARKERS, seed=seed)
    same = (truth[:, None] == truth[None, :]) & ~np.eye(len(truth), dtype=bool)
    near = np.abs(np.arange(len(truth))[:, None] - np.arange(len(truth))[None, :]) <= 6
    graph = sp.csr_matrix((same & near).astype(np.float32))
    obs = pd.DataFrame({"cluster": truth}, index=counts.obs_names)
    return counts, store.addition(counts.obs_names, obs=obs, obsp={"connectivities": graph}), truth


def write_cells(path, sizes=None, seed=2, counts=None, labels=None):
    """Write a labelled h5ad; return what cohort.yaml says of it."""
    if counts is None:
        counts, labels = make_groups(sizes or dict.fromkeys(MARKERS, 60), MARKERS, seed=seed)
    matrix = counts.X.astype(np.float32)
    obs = pd.DataFrame({"label": pd.Categorical(labels)}, index=counts.obs_names)
    anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=counts.var_names)).write_h5ad(path)
    return {"file": path.name, "sha256": sha256_of(path), "label_column": "label", "labels": dict(SLUGS)}


def write_model(path, seed=2):
    """Write a model as CellTypist saves it; return what cohort.yaml says of it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from immune_landscape.reduce_cells import normalise

    counts, labels = make_groups(dict.fromkeys(MARKERS, 60), MARKERS, seed=seed)
    values = normalise(counts, 1e4).X.toarray()
    scaler = StandardScaler().fit(values)
    classifier = LogisticRegression(C=0.1, max_iter=500).fit(np.clip(scaler.transform(values), -10, 10), labels)
    classifier.features = counts.var_names.to_numpy(dtype=object)
    description = dict.fromkeys(("date", "details", "url", "source", "version", "number_celltypes"), "")
    path.write_bytes(pickle.dumps({"Model": classifier, "Scaler_": scaler, "description": description}))
    return {"file": path.name, "sha256": sha256_of(path), "label_column": "", "labels": dict(SLUGS)}
