"""Compare numbers per sample between groups of patients, whatever layer they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.contrast_engine import (
    Feature,
    compare_features,
    family_of,
    in_family,
    influence_table,
    null_table,
)
from immune_landscape.contrast_tests import ContrastSettings, contrasts_table
from immune_landscape.layers import LAYERS
from immune_landscape.patient_groups import PatientGroups, PatientValues, compared_patients
from immune_landscape.seeds import seed_of
from immune_landscape.tracked_contrasts import tracked_contrasts

DIFFERENCE_COLUMNS = [
    "contrast", "parent", "feature", "patient", "group", "before", "after", "difference",
    "before_low", "before_high", "after_low", "after_high", "unit",
]  # fmt: skip
TOO_SPARSE = "too sparse: "
"""How a values table begins its note on a feature that was counted too seldom to be given a value."""


def compare_values(
    values: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    layer: str,
    testing: ContrastSettings,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Test, per contrast and feature, whether the patient-level difference is zero.

    Parameters
    ----------
    values
        One row per sample and feature measured: ``sample, parent, feature, value, low, high, unit``; `value` on the
        scale that is compared, `low` and `high` an interval of measurement where there is one, and optionally `note`; a
        feature whose note begins with `TOO_SPARSE` is listed but not tested.
    design
        One row per sample, with the columns that the contrasts name as groups, strata and covariates.
    contrasts
        Contrasts of the cohort.
    layer
        Of `layers.LAYERS`: picks the declared family among the contrast's `features`.
    testing
        Level, power and number of labelings.
    seed
        Seed of the labelings drawn when there are too many to enumerate.

    Returns
    -------
    dict
        ``contrasts``: one row per contrast, parent and feature, whatever its status
        (`contrast_tests.contrast_columns`). ``differences``: one row per contrast, feature and patient with a value
        (`DIFFERENCE_COLUMNS`). ``influence``: effect and p without each patient. ``null``: findings of the same
        thresholds under permuted labels.

    Raises
    ------
    DesignError
        A contrast names an unknown estimand or a column that the design does not have.

    Notes
    -----
    The effect is in the units of the values: mean of the first group minus mean of the second, of the change where the
    contrast is of changes. Groups are compared by `permutation.permute_labels`, with covariates or baseline by
    `freedman_lane.freedman_lane`, and the change in all patients is tested by `permutation.flip_signs`. A patient
    without a value is left out and named in the note. Where the values of a layer are changes already
    (`layers.Layer.tells_change`), contrasts of changes between groups compare them at the target, and no others are
    answered. `p_maxt` holds the error rate over the family that the contrast
    declares for the layer, or over all its features. `mde` is in the units of `effect`, `mde_d` in standard deviations
    for one test, `mde_d_family` for the family (Bonferroni).
    """
    keys = list(values[["parent", "feature"]].drop_duplicates().itertuples(index=False, name=None))
    notes = _notes_of(values)
    rows: list[dict[str, Any]] = []
    influence: list[dict[str, Any]] = []
    null: list[dict[str, Any]] = []
    differences: list[pd.DataFrame] = []
    for contrast in _answerable(contrasts, layer) if keys else []:
        groups = compared_patients(measured_design(design, values["sample"], contrast), contrast)
        numbers = groups.patient_values(_wide(values, "value", keys))
        features = [_feature(contrast, layer, key, notes.get(key, "")) for key in keys]
        derived = seed_of(seed, layer, str(contrast["name"]))
        placed = {**contrast, "family": family_of(contrast, layer)}
        compared = compare_features(features, numbers, groups, placed, testing, derived)
        rows += compared.rows
        influence += compared.influence
        null += compared.null
        differences.append(_differences(values, keys, numbers, groups, contrast))
    filled = [table for table in differences if len(table)]
    estimands = {contrast["name"]: contrast["estimand"] for contrast in contrasts}
    asked = [{**row, "estimand": estimands[row["contrast"]]} for row in rows]
    return {
        "contrasts": contrasts_table(asked, "feature"),
        "differences": pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=DIFFERENCE_COLUMNS),
        "influence": influence_table(influence, "feature"),
        "null": null_table(null),
    }


def _answerable(contrasts: Sequence[Mapping[str, Any]], layer: str) -> Sequence[Mapping[str, Any]]:
    """Leave to a layer whose values are changes the contrasts of changes between groups."""
    return tracked_contrasts(contrasts) if LAYERS[layer].tells_change else contrasts


def measured_design(design: pd.DataFrame, samples: pd.Series, contrast: Mapping[str, Any]) -> pd.DataFrame:
    """Leave out of a design with several targets the samples that a layer lacks, so that the others stand.

    Parameters
    ----------
    design
        One row per sample.
    samples
        Samples that the layer holds.
    contrast
        One contrast of the cohort.

    Returns
    -------
    pandas.DataFrame
        All samples for a contrast of one target, whose patients are then named as left out.
    """
    return design[design["sample"].isin(samples)] if contrast.get("targets") else design


def _feature(contrast: Mapping[str, Any], layer: str, key: tuple[str, str], note: str) -> Feature:
    keys = dict(zip(("parent", "feature"), key, strict=True))
    status = "too_sparse" if note.startswith(TOO_SPARSE) else "tested"
    notes, left_out = [note.removeprefix(TOO_SPARSE)], LAYERS[layer].lacks
    return Feature(keys, in_family(contrast, layer, *key), status, notes, left_out)


def _notes_of(values: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Look up what the table remarks on its features."""
    if "note" not in values:
        return {}
    told = values.drop_duplicates(["parent", "feature"]).fillna({"note": ""})
    return {(str(row["parent"]), str(row["feature"])): str(row["note"]) for row in told.to_dict("records")}


def _wide(values: pd.DataFrame, column: str, keys: list[tuple[str, str]]) -> pd.DataFrame:
    table = values.pivot_table(
        index="sample", columns=["parent", "feature"], values=column, aggfunc="first", dropna=False, sort=False
    )
    return table.reindex(columns=pd.MultiIndex.from_tuples(keys, names=["parent", "feature"])).astype(float)


def _differences(
    values: pd.DataFrame,
    keys: list[tuple[str, str]],
    numbers: PatientValues,
    groups: PatientGroups,
    contrast: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the long table of the values of the patients who have them."""
    count = len(groups.table)
    intervals = {name: groups.patient_values(_wide(values, name, keys)) for name in ("low", "high")}
    columns = {"before": numbers.before, "after": numbers.after}
    columns["difference"] = numbers.compared if groups.paired else np.full_like(numbers.before, np.nan)
    columns |= {f"before_{name}": found.before for name, found in intervals.items()}
    columns |= {f"after_{name}": found.after for name, found in intervals.items()}
    frame = pd.DataFrame({name: array.ravel(order="F") for name, array in columns.items()})
    frame["contrast"] = contrast["name"]
    frame["parent"] = np.repeat(np.array([key[0] for key in keys], dtype=object), count)
    frame["feature"] = np.repeat(np.array([key[1] for key in keys], dtype=object), count)
    frame["patient"] = groups.table["patient"].astype(str).tolist() * len(keys)
    frame["group"] = groups.table["group"].astype(str).tolist() * len(keys)
    units = values.drop_duplicates(["parent", "feature"]).set_index(["parent", "feature"])["unit"]
    frame["unit"] = np.repeat(np.array([units[key] for key in keys], dtype=object), count)
    return frame.loc[~np.isnan(numbers.compared.ravel(order="F")), DIFFERENCE_COLUMNS]
