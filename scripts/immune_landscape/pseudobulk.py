"""Sums of counts per sample and subset, and what turns them into numbers that can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData

Floats = NDArray[np.float64]

MILLION = 1e6
TRIMMED_RATIOS = 0.3
TRIMMED_LEVELS = 0.05
"""Shares of genes left out at either end of ratio and level when libraries are scaled, as in edgeR."""

WHOLE = "cells"
"""Name of the sums over all cells of a sample, which are no subset and are not tested."""


@dataclass(frozen=True)
class Pseudobulk:
    """Summed raw counts.

    Attributes
    ----------
    profiles
        One row per sum: `sample`, `subset` (or branch), `cells`.
    genes
        Names of the columns.
    counts
        (profiles, genes) sums of raw counts, dense or sparse.
    whole
        Samples x genes, the sums over all cells of a sample; without rows where they are not known.
    """

    profiles: pd.DataFrame
    genes: pd.Index
    counts: Any
    whole: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def subsets(self) -> list[str]:
        """Return the subsets in the order of the profiles."""
        return [str(name) for name in self.profiles["subset"].drop_duplicates()]

    def of(self, subset: str) -> pd.DataFrame:
        """Return the sums of one subset.

        Parameters
        ----------
        subset
            Subset or branch.

        Returns
        -------
        pandas.DataFrame
            Samples x genes.
        """
        rows = np.flatnonzero(self.profiles["subset"].astype(str) == subset)
        chosen = self.counts[rows]
        values = np.asarray(chosen.toarray() if hasattr(chosen, "toarray") else chosen, dtype=float)
        samples = self.profiles["sample"].astype(str).to_numpy(dtype=object)[rows]
        return pd.DataFrame(values, index=samples, columns=self.genes)


def pseudobulk_of(sums: AnnData) -> Pseudobulk:
    """Take the sums out of the file that holds them.

    Parameters
    ----------
    sums
        As `measure_expression.measure_expression` returns.

    Returns
    -------
    Pseudobulk
        With plain tables and arrays.
    """
    profiles = sums.obs[["sample", "subset", "cells"]].reset_index(drop=True)
    everything = Pseudobulk(profiles, sums.var_names, sums.X)
    parts = (profiles["subset"] != WHOLE).to_numpy(dtype=bool)
    return Pseudobulk(profiles[parts].reset_index(drop=True), sums.var_names, sums.X[parts], everything.of(WHOLE))


def expressed_genes(counts: pd.DataFrame, *, min_count: float, min_share: float) -> NDArray[np.bool_]:
    """Tell which genes have enough counts to be compared, whoever the samples are from.

    Parameters
    ----------
    counts
        Samples x genes.
    min_count
        Counts that a gene needs in a sample of median depth.
    min_share
        Share of samples in which it needs them.

    Returns
    -------
    numpy.ndarray of bool
        (genes,); none without samples.

    Notes
    -----
    As edgeR's filterByExpr (Chen 2016, doi:10.12688/f1000research.8987.2): the count is turned into counts per million
    at the median depth, so deep samples do not pass more genes. Where that takes the size of the smallest group, this
    takes a share of all samples, which groups and responses do not enter.
    """
    values = counts.to_numpy(dtype=float)
    depth = values.sum(axis=1)
    if not (depth > 0).any():
        return np.zeros(values.shape[1], dtype=bool)
    rates = values / np.where(depth > 0, depth, 1.0)[:, None]
    reached = rates >= min_count / np.median(depth[depth > 0])
    return np.asarray(reached.sum(axis=0) >= max(1.0, min_share * len(values)))


def library_factors(counts: pd.DataFrame, depth: Floats) -> Floats:
    """Scale libraries so that most genes do not differ between samples (trimmed mean of M values).

    Parameters
    ----------
    counts
        Samples x genes that are compared.
    depth
        (samples,) counts of all genes, positive.

    Returns
    -------
    numpy.ndarray
        (samples,) factors with geometric mean 1; depth times factor is the depth to divide by.

    References
    ----------
    Robinson and Oshlack (2010), https://doi.org/10.1186/gb-2010-11-3-r25. The reference is the sample whose upper
    quartile of rates is nearest to the mean of all.
    """
    values = counts.to_numpy(dtype=float)
    values = values[:, (values > 0).any(axis=0)]
    if values.shape[1] < 2:
        return np.ones(len(values))
    rates = values / depth[:, None]
    quartiles = np.quantile(rates, 0.75, axis=1)
    reference = int(np.argmin(np.abs(quartiles - quartiles.mean())))
    middle, middle_depth = values[reference], float(depth[reference])
    ratios = [_trimmed_ratio(own, middle, total, middle_depth) for own, total in zip(values, depth, strict=True)]
    factors = np.array(ratios)
    return np.asarray(factors / np.exp(np.log(factors).mean()))


def _trimmed_ratio(own: Floats, reference: Floats, depth: float, reference_depth: float) -> float:
    """Return the weighted mean ratio of the rates of two samples over the genes in the middle."""
    from scipy.stats import rankdata

    both = (own > 0) & (reference > 0)
    if not both.any():
        return 1.0
    first, second = own[both] / depth, reference[both] / reference_depth
    ratios, levels = np.log2(first / second), np.log2(first * second) / 2
    if np.abs(ratios).max() < 1e-6:
        return 1.0
    inside = np.ones(len(ratios), dtype=bool)
    for numbers, share in ((ratios, TRIMMED_RATIOS), (levels, TRIMMED_LEVELS)):
        lowest = np.floor(len(numbers) * share) + 1
        ranks = rankdata(numbers)
        inside &= (ranks >= lowest) & (ranks <= len(numbers) + 1 - lowest)
    weights = 1 / ((1 - first) / own[both] + (1 - second) / reference[both])
    if not inside.any():
        return 1.0
    return float(2 ** np.average(ratios[inside], weights=weights[inside]))


def log_cpm(counts: pd.DataFrame, depth: Floats, *, prior_count: float) -> pd.DataFrame:
    """Turn counts into logarithms of counts per million.

    Parameters
    ----------
    counts
        Samples x genes.
    depth
        (samples,) depth to divide by, positive.
    prior_count
        Counts added to every gene in a sample of mean depth, so that a zero has a logarithm and low counts no large
        differences.

    Returns
    -------
    pandas.DataFrame
        Samples x genes, log2.

    Notes
    -----
    As edgeR's cpm with log=TRUE: the counts added are in proportion to the depth, so that a gene without counts has
    the same value in all samples.
    """
    added = prior_count * depth / depth.mean()
    values = (counts.to_numpy(dtype=float) + added[:, None]) / (depth + 2 * added)[:, None] * MILLION
    return pd.DataFrame(np.log2(values), index=counts.index, columns=counts.columns)
