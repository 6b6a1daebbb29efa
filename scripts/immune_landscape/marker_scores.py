"""Marker-set scores per cell, and what a cell's neighbours say about them."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.block_sums import normal_genes
from immune_landscape.cell_types import read_markers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import scipy.sparse as sp

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

TARGET_SUM = 1e4
MIN_GENES = 3
MIN_SHARE = 0.5
"""A set with fewer positive genes in the data, or less than this share of their weight, is not looked for."""

SCORED, FEW_GENES, NO_DEFINING = "looked for", "too few genes", "no defining gene"

BLOCK = 20_000
"""Cells scored at once; the scorer works on dense rows."""


def entry_of(name: str) -> dict[str, list[str]]:
    """Return a marker set by its name ``group.set``."""
    group, _, entry = name.partition(".")
    return read_markers()[group][entry]


def gene_weights(types: pd.DataFrame) -> dict[str, float]:
    """Return what each positive marker counts: one over the root of the number of types that share it."""
    of_type = [{gene for name in names for gene in entry_of(name)["genes"]} for names in types["marker_sets"]]
    return {gene: number**-0.5 for gene, number in Counter(gene for genes in of_type for gene in genes).items()}


def status_of(name: str, genes: Collection[str], weights: Mapping[str, float]) -> str:
    """Tell whether data are rich enough to look for a marker set.

    Parameters
    ----------
    name
        Name ``group.set`` of markers.yaml.
    genes
        Genes in the data.
    weights
        What each positive marker counts, as `gene_weights` returns.

    Returns
    -------
    str
        `SCORED`, `FEW_GENES` or `NO_DEFINING`.
    """
    entry = entry_of(name)
    defining = entry.get("defining", [])
    if defining and not any(gene in genes for gene in defining):
        return NO_DEFINING
    found = [gene for gene in entry["genes"] if gene in genes]
    share = sum(weights[gene] for gene in found) / sum(weights[gene] for gene in entry["genes"])
    return SCORED if len(found) >= MIN_GENES and share >= MIN_SHARE else FEW_GENES


def score_cells(counts: CellCounts, sets: Iterable[str], background: Iterable[str]) -> pd.DataFrame:
    """Score marker sets in each cell with a univariate linear model, negatives counting against.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    sets
        Names ``group.set`` of markers.yaml, each with a gene in the data.
    background
        Further genes that the markers are compared with, such as the highly variable ones.

    Returns
    -------
    pandas.DataFrame
        Cells x sets: t values of the slope of expression on marker weight; 0 in cells without a molecule of all these
        genes. A marker that no cell expresses counts as not expressed, not as missing.

    References
    ----------
    Badia-i-Mompel 2022, doi:10.1093/bioadv/vbac016 (decoupler).
    """
    import anndata
    import decoupler as dc

    network = _network(sets, counts.var_names)
    genes = counts.var_names[counts.var_names.isin(set(network["target"]) | set(background))]
    values = normal_genes(counts, genes, TARGET_SUM)
    # A constant row has no slope.
    lit = np.diff(values.indptr) > 0
    if network.empty or not lit.any():
        return pd.DataFrame(0.0, index=counts.obs_names, columns=network["source"].unique()).rename_axis("cell")
    normal = anndata.AnnData(values[lit], obs=pd.DataFrame(index=counts.obs_names[lit]), var=pd.DataFrame(index=genes))
    dc.mt.ulm(normal, network, tmin=1, empty=False, bsize=BLOCK, verbose=False)
    scores = normal.obsm["score_ulm"].reindex(counts.obs_names, fill_value=0.0)
    return scores.rename_axis(index="cell", columns=None)


def smooth(scores: pd.DataFrame, connectivities: sp.csr_matrix) -> pd.DataFrame:
    """Average each cell's scores with its neighbours', weighted by the graph, itself counting as much as all of them.

    A single cell detects a few of the markers of its type; its neighbourhood detects most, but where a type has few
    cells most neighbours are of another.

    Parameters
    ----------
    scores
        Cells x sets or genes.
    connectivities
        Cells x cells, weights in 0-1.

    Returns
    -------
    pandas.DataFrame
        Same shape.
    """
    total = np.asarray(connectivities.sum(axis=1)).ravel()[:, None]
    own = scores.to_numpy()
    near = np.divide(connectivities @ own, total, out=own.astype(float), where=total > 0)
    return pd.DataFrame((own + near) / 2, index=scores.index, columns=scores.columns)


def type_scores(scores: pd.DataFrame, types: pd.DataFrame) -> pd.DataFrame:
    """Return one score per type: the highest of its marker sets'.

    Parameters
    ----------
    scores
        Cells x marker sets.
    types
        Rows of `cell_types.read_cell_types`.

    Returns
    -------
    pandas.DataFrame
        Cells x types that have a scored set.
    """
    columns = {}
    for slug, sets in types["marker_sets"].items():
        present = [name for name in sets if name in scores.columns]
        if present:
            columns[str(slug)] = scores[present].max(axis=1)
    return pd.DataFrame(columns, index=scores.index)


def best_type(by_type: pd.DataFrame, *, unassigned: str, min_score: float, min_margin: float) -> pd.DataFrame:
    """Name the type with the highest score, or abstain.

    Parameters
    ----------
    by_type
        Cells x types, as `type_scores` returns; minus infinity where a type is ruled out.
    unassigned
        Label when abstaining.
    min_score
        Score that the best type needs.
    min_margin
        Lead over the second type that it needs.

    Returns
    -------
    pandas.DataFrame
        Index of `by_type`; ``label``, ``best``, ``score``, ``runner_up``, ``margin``; with one type alone there is no
        runner-up and no margin.
    """
    if by_type.empty:
        columns = {"label": unassigned, "best": "", "score": np.nan, "runner_up": "", "margin": np.nan}
        return pd.DataFrame(columns, index=by_type.index)
    order = np.argsort(-by_type.to_numpy(), axis=1, kind="stable")
    rows, names = np.arange(len(by_type)), by_type.columns.to_numpy(dtype=object)
    first = order[:, 0]
    score = by_type.to_numpy()[rows, first]
    if by_type.shape[1] == 1:
        sure, rival = score >= min_score, {"runner_up": "", "margin": np.nan}
    else:
        margin = score - by_type.to_numpy()[rows, order[:, 1]]
        sure, rival = (score >= min_score) & (margin >= min_margin), {"runner_up": names[order[:, 1]], "margin": margin}
    table = {"label": np.where(sure, names[first], unassigned), "best": names[first], "score": score}
    return pd.DataFrame(table | rival, index=by_type.index)


def _network(sets: Iterable[str], genes: pd.Index) -> pd.DataFrame:
    """Source, target, weight of the markers in the data."""
    known = set(genes)
    rows: list[tuple[str, str, float]] = []
    for name in sets:
        entry = entry_of(name)
        found = [gene for gene in entry["genes"] if gene in known]
        rows += [(name, gene, 1.0) for gene in found]
        rows += [(name, gene, -1.0) for gene in sorted(set(entry["negative"]) & known - set(found))]
    return pd.DataFrame(rows, columns=["source", "target", "weight"])
