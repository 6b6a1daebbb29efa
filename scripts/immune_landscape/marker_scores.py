"""Marker-set scores per cell, and what a cell's neighbours say about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_markers
from immune_landscape.reduce_cells import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable

    import scipy.sparse as sp
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")

TARGET_SUM = 1e4
MIN_GENES = 2
"""A set with fewer positive genes in the data is not scored: one gene's drop-out would decide."""

BLOCK = 20_000
"""Cells scored at once; the scorer works on dense rows."""


def score_cells(counts: AnnData, sets: Iterable[str], background: Iterable[str]) -> pd.DataFrame:
    """Score marker sets in each cell with a univariate linear model, negatives counting against.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    sets
        Names ``group.set`` of markers.yaml.
    background
        Further genes that the markers are compared with, such as the highly variable ones.

    Returns
    -------
    pandas.DataFrame
        Cells x sets that have at least two positive genes in the data, and a defining one where the set names any:
        t values of the slope of expression on marker weight.

    References
    ----------
    Badia-i-Mompel 2022, doi:10.1093/bioadv/vbac016 (decoupler).
    """
    import decoupler as dc

    network = _network(sets, counts.var_names)
    if network.empty or counts.n_obs == 0:
        return pd.DataFrame(index=counts.obs_names)
    genes = counts.var_names.isin(set(network["target"]) | set(background))
    normal = normalise(counts, TARGET_SUM)[:, genes].copy()
    dc.mt.ulm(normal, network, tmin=1, bsize=BLOCK, verbose=False)
    return normal.obsm["score_ulm"].rename_axis(index="cell").rename_axis(columns=None)


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
        Index of `by_type`; ``label``, ``best``, ``score``, ``runner_up``, ``margin``.
    """
    if by_type.empty:
        columns = {"label": unassigned, "best": "", "score": np.nan, "runner_up": "", "margin": np.nan}
        return pd.DataFrame(columns, index=by_type.index)
    order = np.argsort(-by_type.to_numpy(), axis=1, kind="stable")
    rows, names = np.arange(len(by_type)), by_type.columns.to_numpy(dtype=object)
    first, second = order[:, 0], order[:, min(1, order.shape[1] - 1)]
    score = by_type.to_numpy()[rows, first]
    margin = score - by_type.to_numpy()[rows, second]
    sure = (score >= min_score) & ((margin >= min_margin) | (by_type.shape[1] == 1))
    table = {"label": np.where(sure, names[first], unassigned), "best": names[first], "score": score}
    return pd.DataFrame(table | {"runner_up": names[second], "margin": margin}, index=by_type.index)


def _network(sets: Iterable[str], genes: pd.Index) -> pd.DataFrame:
    """Source, target, weight of the sets that keep enough positive genes."""
    markers, known = read_markers(), set(genes)
    rows: list[tuple[str, str, float]] = []
    for name in sets:
        group, _, entry = name.partition(".")
        entries = markers[group][entry]
        found = [gene for gene in entries["genes"] if gene in known]
        defining = entries.get("defining", [])
        if len(found) < MIN_GENES or (defining and known.isdisjoint(defining)):
            LOG.warning("%s is not looked for: %d of %d genes in the data", name, len(found), len(entries["genes"]))
        else:
            rows += [(name, gene, 1.0) for gene in found]
            against = set(entries["negative"]) & known - set(found)
            rows += [(name, gene, -1.0) for gene in sorted(against)]
    return pd.DataFrame(rows, columns=["source", "target", "weight"])
