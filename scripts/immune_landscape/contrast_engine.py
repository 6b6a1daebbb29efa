"""One contrast of one layer: features in, a row with estimate, interval, test and influence each out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import (
    ContrastSettings,
    describe_patients,
    detectable,
    estimate_features,
    find_reach,
    run_test,
    why_untestable,
)
from immune_landscape.influence import leave_one_out, summarise_influence
from immune_landscape.layers import LAYERS
from immune_landscape.null_run import NullRun, null_findings
from immune_landscape.patient_groups import PatientGroups, PatientValues

NULL_COLUMNS = [
    "contrast", "family", "tests", "runs", "found", "found_corrected",
    "null_mean_found", "null_mean_corrected", "null_share_any", "note",
]  # fmt: skip
OUTSIDE = "outside the family"
NOT_MEASURED = "not measured in any patient of the contrast"
MOST_NAMED = 10
"""Patients left out that a note names; where a layer was measured in some alone, the others are many."""
NO_GROUP = "no patient belongs to either group: not recorded, or masked"
BROAD_PARENTS = {"signatures": ("nk", "nk_adjusted", "t", "t_adjusted")}
"""Layer -> parents whose features form the family by default: sparse subsets, measured in few patients, would leave the
maximum over all of them without patients in common."""


@dataclass(frozen=True)
class Feature:
    """What one column of the values is.

    Attributes
    ----------
    keys
        Columns that name it, such as parent and subset.
    member
        Whether it belongs to the declared family, over which the maximum is taken.
    status
        ``tested`` when it may be tested, else why not: ``too_sparse`` or ``not_testable``.
    notes
        Remarks for its row.
    left_out
        Words for why patients without a value are left out.
    """

    keys: Mapping[str, str]
    member: bool
    status: str
    notes: Sequence[str]
    left_out: str


class Compared(NamedTuple):
    """Rows of one contrast.

    Attributes
    ----------
    rows
        One per feature, for `contrast_tests.contrasts_table`.
    influence
        One per feature tested and patient left out.
    null
        One per family tested: what the same thresholds find under permuted labels.
    """

    rows: list[dict[str, Any]]
    influence: list[dict[str, Any]]
    null: list[dict[str, Any]]


def compare_features(
    features: Sequence[Feature],
    values: PatientValues,
    groups: PatientGroups,
    contrast: Mapping[str, Any],
    settings: ContrastSettings,
    seed: int,
) -> Compared:
    """Estimate and test the features of one contrast.

    Parameters
    ----------
    features
        One per column of the values.
    values
        (patients, features) numbers of the patients.
    groups
        The patients.
    contrast
        One contrast of the cohort: `name`, `estimand`, `family`.
    settings
        Level, power and number of labelings; without `intervals` effect and p alone.
    seed
        Seed of the labelings drawn.

    Returns
    -------
    Compared
        A row for every feature, whatever its status.

    Notes
    -----
    `p_maxt` is taken over the members of the family; features outside it are tested by themselves and have none. Their
    `family` is exploratory.
    """
    groups = groups.for_features(values.before)
    rows = _described(features, values, groups, contrast, settings, seed)
    tested = np.array([row["status"] == "tested" for row in rows], dtype=bool)
    member = np.array([feature.member for feature in features], dtype=bool)
    size = max(1, int((tested & member).sum()))
    for row in rows:
        row["mde_d_family"] = detectable(row["n_a"], row["n_b"], settings, size)
    influence: list[dict[str, Any]] = []
    null: list[dict[str, Any]] = []
    for inside in (True, False):
        at = np.flatnonzero(tested & (member == inside))
        if len(at):
            _add_tests(rows, at, values, groups, settings, seed)
            if not inside:
                for index in at:
                    rows[index]["p_maxt"] = np.nan
            if settings.intervals:
                influence += _add_influence(rows, at, features, values, groups, settings, seed)
                null.append(_null_row(rows, at, values, groups, settings, seed, inside=inside))
    return Compared(rows, influence, null)


def in_family(contrast: Mapping[str, Any], layer: str, parent: str, feature: str) -> bool:
    """Tell whether a contrast declares a feature of a layer, or none of the layer at all.

    Parameters
    ----------
    contrast
        One contrast, with `features` by layer.
    layer
        Such as ``expansion``.
    parent, feature
        Names of the feature; declared as ``feature`` or ``parent/feature``.

    Returns
    -------
    bool
        Where the contrast declares none of the layer, its features in the `BROAD_PARENTS`, or all.
    """
    declared = (contrast.get("features") or {}).get(layer)
    if declared:
        return feature in declared or f"{parent}/{feature}" in declared
    return layer not in BROAD_PARENTS or parent in BROAD_PARENTS[layer]


def family_of(contrast: Mapping[str, Any], layer: str) -> str:
    """Return the family of a layer's tests in a contrast.

    Parameters
    ----------
    contrast
        One contrast, with `family`, `subsets` (of composition) and `features` (of other layers).
    layer
        Such as ``expansion``.

    Returns
    -------
    str
        As the contrast declares. Where a primary contrast says what its family is, layers that it leaves out are
        secondary. A layer that is exploratory by its nature stays so unless the contrast names it.
    """
    family = str(contrast.get("family") or "primary")
    declared = {name for name, features in (contrast.get("features") or {}).items() if features}
    declared |= {"composition"} if contrast.get("subsets") else set()
    if layer not in declared and layer in LAYERS and LAYERS[layer].exploratory:
        return "exploratory"
    return "secondary" if family == "primary" and declared and layer not in declared else family


def _described(
    features: Sequence[Feature],
    values: PatientValues,
    groups: PatientGroups,
    contrast: Mapping[str, Any],
    settings: ContrastSettings,
    seed: int,
) -> list[dict[str, Any]]:
    """Return one row per feature with estimate, status and note, but no p value."""
    rows: list[dict[str, Any]] = [{} for _ in features]
    known = ~np.isnan(values.compared)
    patterns, belongs = np.unique(known, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        at = np.flatnonzero(belongs.reshape(-1) == index)
        kept = patterns[:, index]
        chosen = groups.for_features(values.before[:, at])
        reach = find_reach(chosen, kept, seed, settings)
        reason = why_untestable(chosen, kept, reach, settings.alpha)
        if not kept.any():
            reason = NOT_MEASURED if len(kept) else NO_GROUP
        shared = describe_patients(contrast, groups, kept, reach, settings)
        estimates = estimate_features(values.compared[:, at], chosen, kept, seed, settings, bare=bool(reason))
        for place, estimate in zip(map(int, at), estimates, strict=True):
            rows[place] = _row(features[place], shared, estimate, kept, groups, reason)
    return rows


def _row(
    feature: Feature,
    shared: Mapping[str, Any],
    estimate: Mapping[str, Any],
    kept: np.ndarray,
    groups: PatientGroups,
    reason: str,
) -> dict[str, Any]:
    status = "not_testable" if feature.status == "tested" and reason else feature.status
    lost = groups.table.loc[~kept, "patient"].astype(str).tolist() if kept.any() else []
    named = lost if len(lost) <= MOST_NAMED else [*lost[:MOST_NAMED], f"and {len(lost) - MOST_NAMED} more"]
    notes = [*feature.notes, *([f"left out for want of {feature.left_out}: {', '.join(named)}"] if lost else [])]
    notes += groups.notes
    notes += [reason] if status == "not_testable" and reason not in feature.notes else []
    notes += [OUTSIDE] if status == "tested" and not feature.member else []
    found = {} if feature.status == "too_sparse" else dict(estimate)
    row = {**shared, **found, **feature.keys, "status": status, "note": "; ".join(note for note in notes if note)}
    if not feature.member:
        row["family"] = "exploratory"
    return row | {"mde": row["mde_d"] * row.get("sd", np.nan)}


def _add_tests(
    rows: list[dict[str, Any]],
    at: np.ndarray,
    values: PatientValues,
    groups: PatientGroups,
    settings: ContrastSettings,
    seed: int,
) -> None:
    chosen = groups.for_features(values.before[:, at])
    result = run_test(values.compared[:, at], chosen, seed, settings)
    for place, index in enumerate(at):
        rows[index] |= {
            "statistic": result.statistic[place],
            "p": result.p[place],
            "p_maxt": result.p_maxt[place],
        }


def _add_influence(
    rows: list[dict[str, Any]],
    at: np.ndarray,
    features: Sequence[Feature],
    values: PatientValues,
    groups: PatientGroups,
    settings: ContrastSettings,
    seed: int,
) -> list[dict[str, Any]]:
    """Refit without each patient; add the range to the rows and return the refits."""
    left = leave_one_out(values.compared[:, at], groups.for_features(values.before[:, at]), seed, settings)
    p, effect = (np.array([rows[index][name] for index in at], dtype=float) for name in ("p", "effect"))
    for index, found in zip(at, summarise_influence(left, p, effect, settings.alpha), strict=True):
        rows[index] |= found
    named = [{"contrast": rows[index]["contrast"], **features[index].keys} for index in map(int, at)]
    return [
        {**named[row["feature"]], "patient": row["patient"], "effect": row["effect"], "p": row["p"]}
        for row in left.to_dict("records")
    ]


def _null_row(
    rows: list[dict[str, Any]],
    at: np.ndarray,
    values: PatientValues,
    groups: PatientGroups,
    settings: ContrastSettings,
    seed: int,
    *,
    inside: bool,
) -> dict[str, Any]:
    run = null_findings(values.compared[:, at], groups.for_features(values.before[:, at]), seed, settings)
    p, corrected = (np.array([rows[index][name] for index in at], dtype=float) for name in ("p", "p_maxt"))
    return {
        "contrast": rows[at[0]]["contrast"],
        "family": rows[at[0]]["family"],
        "tests": run.tests,
        "runs": run.runs,
        "found": int((p < settings.alpha).sum()),
        "found_corrected": int((corrected < settings.alpha).sum()) if inside else pd.NA,
        "null_mean_found": run.mean_found,
        "null_mean_corrected": run.mean_corrected if inside else np.nan,
        "null_share_any": run.share_any if inside else np.nan,
        "note": _common_note(run, values.compared[:, at]) if inside else "",
    }


def _common_note(run: NullRun, values: np.ndarray) -> str:
    """Say in how many patients the maximum was taken, where not all have every feature."""
    measured = int((~np.isnan(values)).any(axis=1).sum())
    if run.patients == measured:
        return ""
    return f"corrected p in the {run.patients} of {measured} patients who have all features of the family"


def influence_table(rows: list[dict[str, Any]], item: str) -> pd.DataFrame:
    """Make the table of refits without one patient.

    Parameters
    ----------
    rows
        `Compared.influence` of all contrasts.
    item
        ``subset`` or ``feature``.

    Returns
    -------
    pandas.DataFrame
        ``contrast, parent, <item>, patient, effect, p``.
    """
    return pd.DataFrame(rows, columns=["contrast", "parent", item, "patient", "effect", "p"])


def null_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make the table of the null run: findings at p and at corrected p, and their means over permuted cohorts.

    Parameters
    ----------
    rows
        `Compared.null` of all contrasts.

    Returns
    -------
    pandas.DataFrame
        `NULL_COLUMNS`; corrected columns are missing outside a family, and `note` says where they rest on fewer
        patients than `found`, which counts each feature in its own.
    """
    return pd.DataFrame(rows, columns=NULL_COLUMNS).astype({"found_corrected": "Int64"})
