"""Compare repertoires between groups of patients: one number per patient, then a permutation test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
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
from immune_landscape.measure_expansion import DIVERSITY_METRICS
from immune_landscape.patient_groups import PatientGroups, compared_patients
from immune_landscape.permutation import PermutationTest, flip_signs, permute_labels
from immune_landscape.seeds import seed_of

CONTRAST_COLUMNS = [
    "contrast", "estimand", "family", "parent", "metric", "group_a", "group_b", "n_a", "n_b",
    "effect", "ci_low", "ci_high", "ci_method", "hodges_lehmann", "statistic", "p", "p_maxt",
    "labelings", "exact", "min_p", "sd", "mde", "mde_d", "mde_d_family", "status", "note",
]  # fmt: skip
DIFFERENCE_COLUMNS = ["contrast", "parent", "metric", "patient", "group", "before", "after", "difference"]


class _Settings(NamedTuple):
    alpha: float
    power: float
    max_exact: int
    draws: int


class _Feature(NamedTuple):
    """One metric of one scope: values (patients,) before, after and as compared, NaN if not measured."""

    parent: str
    metric: str
    before: np.ndarray
    after: np.ndarray
    compared: np.ndarray


def compare_expansion(
    expansion: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    seed: int,
    *,
    metrics: Sequence[str],
    scopes: Sequence[str],
    alpha: float,
    power: float,
    max_exact: int,
    draws: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test, per contrast and repertoire metric, whether the patient-level difference is zero.

    Parameters
    ----------
    expansion
        Tables of `measure_expansion.measure_expansion`, one or both below each other.
    design
        One row per sample, with the columns that the contrasts name as strata.
    contrasts
        Contrasts of the cohort: `name`, `estimand`, `reference`, `target`, and optionally `factor`,
        `family` and `strata`.
    seed
        Seed of the labelings drawn when there are too many to enumerate.
    metrics
        Metrics compared. Those that depend on depth enter as standardised to the common depth.
    scopes
        Scopes compared: ``all`` (the whole repertoire), a lineage or a subset.
    alpha
        Two-sided significance level of intervals and detectable effects.
    power
        Probability at which an effect counts as detectable.
    max_exact
        Labelings enumerated at most; with more of them, `draws` random ones are used.
    draws
        Random labelings.

    Returns
    -------
    contrasts
        One row per contrast, scope (column `parent`) and metric, whatever its status; the columns are
        those of `compare_composition.compare_composition` with `metric` for `subset`.
    differences
        One row per contrast, scope, metric and patient with a value: `contrast, parent, metric,
        patient, group, before, after, difference`; before alone for a contrast of one visit.

    Raises
    ------
    DesignError
        A contrast names an unknown estimand or a column that the design does not have.

    Notes
    -----
    The effect is in the units of the metric: mean of the first group minus mean of the second, of the
    change where the contrast is of changes. Groups are compared by `permutation.permute_labels`, and
    the change in all patients is tested by `permutation.flip_signs`. A patient whose sample has too few
    receptor cells is left out and named in the note. `p_maxt` holds the error rate over all metrics and
    scopes of the contrast. `mde` is in the units of `effect`, `mde_d` in standard deviations for one
    test, `mde_d_family` for all tests of the contrast (Bonferroni).
    """
    settings = _Settings(alpha, power, max_exact, draws)
    rows: list[dict[str, Any]] = []
    differences: list[pd.DataFrame] = []
    for contrast in contrasts:
        groups = compared_patients(design, contrast)
        features = [_feature_of(expansion, groups, *pair) for pair in product(scopes, metrics)]
        derived = seed_of(seed, str(contrast["name"]))
        described = [_described(feature, groups, contrast, derived, settings) for feature in features]
        rows += _with_tests(described, features, groups, derived, settings)
        differences += [_differences_of(feature, groups, contrast) for feature in features]
    empty = pd.DataFrame(columns=DIFFERENCE_COLUMNS)
    filled = [table for table in differences if len(table)]
    return _typed(rows), pd.concat(filled, ignore_index=True) if filled else empty


def _feature_of(expansion: pd.DataFrame, groups: PatientGroups, scope: str, metric: str) -> _Feature:
    chosen = (expansion["scope"] == scope) & (expansion["metric"] == metric)
    chosen &= expansion["standardised"].astype(bool) == (metric in DIVERSITY_METRICS)
    by_sample = expansion[chosen].set_index("sample")["value"].astype(float)
    before = by_sample.reindex(groups.table["sample_reference"]).to_numpy()
    if not groups.paired:
        return _Feature(scope, metric, before, np.full(len(before), np.nan), before)
    after = by_sample.reindex(groups.table["sample_target"]).to_numpy()
    return _Feature(scope, metric, before, after, after - before)


def _described(
    feature: _Feature, groups: PatientGroups, contrast: Mapping[str, Any], seed: int, settings: _Settings
) -> dict[str, Any]:
    """Return a feature's row with estimate, status and note, but no p value."""
    kept = ~np.isnan(feature.compared)
    is_a, strata = groups.is_a[kept], None if groups.strata is None else groups.strata[kept]
    count_a, count_b = int(is_a.sum()), int((~is_a).sum())
    plan = _plan_of(is_a, strata, groups.one_group, seed, settings)
    labelings = plan.count if plan.exact else plan.draws
    smallest = min_attainable_p(labelings, plan.exact, plan.mirrored)
    needed = (count_a,) if groups.one_group else (count_a, count_b)
    reason = _untestable(kept, needed, labelings, smallest, settings.alpha)
    mde_d = _detectable(count_a, count_b, settings, 1)
    return {
        "contrast": contrast["name"],
        "estimand": contrast["estimand"],
        "family": contrast.get("family", "primary"),
        "parent": feature.parent,
        "metric": feature.metric,
        "group_a": groups.groups[0],
        "group_b": groups.groups[1],
        "n_a": count_a,
        "n_b": count_b,
        "labelings": labelings,
        "exact": plan.exact,
        "min_p": smallest,
        "mde_d": mde_d,
        **_estimate(feature.compared[kept], is_a, strata, groups.one_group, seed, settings, mde_d, bool(reason)),
        "status": "not_testable" if reason else "tested",
        "note": "; ".join(filter(None, [*groups.notes, _left_out(kept, groups), reason])),
    }


def _plan_of(
    is_a: np.ndarray, strata: np.ndarray | None, one_group: bool, seed: int, settings: _Settings
) -> LabelPlan | SignPlan:
    if one_group:
        return SignPlan(len(is_a), seed, settings.max_exact, settings.draws)
    return LabelPlan(is_a, stratum_codes(strata, len(is_a)), seed, settings.max_exact, settings.draws)


def _untestable(kept: np.ndarray, sizes: tuple[int, ...], labelings: int, smallest: float, alpha: float) -> str:
    """Return why a feature cannot be tested; empty when it can."""
    if not kept.any():
        return "not measured in any patient of the contrast"
    if min(sizes) < 2:
        return "fewer than two patients in a group"
    if labelings == 1:
        return "groups and strata are confounded: no label can be exchanged"
    if smallest > alpha:
        return f"{labelings} labelings: the smallest attainable p, {smallest:.3g}, exceeds {alpha:g}"
    return ""


def _left_out(kept: np.ndarray, groups: PatientGroups) -> str:
    lost = groups.table.loc[~kept, "patient"].astype(str).tolist()
    return f"left out for want of receptor cells: {', '.join(lost)}" if lost and kept.any() else ""


def _estimate(
    values: np.ndarray,
    is_a: np.ndarray,
    strata: np.ndarray | None,
    one_group: bool,
    seed: int,
    settings: _Settings,
    mde_d: float,
    bare: bool,
) -> dict[str, Any]:
    """Return effect, interval and spread; no interval when `bare`, nothing without patients."""
    first, second = values[is_a], values[~is_a]
    if not len(first) or not (one_group or len(second)):
        return {}
    spread = _pooled_sd(first, second)
    interval = Interval(-np.inf, np.inf, "none: not testable")
    level, column = 1 - settings.alpha, values[:, None]
    if not bare and one_group:
        interval = invert_signs(column, seed, level=level)[0]
    elif not bare:
        interval = invert_labels(column, is_a, seed, strata=strata, level=level)[0]
    return {
        "effect": values.mean() if one_group else adjusted_difference(column, is_a, strata)[0],
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "hodges_lehmann": hodges_lehmann(first, None if one_group else second),
        "sd": spread,
        "mde": mde_d * spread,
    }


def _pooled_sd(first: np.ndarray, second: np.ndarray) -> float:
    freedom = sum(max(len(group) - 1, 0) for group in (first, second))
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in (first, second) if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def _with_tests(
    rows: list[dict[str, Any]],
    features: list[_Feature],
    groups: PatientGroups,
    seed: int,
    settings: _Settings,
) -> list[dict[str, Any]]:
    at = [index for index, row in enumerate(rows) if row["status"] == "tested"]
    p_values: dict[int, dict[str, float]] = {}
    if at:
        result = _run_tests(np.column_stack([features[index].compared for index in at]), groups, seed, settings)
        named = {"statistic": result.statistic, "p": result.p, "p_maxt": result.p_maxt}
        p_values = {index: {name: column[k] for name, column in named.items()} for k, index in enumerate(at)}
    tests = max(1, len(at))
    return [
        {
            **row,
            **p_values.get(index, {}),
            "mde_d_family": _detectable(row["n_a"], row["n_b"], settings, tests),
        }
        for index, row in enumerate(rows)
    ]


def _run_tests(values: np.ndarray, groups: PatientGroups, seed: int, settings: _Settings) -> PermutationTest:
    if groups.one_group:
        return flip_signs(values, seed, max_exact=settings.max_exact, draws=settings.draws)
    return permute_labels(
        values, groups.is_a, seed, strata=groups.strata, max_exact=settings.max_exact, draws=settings.draws
    )


def _detectable(count_a: int, count_b: int, settings: _Settings, tests: int) -> float:
    return minimum_detectable_effect(count_a, count_b, power=settings.power, alpha=settings.alpha, tests=tests)


def _differences_of(feature: _Feature, groups: PatientGroups, contrast: Mapping[str, Any]) -> pd.DataFrame:
    table = groups.table[["patient", "group"]].astype(str)
    table = table.assign(contrast=contrast["name"], parent=feature.parent, metric=feature.metric)
    table = table.assign(before=feature.before, after=feature.after, difference=feature.after - feature.before)
    return table.loc[~np.isnan(feature.compared), DIFFERENCE_COLUMNS]


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    texts = ["group_a", "group_b", "ci_method"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "")
    return table.astype({"labelings": "Int64", "exact": "boolean"})
