"""What the contrasts of composition and of repertoires share: reach, test, estimates and table."""

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
from immune_landscape.labelings import LabelPlan, SignPlan, stratum_codes
from immune_landscape.patient_groups import PatientGroups
from immune_landscape.permutation import PermutationTest, flip_signs, permute_labels


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
    """

    alpha: float
    power: float
    max_exact: int
    draws: int


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
        Column that names what is compared: ``subset`` or ``metric``.

    Returns
    -------
    list of str
        Names in the order written.
    """
    return [
        *("contrast", "estimand", "family", "parent", item, "group_a", "group_b", "n_a", "n_b"),
        *("effect", "ci_low", "ci_high", "ci_method", "hodges_lehmann", "statistic", "p", "p_maxt"),
        *("labelings", "exact", "min_p", "sd", "mde", "mde_d", "mde_d_family", "status", "note"),
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
    texts = ["group_a", "group_b", "ci_method"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "")
    return table.astype({"labelings": "Int64", "exact": "boolean"})


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
    return bool(row["status"] == "tested" and not pd.isna(p) and p <= alpha)


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
    if reach.labelings == 1:
        return "groups and strata are confounded: no label can be exchanged"
    if reach.min_p > alpha:
        return f"{reach.labelings} labelings: the smallest attainable p, {reach.min_p:.3g}, exceeds {alpha:g}"
    return ""


def run_test(values: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings) -> PermutationTest:
    """Test features together: group labels permuted within strata, or signs flipped for one group.

    Parameters
    ----------
    values
        (patients, features) as compared; NaN where a patient has none.
    groups
        The patients.
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
    return permute_labels(
        values, groups.is_a, seed, strata=groups.strata, max_exact=settings.max_exact, draws=settings.draws
    )


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
        without patients in a group.
    """
    values, is_a, strata = values[kept], groups.is_a[kept], _strata_of(groups, kept)
    first, second = values[is_a], values[~is_a]
    if not len(first) or not (groups.one_group or len(second)):
        return [{} for _ in range(values.shape[1])]
    effects = values.mean(axis=0) if groups.one_group else adjusted_difference(values, is_a, strata)
    intervals = [Interval(-np.inf, np.inf, "none: not testable")] * values.shape[1]
    level = 1 - settings.alpha
    if not bare and groups.one_group:
        intervals = invert_signs(values, seed, level=level)
    elif not bare:
        intervals = invert_labels(values, is_a, seed, strata=strata, level=level)
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
