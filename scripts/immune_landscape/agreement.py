"""How far two runs of the heavy steps on the same cells agree: on two devices, or by two libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.leiden import adjusted_rand
from immune_landscape.stability import match_clusters

if TYPE_CHECKING:
    import scipy.sparse as sp

StepOf = Callable[[str], Callable[..., Any]]

LEADING = 10
"""Components whose subspace is looked for in the other run: the last ones of either may be another's next."""

MIN_CELLS = 20
"""Cells of a cluster in both runs for its markers to be compared, and of a sample for its composition."""

MEASURES = ("subspace_angle", "neighbour_overlap", "ari", "composition_change", "marker_correlation")


class CoreRun(NamedTuple):
    """What the heavy steps made of some cells.

    Attributes
    ----------
    scores : ndarray, shape (cells, components)
        Principal components.
    neighbours : ndarray of int, shape (cells, neighbours)
        Nearest neighbours on the integrated components, the cell itself first.
    clusters : ndarray of int, shape (cells,)
        Cluster of each cell, 0 and up.
    markers : ndarray, shape (clusters, genes)
        Order of the genes of each cluster: higher is higher in the cluster.
    """

    scores: np.ndarray
    neighbours: np.ndarray
    clusters: np.ndarray
    markers: np.ndarray


def run_core(
    counts: sp.csr_matrix,
    batch: np.ndarray,
    seed: int,
    step: Callable[[str], Callable[..., Any]],
    facts: Mapping[str, Any],
) -> CoreRun:
    """Run the heavy steps from counts to markers, each on its own device's results.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    batch
        Batch of each cell.
    seed
        Seed of every step.
    step
        Gives the function of a step by its name, such as `device.Devices.step`.
    facts
        ``target_sum``, ``n_top_genes``, ``n_components``, ``harmony_theta``, ``n_neighbors``, ``resolution``.

    Returns
    -------
    CoreRun
        Components, neighbours, clusters and markers.
    """
    normal = step("normalise")(counts, facts["target_sum"])
    usable = np.bincount(normal.indices, minlength=normal.shape[1]) >= 3
    several = len(np.unique(batch)) > 1
    chosen = step("choose_genes")(normal, usable, batch if several else None, facts["n_top_genes"])
    width = min(facts["n_components"], normal.shape[0] - 1, int(chosen.sum()) - 1)
    scores = step("principal_components")(normal[:, np.flatnonzero(chosen)], width, seed).scores
    points = step("integrate")(scores, batch, facts["harmony_theta"], seed) if several else scores
    near = step("nearest_neighbours")(points, facts["n_neighbors"], exact=True, seed=seed)
    clusters = step("communities")(step("fuzzy_graph")(near), facts["resolution"], seed)
    markers = step("rank_markers")(normal, clusters, int(clusters.max()) + 1).z
    return CoreRun(scores, near.indices, clusters, markers)


def compare_runs(first: CoreRun, second: CoreRun, samples: np.ndarray) -> pd.Series:
    """Measure how far two runs on the same cells agree.

    Parameters
    ----------
    first, second
        As `run_core` returns.
    samples
        Sample of each cell.

    Returns
    -------
    pandas.Series
        Indexed by `MEASURES`. ``subspace_angle``: the largest angle, in degrees, between the subspace of the first's
        leading components and all of the second's. ``neighbour_overlap``: mean share of a cell's neighbours that it has
        in both. ``ari``: adjusted Rand index of the clusters. ``composition_change``: over samples, the largest change
        of the clusters' shares, clusters matched one to one. ``marker_correlation``: over matched clusters, the lowest
        rank correlation of the genes.
    """
    matched = match_clusters(first.clusters, second.clusters)
    return pd.Series(
        {
            "subspace_angle": subspace_angle(first.scores, second.scores),
            "neighbour_overlap": neighbour_overlap(first.neighbours, second.neighbours),
            "ari": adjusted_rand(first.clusters, second.clusters),
            "composition_change": composition_change(first.clusters, second.clusters, matched, samples),
            "marker_correlation": marker_correlation(first.markers, second.markers, matched),
        }
    )


def subspace_angle(first: np.ndarray, second: np.ndarray) -> float:
    """Measure how far the leading components of one run lie outside the components of another.

    Parameters
    ----------
    first, second
        Shape (cells, components).

    Returns
    -------
    float
        Largest principal angle in degrees: 0 inside, 90 at a right angle.

    References
    ----------
    Bjorck and Golub 1973, doi:10.1090/S0025-5718-1973-0348991-3.
    """
    from scipy.linalg import subspace_angles

    own, other = first[:, :LEADING].astype(float), second.astype(float)
    return float(np.degrees(subspace_angles(own - own.mean(axis=0), other - other.mean(axis=0)).max()))


def neighbour_overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean share of a cell's neighbours, itself left out, that it has in both runs.

    Parameters
    ----------
    first, second
        Shape (cells, neighbours); the first column is the cell itself.

    Returns
    -------
    float
        0 to 1.
    """
    shared = [len(np.intersect1d(own, other)) for own, other in zip(first[:, 1:], second[:, 1:], strict=True)]
    return float(np.mean(shared) / (first.shape[1] - 1))


def composition_change(first: np.ndarray, second: np.ndarray, matched: pd.DataFrame, samples: np.ndarray) -> float:
    """Return the largest change of a sample's composition.

    Parameters
    ----------
    first, second
        Cluster of each cell.
    matched
        As `stability.match_clusters` returns.
    samples
        Sample of each cell; those of few cells are left out.

    Returns
    -------
    float
        Half the sum of the absolute differences of the clusters' shares, the largest of all samples: 0 to 1.
    """
    names = {row.b: row.a for row in matched.itertuples() if row.b}
    renamed = np.array([names.get(name, f"other {name}") for name in second.astype(str)])
    shares = [pd.crosstab(samples, labels, normalize="index") for labels in (first.astype(str), renamed)]
    before, after = shares[0].align(shares[1], fill_value=0.0)
    sizes = pd.Series(samples).value_counts().reindex(before.index)
    change = (before - after).abs().sum(axis=1)[sizes >= MIN_CELLS] / 2
    return float(change.max()) if len(change) else 0.0


def marker_correlation(first: np.ndarray, second: np.ndarray, matched: pd.DataFrame) -> float:
    """Return the lowest rank correlation of the genes of matched clusters.

    Parameters
    ----------
    first, second
        Shape (clusters, genes).
    matched
        As `stability.match_clusters` returns.

    Returns
    -------
    float
        -1 to 1; NaN where no cluster has enough cells in both.
    """
    from scipy.stats import spearmanr

    large = matched[(matched["b"] != "") & (matched[["cells_a", "cells_b"]].min(axis=1) >= MIN_CELLS)]
    pairs = zip(large["a"].astype(int), large["b"].astype(int), strict=True)
    found = [float(spearmanr(first[own], second[other], nan_policy="omit").statistic) for own, other in pairs]
    return float(min(found)) if found else float("nan")
