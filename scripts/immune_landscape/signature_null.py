"""How a signature's effect compares with those of random gene sets of like expression."""

from __future__ import annotations

import numpy as np

from immune_landscape.labelings import stratum_codes
from immune_landscape.patient_groups import PatientGroups, PatientValues
from immune_landscape.permutation import TIE_TOLERANCE

RANGE = (0.025, 0.975)
"""Quantiles of the random sets' effects that the table gives."""


def feature_effects(values: PatientValues, groups: PatientGroups) -> np.ndarray:
    """Estimate the effect of many features that share their patients.

    Parameters
    ----------
    values
        (patients, features) numbers; a patient is either complete or lacks a number in every feature.
    groups
        The patients.

    Returns
    -------
    numpy.ndarray
        (features,) the mean for one group; else the group's coefficient in a linear model with strata, covariates and,
        where the contrast adjusts for it, the feature's own baseline. NaN where that model does not tell it.

    Notes
    -----
    The estimates are those of `contrast_tests.estimate_features`, for thousands of features at once: the common columns
    are projected out (Frisch and Waugh 1933, https://doi.org/10.2307/1907330), which leaves at most two regressors.
    """
    kept = ~np.isnan(values.compared).any(axis=1)
    inner, outcome = groups.take(kept), values.compared[kept]
    if groups.one_group:
        return outcome.mean(axis=0) if len(outcome) else np.full(outcome.shape[1], np.nan)
    codes = stratum_codes(inner.strata, len(outcome))
    columns = [(codes[:, None] == np.unique(codes)).astype(float)]
    columns += [inner.covariates] if inner.covariates is not None else []
    basis = np.hstack(columns)
    label = _left_over(basis, inner.is_a.astype(float)[:, None])
    outcome = _left_over(basis, outcome)
    own = float((label**2).sum())
    if not len(outcome) or own <= TIE_TOLERANCE:
        return np.full(outcome.shape[1], np.nan)
    effect = (label * outcome).sum(axis=0) / own
    if not groups.adjust_baseline:
        return effect
    # A second regressor, one for each feature: the two normal equations are solved in closed form.
    before = _left_over(basis, values.before[kept])
    shared, spread = (label * before).sum(axis=0), (before**2).sum(axis=0)
    left = own * spread - shared**2
    known = left > TIE_TOLERANCE * own * spread
    product = (label * outcome).sum(axis=0) * spread - (before * outcome).sum(axis=0) * shared
    return np.divide(product, left, out=np.full(len(left), np.nan), where=known)


def summarise_null(observed: float, random: np.ndarray) -> dict[str, float]:
    """Place an effect among those of random sets.

    Parameters
    ----------
    observed
        Effect of the signature.
    random
        (sets,) effects of random sets.

    Returns
    -------
    dict
        ``null_mean, null_sd, null_low, null_high`` (2.5-97.5 % range) and ``null_p``: share of sets, the signature
        among them, whose effect lies at least as far from the mean of all.

    Notes
    -----
    Distances are from the mean and not from zero: where genes of a level of expression shift together, such as with
    the depth of sequencing, random sets shift as well, and a set that does not is the exception.
    """
    everything = np.append(random, observed)
    distance = np.abs(everything - everything.mean())
    low, high = np.quantile(random, RANGE)
    return {
        "null_mean": float(random.mean()),
        "null_sd": float(random.std(ddof=1)),
        "null_low": float(low),
        "null_high": float(high),
        "null_p": float((distance >= distance[-1] * (1 - TIE_TOLERANCE)).mean()),
    }


def _left_over(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Subtract from columns what the basis explains of them."""
    return values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
