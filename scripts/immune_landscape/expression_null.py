"""What a table of genes would hold if nothing were there: the same test with the labels permuted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from immune_landscape.contrast_tests import adjusting_columns
from immune_landscape.freedman_lane import residual_plan
from immune_landscape.labelings import Floats, LabelPlan, ResidualPlan, SignPlan, stratum_codes
from immune_landscape.moderated_t import Model, linear_model
from immune_landscape.patient_groups import PatientGroups
from immune_landscape.permutation import TIE_TOLERANCE

MEDIAN_CHI_SQUARED = 0.45493642311957283
"""Median of the chi-squared distribution with one degree of freedom."""


class NullGenes(NamedTuple):
    """Genes found in permuted cohorts.

    Attributes
    ----------
    found
        (cohorts,) genes at or below the false discovery rate.
    inflation
        (cohorts,) inflation of the statistics, see `inflation_of`.
    exceeding
        (features,) mean number of genes per permuted cohort with a statistic at least as large as the feature's, one
        more counted in all and never 0.
    """

    found: NDArray[np.int64]
    inflation: Floats
    exceeding: Floats


def group_model(groups: PatientGroups, features: int) -> Model | None:
    """Prepare the linear model of one number per patient: the group, with strata and what is adjusted for.

    Parameters
    ----------
    groups
        The patients; with `for_features` of the same features where the baseline is adjusted for.
    features
        Number of features.

    Returns
    -------
    Model or None
        Of the difference of two groups, or of the mean of one; none where it cannot be estimated.
    """
    count = len(groups.table)
    if groups.one_group:
        return linear_model(np.ones(count), np.zeros((count, 0)))
    codes = stratum_codes(groups.strata, count)
    others = (codes[:, None] == np.unique(codes)).astype(float)
    if groups.adjusted:
        adjusters = adjusting_columns(groups, features)
        if adjusters.ndim == 3:
            others = np.repeat(others[:, None, :], features, axis=1)
        others = np.concatenate([others, adjusters], axis=-1)
    return linear_model(groups.is_a.astype(float), others)


def null_plan(groups: PatientGroups, features: int, seed: int, draws: int) -> LabelPlan | SignPlan | ResidualPlan:
    """Return the permuted cohorts: labels within strata, signs for one group, residuals where adjusted.

    Parameters
    ----------
    groups, features
        As for `group_model`.
    seed
        Seed of the cohorts drawn.
    draws
        Their number; all of them when there are no more.

    Returns
    -------
    LabelPlan, SignPlan or ResidualPlan
        For `moderated_t.permuted_t`.
    """
    if groups.one_group:
        return SignPlan(len(groups.table), seed, draws, draws)
    if groups.adjusted:
        adjusters = adjusting_columns(groups, features)
        return residual_plan(groups.is_a, adjusters, seed, strata=groups.strata, max_exact=draws, draws=draws)
    return LabelPlan(groups.is_a, stratum_codes(groups.strata, len(groups.table)), seed, draws, draws)


def null_genes(cohorts: Iterable[tuple[Floats, Floats]], observed: Floats, fdr: float) -> NullGenes:
    """Count what permuted cohorts hold.

    Parameters
    ----------
    cohorts
        As `moderated_t.permuted_t` yields: (cohorts, features) statistics and their degrees of freedom.
    observed
        (features,) absolute statistics observed.
    fdr
        False discovery rate (Benjamini-Hochberg within the cohort) at which a gene counts as found.

    Returns
    -------
    NullGenes
        One entry per cohort, and one per feature.
    """
    order = np.argsort(observed)
    ascending = observed[order] * (1 - TIE_TOLERANCE)
    found, inflation = [], []
    reached = np.zeros(len(observed) + 1)
    runs = 0
    for signed, df in cohorts:
        statistics = np.abs(signed)
        found.append(_found(statistics, df, fdr))
        inflation.append(inflation_of(statistics, df))
        # At place k, statistics that reach the k smallest observed ones and no more.
        places = np.searchsorted(ascending, statistics.ravel(), side="right")
        reached += np.bincount(places, minlength=len(reached))
        runs += len(statistics)
    exceeding = np.empty(len(observed))
    exceeding[order] = (reached[::-1].cumsum()[::-1][1:] + 1) / (runs + 1)
    return NullGenes(np.concatenate(found), np.concatenate(inflation), exceeding)


def inflation_of(statistics: Floats, df: Floats) -> Floats:
    """Return the genomic inflation factor of t statistics.

    Parameters
    ----------
    statistics
        (cohorts, features) absolute t statistics.
    df
        (cohorts, 1 or features) their degrees of freedom.

    Returns
    -------
    numpy.ndarray
        (cohorts,) median of the statistics as chi-squared with one degree of freedom, over the median that they would
        have if nothing were there: 1 when calibrated, more when p values are too small as a whole.

    References
    ----------
    Devlin and Roeder (1999), https://doi.org/10.1111/j.0006-341X.1999.00997.x
    """
    from scipy.special import ndtri, stdtr

    middle = np.median(statistics, axis=1)
    p = 2 * stdtr(df.mean(axis=1), -middle)
    return np.asarray(ndtri(p / 2) ** 2 / MEDIAN_CHI_SQUARED)


def empirical_fdr(observed: Floats, exceeding: Floats) -> Floats:
    """Estimate from permuted cohorts how much of the list that ends with each gene is there by chance.

    Parameters
    ----------
    observed
        (features,) absolute statistics.
    exceeding
        (features,) mean number of genes per permuted cohort with a statistic at least as large.

    Returns
    -------
    numpy.ndarray
        (features,) between 0 and 1, never falling as the statistic falls.

    References
    ----------
    Tusher et al. (2001), https://doi.org/10.1073/pnas.091062498, with the share of genes without effect taken as 1.
    """
    order = np.argsort(-observed, kind="stable")
    length = np.searchsorted(-observed[order], -observed[order], side="right")
    shares = np.minimum(exceeding[order] / length, 1.0)
    rates = np.empty(len(observed))
    rates[order] = np.minimum.accumulate(shares[::-1])[::-1]
    return rates


def _found(statistics: Floats, df: Floats, fdr: float) -> NDArray[np.int64]:
    """Count per cohort the genes that Benjamini and Hochberg's procedure finds.

    Only p values at or below the rate can be found, so that no others are computed.
    """
    from scipy.special import stdtr, stdtrit

    runs, count = statistics.shape
    row, column = np.nonzero(statistics >= -stdtrit(df, fdr / 2) * (1 - TIE_TOLERANCE))
    own = df[row, column if df.shape[1] > 1 else 0]
    p = 2 * stdtr(own, -statistics[row, column])
    order = np.lexsort((p, row))
    row, p = row[order], p[order]
    first = np.searchsorted(row, np.arange(runs))
    rank = np.arange(len(row)) - first[row] + 1
    passed = p <= rank * fdr / count
    found = np.zeros(runs, dtype=np.int64)
    np.maximum.at(found, row[passed], rank[passed])
    return found
