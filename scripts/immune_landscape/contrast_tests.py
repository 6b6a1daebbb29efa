"""What the contrasts of all layers share: reach, test, estimates and table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.estimates import (
    Interval,
    adjusted_difference,
    hodges_lehmann,
    invert_labels,
    invert_signs,
    min_attainable_p,
    minimum_detectable_effect,
)
from immune_landscape.freedman_lane import freedman_lane, invert_freedman_lane, residual_plan
from immune_landscape.labelings import LabelPlan, SignPlan, stratum_codes
from immune_landscape.patient_groups import PatientGroups
from immune_landscape.permutation import PermutationTest, flip_signs, permute_labels

MOST_ORDERS = 1_000_000
"""Orders of residuals enumerated at most."""


class ContrastSettings(NamedTuple):
    """Settings of every patient-level test.

    Attributes
    ----------
    alpha
        Two-sided significance level of intervals and detectable effects.
    power
        Probability at which an effect counts as detectable.
    max_exact
        Labelings enumerated at most; with more of them, `draws` random ones are used.
    draws
        Random labelings.
    null_draws
        Permuted cohorts of the null run.
    intervals
        Whether intervals, the influence of single patients and the null run are wanted, or the effect and p alone.
    """

    alpha: float
    power: float
    max_exact: int
    draws: int
    null_draws: int = 1000
    intervals: bool = True


class Reach(NamedTuple):
    """What a test of some patients can show.

    Attributes
    ----------
    labelings
        Labelings compared: all of them when exact, else the number drawn.
    exact
        Whether they are all enumerated.
    min_p
        Smallest p value that they can give.
    """

    labelings: int
    exact: bool
    min_p: float


def contrast_columns(item: str) -> list[str]:
    """Return the columns of a contrasts table.

    Parameters
    ----------
    item
        Column that names what is compared: ``subset`` or ``feature``.

    Returns
    -------
    list of str
        Names in the order written.
    """
    return [
        *("contrast", "estimand", "family", "parent", item, "group_a", "group_b", "n_a", "n_b"),
        *("effect", "ci_low", "ci_high", "ci_method", "hodges_lehmann", "statistic", "p", "p_maxt"),
        *("labelings", "exact", "min_p", "sd", "mde", "mde_d", "mde_d_family"),
        *("loo_low", "loo_high", "loo_flips", "loo_patient", "status", "note"),
    ]


def contrasts_table(rows: list[dict[str, Any]], item: str) -> pd.DataFrame:
    """Make the contrasts table of its rows.

    Parameters
    ----------
    rows
        Columns that a row lacks are missing.
    item
        As for `contrast_columns`.

    Returns
    -------
    pandas.DataFrame
        ``labelings`` and ``exact`` with missing values, texts empty when missing.
    """
    table = pd.DataFrame(rows, columns=contrast_columns(item))
    texts = ["group_a", "group_b", "ci_method", "loo_patient"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "")
    return table.astype({"labelings": "Int64", "exact": "boolean", "loo_flips": "Int64"})


def is_significant(row: Mapping[Any, Any], alpha: float) -> bool:
    """Tell whether a row of a contrasts table is below the level after correction for its family.

    Parameters
    ----------
    row
        ``status``, ``p``, ``p_maxt`` (missing outside a family, where p stands in).
    alpha
        Level.

    Returns
    -------
    bool
        False for rows that were not tested.
    """
    p = row["p"] if pd.isna(row["p_maxt"]) else row["p_maxt"]
    return bool(row["status"] == "tested" and not pd.isna(p) and p < alpha)


def describe_patients(
    contrast: Mapping[str, Any],
    groups: PatientGroups,
    kept: np.ndarray,
    reach: Reach,
    settings: ContrastSettings,
) -> dict[str, Any]:
    """Return the columns of a row that follow from its patients alone.

    Parameters
    ----------
    contrast
        One contrast of the cohort.
    groups
        Its patients.
    kept
        (patients,) those with a value.
    reach
        What their test can show.
    settings
        Level and power of the detectable effect.

    Returns
    -------
    dict
        Contrast, estimand, family, groups, numbers of patients, labelings and ``mde_d``.
    """
    is_a = groups.is_a[kept]
    count_a, count_b = int(is_a.sum()), int((~is_a).sum())
    return {
        "contrast": contrast["name"],
        "estimand": contrast["estimand"],
        "family": contrast.get("family", "primary"),
        "group_a": groups.groups[0],
        "group_b": groups.groups[1],
        "n_a": count_a,
        "n_b": count_b,
        "labelings": reach.labelings,
        "exact": reach.exact,
        "min_p": reach.min_p,
        "mde_d": detectable(count_a, count_b, settings, 1),
    }


def find_reach(groups: PatientGroups, kept: np.ndarray, seed: int, settings: ContrastSettings) -> Reach:
    """Find how many labelings the test of some patients compares, and the smallest p value they can give.

    Parameters
    ----------
    groups
        Patients of the contrast.
    kept
        (patients,) those with a value.
    seed
        Seed of the labelings.
    settings
        Labelings enumerated or drawn at most.

    Returns
    -------
    Reach
        Of labels, or of signs for one group.
    """
    count = int(kept.sum())
    if groups.adjusted and not groups.one_group and count:
        inner = groups.take(kept)
        adjusters = adjusting_columns(inner, 0 if inner.baseline is None else inner.baseline.shape[1])
        first = adjusters[:, 0] if adjusters.ndim == 3 else adjusters
        orders = residual_plan(
            inner.is_a, first, seed, strata=inner.strata, max_exact=_most_orders(settings), draws=settings.draws
        )
        compared = orders.count if orders.exact else orders.draws
        return Reach(compared, orders.exact, min_attainable_p(compared, orders.exact, orders.mirrored))
    plan: LabelPlan | SignPlan = SignPlan(count, seed, settings.max_exact, settings.draws)
    if not groups.one_group:
        blocks = stratum_codes(_strata_of(groups, kept), count)
        plan = LabelPlan(groups.is_a[kept], blocks, seed, settings.max_exact, settings.draws)
    labelings = plan.count if plan.exact else plan.draws
    return Reach(labelings, plan.exact, min_attainable_p(labelings, plan.exact, plan.mirrored))


def why_untestable(groups: PatientGroups, kept: np.ndarray, reach: Reach, alpha: float) -> str:
    """Return why some patients cannot be tested.

    Parameters
    ----------
    groups
        Patients of the contrast.
    kept
        (patients,) those with a value.
    reach
        What their test can show.
    alpha
        Level.

    Returns
    -------
    str
        Empty when they can.
    """
    is_a = groups.is_a[kept]
    sizes = [is_a.sum()] if groups.one_group else [is_a.sum(), (~is_a).sum()]
    if min(sizes) < 2:
        return "fewer than two patients in a group"
    if groups.adjusted and (fault := _adjustment_fault(groups, kept)):
        return fault
    if reach.labelings == 1:
        return "groups and strata are confounded: no label can be exchanged"
    if reach.min_p >= alpha:
        return f"{reach.labelings} labelings: the smallest attainable p, {reach.min_p:.3g}, is not below {alpha:g}"
    return ""


def run_test(values: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings) -> PermutationTest:
    """Test features together: labels or residuals permuted within strata, or signs flipped for one group.

    Parameters
    ----------
    values
        (patients, features) as compared; NaN where a patient has none.
    groups
        The patients; with `for_features` of the same features where the baseline is adjusted for.
    seed
        Seed of the labelings drawn.
    settings
        Labelings enumerated or drawn at most.

    Returns
    -------
    PermutationTest
        One entry per feature.
    """
    if groups.one_group:
        return flip_signs(values, seed, max_exact=settings.max_exact, draws=settings.draws)
    if groups.adjusted:
        adjusters = adjusting_columns(groups, values.shape[1])
        return freedman_lane(
            values,
            groups.is_a,
            adjusters,
            seed,
            strata=groups.strata,
            max_exact=_most_orders(settings),
            draws=settings.draws,
        )
    return permute_labels(
        values, groups.is_a, seed, strata=groups.strata, max_exact=settings.max_exact, draws=settings.draws
    )


def adjusting_columns(groups: PatientGroups, features: int) -> np.ndarray:
    """Return what each feature's difference is adjusted for.

    Parameters
    ----------
    groups
        Patients with covariates, or with the baseline of the features.
    features
        Number of features.

    Returns
    -------
    numpy.ndarray
        (patients, columns) for covariates alone; (patients, features, columns) with the baseline among them.
    """
    if groups.baseline is None:
        return np.asarray(groups.covariates, dtype=float)
    columns = groups.baseline[:, :, None]
    if groups.covariates is None:
        return columns
    shared = np.repeat(groups.covariates[:, None, :], features, axis=1)
    return np.concatenate([columns, shared], axis=2)


def estimate_features(
    values: np.ndarray, groups: PatientGroups, kept: np.ndarray, seed: int, settings: ContrastSettings, *, bare: bool
) -> list[dict[str, Any]]:
    """Estimate effect, interval and spread of each feature.

    Parameters
    ----------
    values
        (patients, features) as compared; complete in the patients kept.
    groups
        Patients of the contrast.
    kept
        (patients,) those with a value.
    seed
        Seed of the labelings drawn.
    settings
        Level of the intervals.
    bare
        Whether intervals are left out.

    Returns
    -------
    list of dict
        One per feature, with `effect`, `ci_low`, `ci_high`, `ci_method`, `hodges_lehmann` and `sd`; empty
        without patients in a group. With covariates or baseline, `effect` is the group coefficient, `sd` that of the
        residuals, and `hodges_lehmann` compares the residuals.
    """
    groups, values = groups.take(kept), values[kept]
    is_a = groups.is_a
    if not is_a.any() or not (groups.one_group or (~is_a).any()):
        return [{} for _ in range(values.shape[1])]
    plain = values if groups.one_group or not groups.adjusted else _residuals(values, groups)
    first, second = plain[is_a], plain[~is_a]
    effects = values.mean(axis=0) if groups.one_group else adjusted_difference(plain, is_a, groups.strata)
    if groups.adjusted and not groups.one_group:
        effects = group_coefficients(values, is_a, adjusting_columns(groups, values.shape[1]), groups.strata)
    reason = "none: not asked for" if not settings.intervals else "none: not testable"
    intervals = [Interval(-np.inf, np.inf, reason)] * values.shape[1]
    if not bare and settings.intervals:
        intervals = _intervals(values, groups, seed, settings)
    return [
        {
            "effect": effects[at],
            "ci_low": interval.low,
            "ci_high": interval.high,
            "ci_method": interval.method,
            "hodges_lehmann": hodges_lehmann(first[:, at], None if groups.one_group else second[:, at]),
            "sd": _pooled_sd(first[:, at], second[:, at]),
        }
        for at, interval in enumerate(intervals)
    ]


def _intervals(values: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings) -> list[Interval]:
    level = 1 - settings.alpha
    if groups.one_group:
        return invert_signs(values, seed, level=level)
    if groups.adjusted:
        adjusters = adjusting_columns(groups, values.shape[1])
        return invert_freedman_lane(values, groups.is_a, adjusters, seed, strata=groups.strata, level=level)
    return invert_labels(values, groups.is_a, seed, strata=groups.strata, level=level)


def _model_of(groups: PatientGroups, feature: int) -> np.ndarray:
    """Return strata and adjusting columns of one feature, without the group."""
    codes = stratum_codes(groups.strata, len(groups.table))
    dummies = (codes[:, None] == np.unique(codes)).astype(float)
    adjusters = adjusting_columns(groups, feature + 1 if groups.baseline is None else groups.baseline.shape[1])
    return np.hstack([dummies, adjusters[:, feature] if adjusters.ndim == 3 else adjusters])


def _residuals(values: np.ndarray, groups: PatientGroups) -> np.ndarray:
    """Return values less what the adjusting columns explain, the group's own effect left in."""
    is_a = groups.is_a.astype(float)
    left = np.empty_like(values)
    for feature in range(values.shape[1]):
        model = _model_of(groups, feature)
        full = np.column_stack([model, is_a])
        slopes = np.linalg.lstsq(full, values[:, feature], rcond=None)[0][:-1]
        left[:, feature] = values[:, feature] - model @ slopes
    return left


def group_coefficients(
    values: np.ndarray, is_a: np.ndarray, adjusters: np.ndarray, strata: np.ndarray | None
) -> np.ndarray:
    """Return the group's coefficient in a linear model of each feature on group, strata and adjusting columns.

    Parameters
    ----------
    values
        (patients, features) complete values.
    is_a
        (patients,) true for the first group.
    adjusters
        As `adjusting_columns` returns.
    strata
        (patients,) stratum of each patient; none for one.

    Returns
    -------
    numpy.ndarray
        (features,) first minus second; NaN where the group is aliased.
    """
    codes = stratum_codes(strata, len(is_a))
    dummies = (codes[:, None] == np.unique(codes)).astype(float)
    found = np.full(values.shape[1], np.nan)
    for feature in range(values.shape[1]):
        own = adjusters[:, feature] if adjusters.ndim == 3 else adjusters
        model = np.column_stack([dummies, own, is_a.astype(float)])
        if np.linalg.matrix_rank(model) > np.linalg.matrix_rank(model[:, :-1]):
            found[feature] = np.linalg.lstsq(model, values[:, feature], rcond=None)[0][-1]
    return found


def _most_orders(settings: ContrastSettings) -> int:
    """Bound the enumeration of residual orders, each of which costs a fit where a labeling costs a sum."""
    return min(settings.max_exact, MOST_ORDERS)


def _adjustment_fault(groups: PatientGroups, kept: np.ndarray) -> str:
    """Say why the covariates leave nothing to test; a baseline counts as one column."""
    inner = groups.take(kept)
    codes = stratum_codes(inner.strata, int(kept.sum()))
    columns = [(codes[:, None] == np.unique(codes)).astype(float)]
    columns += [inner.covariates] if inner.covariates is not None else []
    base = np.hstack(columns)
    rank = np.linalg.matrix_rank(base)
    if np.linalg.matrix_rank(np.column_stack([base, inner.is_a.astype(float)])) == rank:
        return "covariates and strata tell the groups apart: nothing is left to compare"
    if int(kept.sum()) - rank - 1 - int(inner.adjust_baseline) < 1:
        return "covariates leave no patient to estimate the error from"
    return ""


def detectable(count_a: int, count_b: int, settings: ContrastSettings, tests: int) -> float:
    """Return the effect in standard deviations that a family of tests of this size would find.

    Parameters
    ----------
    count_a, count_b
        Patients per group; `count_b` 0 for one group.
    settings
        Level and power.
    tests
        Tests in the family.

    Returns
    -------
    float
        See `estimates.minimum_detectable_effect`.
    """
    return minimum_detectable_effect(count_a, count_b, power=settings.power, alpha=settings.alpha, tests=tests)


def _strata_of(groups: PatientGroups, kept: np.ndarray) -> np.ndarray | None:
    return None if groups.strata is None else groups.strata[kept]


def _pooled_sd(first: np.ndarray, second: np.ndarray) -> float:
    freedom = sum(max(len(group) - 1, 0) for group in (first, second))
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in (first, second) if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")
