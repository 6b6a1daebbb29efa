"""Numbers of clusters that stay what they were in an earlier run."""

from __future__ import annotations

from itertools import count

import pandas as pd

from immune_landscape.stability import match_clusters

SAME = 0.5
"""Jaccard index above which a cluster is the earlier one: it then holds most cells of both, and can be no other."""


def keep_numbers(cluster: pd.Series, earlier: pd.Series) -> dict[str, str]:
    """Give clusters the numbers of those of an earlier run that they match.

    Parameters
    ----------
    cluster
        Cluster of each cell as text, ``"0"`` being the largest.
    earlier
        Likewise of an earlier run; cells that only one of the two holds say nothing.

    Returns
    -------
    dict
        Cluster -> its number. One without an earlier match takes a number that no earlier cluster had, the largest
        first: a number never comes to mean other cells.
    """
    both = cluster.index.intersection(earlier.index)
    matched = match_clusters(cluster[both], earlier[both]) if len(both) else pd.DataFrame(columns=["a", "b", "jaccard"])
    kept = {str(row["a"]): str(row["b"]) for row in matched.to_dict("records") if row["jaccard"] > SAME}
    free = (str(number) for number in count(1 + max(map(int, earlier), default=-1)))
    ordered = sorted(cluster.unique(), key=int)
    return {name: kept[name] if name in kept else next(free) for name in ordered}


def earlier_clusters(labels: pd.DataFrame, branch: str) -> pd.Series:
    """Return the clusters of a branch in an earlier run.

    Parameters
    ----------
    labels
        As `define_labels.define_labels` returned then; index: cell.
    branch
        ``all``, ``nk`` or ``t``; of all cells, labels tell no clusters.

    Returns
    -------
    pandas.Series
        Cluster of each cell as text.
    """
    numbers = pd.to_numeric(labels.loc[labels["branch"] == branch, "cluster"]).dropna()
    return numbers.astype(int).astype(str)
