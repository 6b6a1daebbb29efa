"""What the heavy steps return, on any device: arrays in host memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class DoubletScores(NamedTuple):
    """Scrublet's scores of one sample.

    Attributes
    ----------
    observed : ndarray of float64, shape (cells,)
        Likelihood-based score of each cell; NaN for a cell that could not be scored.
    simulated : ndarray of float64, shape (2 x scored cells, 20,000 at most)
        The same of simulated doublets, in whose histogram the cut-off is looked for; empty where nothing was scored.
    """

    observed: np.ndarray
    simulated: np.ndarray


class Components(NamedTuple):
    """Principal components.

    Attributes
    ----------
    scores : ndarray of float32, shape (cells, components)
        The component of largest variance first. The entry of largest absolute loading is positive.
    variance_ratio : ndarray of float64, shape (components,)
        Share of the total variance.
    """

    scores: np.ndarray
    variance_ratio: np.ndarray


class Neighbours(NamedTuple):
    """Nearest neighbours of each cell, itself among them.

    Attributes
    ----------
    indices : ndarray of int32, shape (cells, neighbours)
        Nearest first; the first is the cell itself.
    distances : ndarray of float32, shape (cells, neighbours)
        Euclidean; the first is 0.
    """

    indices: np.ndarray
    distances: np.ndarray


class MarkerRanks(NamedTuple):
    """Rank sums of genes, each group against all other cells.

    Attributes
    ----------
    z : ndarray of float64, shape (groups, genes)
        Rank sum less its expectation over its standard deviation, corrected for ties; above 0 is higher in the group.
        An order of genes and nothing more: cells are no replicates. NaN for a group of no cell or of all cells.
    auc : ndarray of float64, shape (groups, genes)
        Chance that a cell of the group has a higher value than one outside, ties counting half.
    """

    z: np.ndarray
    auc: np.ndarray
