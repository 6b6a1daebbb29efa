"""Cells with clones, subsets and kinds of receptor, made as the tables that the stages write."""

import numpy as np
import pandas as pd

CHAINS = ("vj_v_gene", "vj_j_gene", "vj_junction_aa", "vj_junction")
CHAINS += ("vdj_v_gene", "vdj_j_gene", "vdj_junction_aa", "vdj_junction")


def make_tables(cells, design=None):
    """Return the tables that the rules on clones and subsets read.

    `cells` has sample, clonotype and subset, and may have receptor and branch; a cell without a clonotype has no
    receptor. A sample is named ``<patient>_<visit>``, or ``<patient>_<visit>_<tissue>``.
    """
    cells = cells.reset_index(drop=True)
    cells.index = pd.Index([f"{sample}:{number}" for number, sample in enumerate(cells["sample"])], name="cell")
    has_receptor = cells["clonotype"] != ""
    clonotypes = cells[["sample", "clonotype"]].assign(has_receptor=has_receptor)
    for name in CHAINS:
        clonotypes[name] = np.where(has_receptor, f"{name} of " + cells["clonotype"].astype(str), "")
    kinds = cells["receptor"] if "receptor" in cells else pd.Series("alpha_beta", index=cells.index)
    labels = cells[["sample", "subset"]].assign(lineage="t", branch=cells.get("branch", "t"))
    return {
        "clonotypes": clonotypes,
        "cells": labels,
        "receptors": kinds.where(has_receptor, "none").to_frame("receptor"),
        "design": make_design(list(dict.fromkeys(cells["sample"]))) if design is None else design,
    }


def make_design(samples):
    rows = [(sample, *[*sample.split("_"), "blood"][:3], "responder") for sample in samples]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])


def clone_cells(sample, sizes, subset, prefix=""):
    """Return cells of clones of these sizes, all of one subset of a sample."""
    patient = sample.split("_")[0]
    names = np.repeat([f"{patient}-{prefix}{subset}{at}" for at in range(len(sizes))], sizes)
    return pd.DataFrame({"sample": sample, "clonotype": names, "subset": subset})
