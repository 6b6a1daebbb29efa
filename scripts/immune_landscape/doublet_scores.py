"""Scrublet's score of one sample, without the work that its simulation does not need.

A simulated doublet is the sum of two cells' counts, scaled to the same total as every cell. Its principal components
are therefore the mean of those of its parents, weighted by their totals: neither its counts nor z-scores are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from immune_landscape.gene_dispersion import count_moments, measure_dispersion, within_cutoffs
from immune_landscape.leading_pairs import leading_pairs
from immune_landscape.neighbour_search import search
from immune_landscape.step_results import DoubletScores

if TYPE_CHECKING:
    import scipy.sparse as sp

MIN_CELLS = 3
"""Genes in fewer cells, and cells of fewer genes, are left out."""

RATIO = 2
"""Simulated doublets per cell."""

SCORED_DOUBLETS = 20_000
"""Simulated doublets that get a score of their own: enough for the histogram in which the cut-off is looked for."""

EXACT_BELOW, PROBES = 30_000, 16
"""Cells and doublets up to which all pairs are looked at, and centres that are looked into beyond: shares of doublets
among hundreds of neighbours need fewer of them than a graph."""


def score_sample(counts: sp.csr_matrix, rate: float, seed: int, n_components: int) -> DoubletScores:
    """Score the cells of one sample.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    rate
        Expected share of doublets.
    seed
        Seed of the simulated pairs.
    n_components
        Principal components; fewer where cells or genes are few.

    Returns
    -------
    DoubletScores
        NaN all over where the sample has too few variable genes.

    References
    ----------
    Wolock 2019, doi:10.1016/j.cels.2018.11.005.
    """
    scores = np.full(counts.shape[0], np.nan)
    kept, values, totals = _variable_values(counts)
    width = min(n_components, *(side - 1 for side in values.shape))
    if width < 2:
        return DoubletScores(scores, np.empty(0))
    _standardise(values)
    cells = _leading_scores(values, width, seed)
    found = _likelihood(cells, _simulate(cells, totals, seed), rate, seed)
    scores[kept] = found[: len(kept)]
    return DoubletScores(scores, found[len(kept) :])


def _variable_values(counts: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells that are scored, their values of the variable genes at a total of 1, and the totals before."""
    detected = np.bincount(counts.indices[counts.data > 0], minlength=counts.shape[1])
    expressed = counts[:, detected >= MIN_CELLS]
    kept = np.flatnonzero(np.diff(expressed.indptr) >= MIN_CELLS)
    if len(kept) < counts.shape[0]:
        expressed = expressed[kept]
    if not len(kept) or not expressed.shape[1]:
        return kept, np.empty((len(kept), 0), dtype=np.float32), np.empty(len(kept))
    total = np.asarray(expressed.sum(axis=1, dtype=np.float64)).ravel()
    moments = count_moments(expressed, np.median(total) / total)
    chosen = within_cutoffs(measure_dispersion(moments, len(kept)))
    values = expressed[:, chosen].toarray().astype(np.float32, copy=False)
    of_chosen = values.sum(axis=1, dtype=np.float64)
    values /= np.where(of_chosen > 0, of_chosen, 1.0)[:, None].astype(np.float32)
    return kept, values, of_chosen


def _standardise(values: np.ndarray) -> None:
    """Turn each column into z-scores, in place."""
    values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = np.sqrt(np.einsum("ij,ij->j", values, values, dtype=np.float64) / (len(values) - 1))
    values /= np.where(spread > 0, spread, 1.0).astype(np.float32)


def _leading_scores(values: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Return the principal components of centred values, from the products of whichever are fewer, cells or genes."""
    cells_fewer = len(values) <= values.shape[1]
    vectors, squared = leading_pairs(values @ values.T if cells_fewer else values.T @ values, width, seed)
    return vectors * np.sqrt(np.maximum(squared, 0)) if cells_fewer else values @ vectors


def _simulate(cells: np.ndarray, totals: np.ndarray, seed: int) -> np.ndarray:
    """Return the components of random pairs of cells."""
    from sklearn.utils.random import sample_without_replacement

    count = len(cells)
    one, two = np.divmod(sample_without_replacement(count * count, RATIO * count, random_state=seed), count)
    weight = totals[one] + totals[two]
    share = np.divide(totals[one], weight, out=np.full(len(one), 0.5), where=weight > 0).astype(np.float32)[:, None]
    return cells[one] * share + cells[two] * (1 - share)


def _likelihood(cells: np.ndarray, doublets: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Return the score of each cell and of the first simulated doublets, by the doublets among its neighbours."""
    points = np.ascontiguousarray(np.vstack([cells, doublets]))
    wanted = min(round(round(0.5 * np.sqrt(len(cells))) * (1 + RATIO)), len(points))
    scored = min(len(points), len(cells) + SCORED_DOUBLETS)
    near, _ = search(
        points, wanted, exact=len(points) <= EXACT_BELOW, seed=seed, queries=points[:scored], probes=PROBES
    )
    doubled = (near >= len(cells)).sum(axis=1)
    # A simulated doublet is no neighbour of its own.
    doubled[len(cells) :] -= (near[len(cells) :] == np.arange(len(cells), scored)[:, None]).any(axis=1)
    share = (doubled + 1) / (wanted + 2)
    return share * rate / RATIO / (1 - rate - share * (1 - rate - rate / RATIO))
