"""One row per cell: the frozen labels that every later table counts."""

from __future__ import annotations

import pandas as pd


def define_labels(lineages: pd.DataFrame, *subsets: pd.DataFrame) -> pd.DataFrame:
    """Join lineage and subset labels.

    Parameters
    ----------
    lineages
        As `annotate_lineages.annotate_lineages` returns.
    *subsets
        Cell tables of `annotate_subsets.annotate_subsets`, one per branch.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``lineage``, ``branch``, ``subset`` (the lineage outside the branches),
        ``score`` and ``margin`` of the subset (of the lineage outside the branches).
    """
    labels = lineages[["sample", "lineage", "branch", "score", "margin"]].copy()
    labels.insert(3, "subset", labels["lineage"])
    for table in subsets:
        labels.loc[table.index, ["subset", "score", "margin"]] = table[["subset", "score", "margin"]].to_numpy()
    return labels.astype({"score": float, "margin": float})
