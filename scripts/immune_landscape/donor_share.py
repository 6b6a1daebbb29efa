"""Share of cells that come from a donor of the other sex, from cells that carry the donor's sex genes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

STEPS = 60
"""Halvings when a rate is fitted; more than a float can tell apart."""
MIN_GAIN = 0.05
"""Below this lead of true donor cells over the background, a share would be noise divided by nearly nothing."""


@dataclass(frozen=True)
class Cells:
    """Some cells of one sample.

    Attributes
    ----------
    molecules
        (n,) all counts of each cell.
    carries
        (n,) whether it has a molecule of the donor's sex genes.
    """

    molecules: np.ndarray
    carries: np.ndarray

    @property
    def share(self) -> float:
        """Share of cells that carry the genes."""
        return float(self.carries.mean()) if len(self.carries) else math.nan

    @cached_property
    def rate(self) -> float:
        """As `fit_rate` returns, fitted once."""
        return fit_rate(self)


@dataclass(frozen=True)
class Share:
    """Share of donor cells among the cells in question, all numbers 0 to 1.

    Attributes
    ----------
    share, low, high
        Estimate and interval over cells.
    background
        Expected share of carriers where no cell is the donor's.
    detection
        Expected share of carriers where all are.
    """

    share: float
    low: float
    high: float
    background: float
    detection: float


def fit_rate(cells: Cells) -> float:
    """Fit the molecules of some genes per molecule of the cell that explain how many cells carry them.

    Parameters
    ----------
    cells
        Cells of one kind.

    Returns
    -------
    float
        Rate r at which the mean of ``1 - exp(-r * molecules)`` is the share of carriers. Of genes whose counts vary
        more than a Poisson variable it is below the mean expression, as it has to be to tell their detection.
    """
    # All cells carrying them would ask for an endless rate; half a cell less is the usual stand-in.
    target = min(cells.share, 1 - 0.5 / len(cells.carries))
    low, high = 0.0, 1 / float(np.median(cells.molecules))
    while detection_at(high, cells.molecules) < target:
        high *= 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if detection_at(middle, cells.molecules) < target else (low, middle)
    return (low + high) / 2 if target > 0 else 0.0


def detection_at(rate: float, molecules: np.ndarray) -> float:
    """Return the share of cells expected to carry genes of a rate.

    Parameters
    ----------
    rate
        As `fit_rate` returns.
    molecules
        (n,) all counts of each cell.

    Returns
    -------
    float
        0 to 1.
    """
    return float(np.mean(-np.expm1(-rate * molecules))) + 0.0


def estimate_share(asked: Cells, background: Cells, references: Sequence[Cells], level: float) -> Share | None:
    """Estimate the share of donor cells.

    Parameters
    ----------
    asked
        Cells among which the donor's are looked for.
    background
        Cells of the same sample that are the patient's own: ambient RNA, doublets and misread molecules.
    references
        Cells of the donor's sex and of the kind of `asked`, one item per sample.
    level
        Confidence level.

    Returns
    -------
    Share or None
        None when the genes are seen so rarely that carriers tell nothing.

    Notes
    -----
    With p the share of carriers, e that of a sample without donor cells and d that of one with nothing else, the
    share is ``(p - e) / (d - e)`` (Rogan and Gladen 1978, doi:10.1093/oxfordjournals.aje.a112510). e is fitted to the
    background and d to each reference as a rate per molecule, and both are told for the depth of the cells asked, so
    that shallow samples are not taken for samples without donor cells. The interval is that of Lang and Reiczigel
    2014 (doi:10.1016/j.prevetmed.2013.09.015) for an estimated e and d. d counts as estimated from as many cells as
    its spread between the references, for one more donor, is worth. Cells are not replicates: the interval describes
    this sample of cells, and no test is made of it.
    """
    errors = detection_at(background.rate, asked.molecules)
    seen = np.array([detection_at(cells.rate, asked.molecules) for cells in references])
    detection = float(seen.mean())
    if detection - errors < MIN_GAIN:
        return None
    size = _worth(seen, sum(len(cells.carries) for cells in references))
    limits = _interval((asked.share, len(asked.carries)), (detection, size), (errors, len(background.carries)), level)
    if limits is None:
        return None
    low, high = limits
    share = min(max((asked.share - errors) / (detection - errors), 0.0), 1.0)
    return Share(share, min(low, share), max(high, share), errors, detection)


def _worth(seen: np.ndarray, cells: int) -> float:
    """Return the number of cells whose binomial error is the error of the detection in a donor not seen yet."""
    if len(seen) < 2:
        return float(cells)
    mean, between = float(seen.mean()), float(seen.var(ddof=1)) * (1 + 1 / len(seen))
    return min(float(cells), mean * (1 - mean) / between) if between > 0 else float(cells)


def _interval(
    asked: tuple[float, float], detection: tuple[float, float], errors: tuple[float, float], level: float
) -> tuple[float, float] | None:
    """Return Lang and Reiczigel's limits; each pair is a share and its number of cells.

    None where so few cells were seen that donor cells might show the genes no more often than others.
    """
    from scipy import stats

    z = float(stats.norm.isf((1 - level) / 2))
    cells, count_d, count_e = asked[1] + z**2, detection[1] + 2, errors[1] + 2
    p = (asked[1] * asked[0] + z**2 / 2) / cells
    d, e = (detection[1] * detection[0] + 1) / count_d, (errors[1] * errors[0] + 1) / count_e
    if d <= e:
        return None
    share = (p - e) / (d - e)
    spread_d, spread_e = d * (1 - d) / count_d, e * (1 - e) / count_e
    shift = 2 * z**2 * (share * spread_d - (1 - share) * spread_e)
    variance = (p * (1 - p) / cells + share**2 * spread_d + (1 - share) ** 2 * spread_e) / (d - e) ** 2
    low, high = (share + shift + side * z * math.sqrt(variance) for side in (-1, 1))
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
