"""Broad lineages from marker scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from immune_landscape.cell_types import read_cell_types, types_of
from immune_landscape.marker_scores import best_type, score_cells, smooth, type_scores

if TYPE_CHECKING:
    from anndata import AnnData


def annotate_lineages(
    counts: AnnData, reduction: AnnData, clusters: AnnData, *, min_score: float, min_margin: float
) -> pd.DataFrame:
    """Name the lineage of each cell, or leave it unassigned.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    reduction, clusters
        As `reduce_cells` and `cluster_cells` return for all cells.
    min_score, min_margin
        Smoothed score that a lineage needs, and its lead over the next; below, the cell is ``unassigned``.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``cluster``, ``lineage`` (slug), ``branch`` (nk, t, other), ``score``,
        ``runner_up``, ``margin``.
    """
    types = types_of("lineage")
    sets = [name for names in types["marker_sets"] for name in names]
    scores = score_cells(counts, sets, reduction.uns["reduction"]["genes"])
    evidence = smooth(scores, clusters[counts.obs_names].obsp["connectivities"])
    by_type = type_scores(evidence, types)
    named = best_type(by_type, unassigned="unassigned", min_score=min_score, min_margin=min_margin)
    table = pd.DataFrame({"sample": counts.obs["sample"].astype(str)}, index=counts.obs_names)
    table["cluster"] = clusters.obs.loc[counts.obs_names, "cluster"].astype(str)
    table["lineage"] = named["label"]
    table["branch"] = named["label"].map(read_cell_types()["branch"])
    return table.join(named[["score", "runner_up", "margin"]]).rename_axis("cell")
