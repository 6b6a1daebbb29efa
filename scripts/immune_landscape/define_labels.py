"""One row per cell: the frozen labels that every later table counts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

FROM_SUBSETS = ["subset", "state", "cluster", "score", "margin", "agreement"]
COLUMNS = [
    "sample", "lineage", "branch", "subset", "state", "cluster", "cluster_name", "score", "margin", "agreement",
]  # fmt: skip


def define_labels(
    lineages: pd.DataFrame, subsets: Sequence[pd.DataFrame], clusters: Sequence[pd.DataFrame] = ()
) -> pd.DataFrame:
    """Join lineage, subset and cluster labels.

    Parameters
    ----------
    lineages
        As `annotate_lineages.annotate_lineages` returns.
    subsets
        Cell tables of `annotate_subsets.annotate_subsets`, one per branch.
    clusters
        Tables of `name_clusters`, one for each of `subsets`; none where clusters have no names.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``lineage``, ``branch``, ``subset`` (the lineage outside the branches), ``state``
        (empty for none, and outside the branches), ``cluster`` (within the branch; among all cells outside the
        branches), ``cluster_name`` (empty outside the branches), ``score``, ``margin`` and ``agreement`` of the
        subset (of the lineage outside the branches).
    """
    labels = lineages.assign(subset=lineages["lineage"], state="", cluster_name="")
    labels = labels.astype({"cluster": str, "state": object, "cluster_name": object})
    labels = labels.astype(dict.fromkeys(("score", "margin", "agreement"), float))
    for at, table in enumerate(subsets):
        labels.loc[table.index, FROM_SUBSETS] = table[FROM_SUBSETS].astype({"cluster": str})
        if clusters:
            named = clusters[at].astype({"cluster": str}).set_index("cluster")["name"]
            labels.loc[table.index, "cluster_name"] = table["cluster"].astype(str).map(named).fillna("").to_numpy()
    return labels[COLUMNS].fillna({"state": "", "cluster_name": ""})
