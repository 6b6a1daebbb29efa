"""Sums of counts of Kang et al. 2018: two donors, control and stimulated by interferon beta, in published clusters."""

import anndata
import pandas as pd
from datasets import shared_data

from immune_landscape.measure_expression import measure_expression
from immune_landscape.pseudobulk import pseudobulk_of

CONTRAST = {"name": "stimulated", "estimand": "change", "reference": "ctrl", "target": "stim"}


def read_kang():
    """Return the sums and the design."""
    counts = anndata.read_h5ad(shared_data("kang2018_ifnb", "kang_muscat_2donor_paired_counts.h5ad"))
    counts.var_names = counts.var["symbol"].astype(str)
    counts.obs["sample"] = counts.obs["sample_id"].astype(str)
    labels = pd.DataFrame({"subset": counts.obs["cluster_id"].astype(str), "branch": "other"}, index=counts.obs_names)
    names = {"donor": "patient", "group_id": "visit"}
    design = counts.obs.drop_duplicates("sample").rename(columns=names)[["sample", "patient", "visit"]].astype(str)
    sums = measure_expression(counts, labels, design, min_cells=10, branches=[])
    return pseudobulk_of(sums), design.assign(tissue="blood")
