"""Compare repertoires between groups of patients: one number per patient, then a permutation test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import (
    ContrastSettings,
    contrasts_table,
    describe_patients,
    detectable,
    estimate_features,
    find_reach,
    run_test,
    why_untestable,
)
from immune_landscape.measure_expansion import DIVERSITY_METRICS
from immune_landscape.patient_groups import PatientGroups, compared_patients
from immune_landscape.seeds import seed_of

DIFFERENCE_COLUMNS = ["contrast", "parent", "metric", "patient", "group", "before", "after", "difference"]


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
    settings = ContrastSettings(alpha, power, max_exact, draws)
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
    return contrasts_table(rows, "metric"), pd.concat(filled, ignore_index=True) if filled else empty


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
    feature: _Feature, groups: PatientGroups, contrast: Mapping[str, Any], seed: int, settings: ContrastSettings
) -> dict[str, Any]:
    """Return a feature's row with estimate, status and note, but no p value."""
    kept = ~np.isnan(feature.compared)
    reach = find_reach(groups, kept, seed, settings)
    reason = why_untestable(groups, kept, reach, settings.alpha)
    if not kept.any():
        reason = "not measured in any patient of the contrast"
    row = describe_patients(contrast, groups, kept, reach, settings)
    row |= {"parent": feature.parent, "metric": feature.metric, "status": "not_testable" if reason else "tested"}
    row |= estimate_features(feature.compared[:, None], groups, kept, seed, settings, bare=bool(reason))[0]
    row["mde"] = row["mde_d"] * row.get("sd", np.nan)
    row["note"] = "; ".join(filter(None, [*groups.notes, _left_out(kept, groups), reason]))
    return row


def _left_out(kept: np.ndarray, groups: PatientGroups) -> str:
    lost = groups.table.loc[~kept, "patient"].astype(str).tolist()
    return f"left out for want of receptor cells: {', '.join(lost)}" if lost and kept.any() else ""


def _with_tests(
    rows: list[dict[str, Any]],
    features: list[_Feature],
    groups: PatientGroups,
    seed: int,
    settings: ContrastSettings,
) -> list[dict[str, Any]]:
    at = [index for index, row in enumerate(rows) if row["status"] == "tested"]
    p_values: dict[int, dict[str, float]] = {}
    if at:
        result = run_test(np.column_stack([features[index].compared for index in at]), groups, seed, settings)
        named = {"statistic": result.statistic, "p": result.p, "p_maxt": result.p_maxt}
        p_values = {index: {name: column[k] for name, column in named.items()} for k, index in enumerate(at)}
    tests = max(1, len(at))
    return [
        {
            **row,
            **p_values.get(index, {}),
            "mde_d_family": detectable(row["n_a"], row["n_b"], settings, tests),
        }
        for index, row in enumerate(rows)
    ]


def _differences_of(feature: _Feature, groups: PatientGroups, contrast: Mapping[str, Any]) -> pd.DataFrame:
    table = groups.table[["patient", "group"]].astype(str)
    table = table.assign(contrast=contrast["name"], parent=feature.parent, metric=feature.metric)
    table = table.assign(before=feature.before, after=feature.after, difference=feature.after - feature.before)
    return table.loc[~np.isnan(feature.compared), DIFFERENCE_COLUMNS]
