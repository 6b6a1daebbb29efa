"""Which patients a contrast compares, in which groups and strata, and how samples become one number each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.designs import (
    averaged_samples,
    complete_pairs,
    covariate_matrix,
    group_column,
    group_names,
    sample_weights,
)
from immune_landscape.errors import DesignError

ESTIMANDS = ("baseline", "change", "response_by_visit", "arm_by_visit")


class PatientValues(NamedTuple):
    """Numbers of patients, one column per feature; NaN where a sample was not measured.

    Attributes
    ----------
    before
        (patients, features) at the reference.
    after
        (patients, features) at the target, or at the last of several present; NaN for one visit.
    compared
        (patients, features) what is compared: the reference itself, or the change that the contrast sums up.
    """

    before: np.ndarray
    after: np.ndarray
    compared: np.ndarray


@dataclass(frozen=True)
class PatientGroups:
    """The patients of a contrast, with their group, stratum and samples.

    Attributes
    ----------
    table
        One row per patient: `patient, group, sample_reference, sample_target`.
    weights
        One row per patient and sample used: `patient, sample, level, weight`, see `designs.sample_weights`.
    groups
        The two groups, the effect being first minus second; the second is empty for one group.
    strata
        (patients,) stratum of each patient; none when labels may move freely.
    covariates
        (patients, columns) that the difference is adjusted for; none without.
    notes
        Remarks for every row of the contrast.
    one_group
        Whether the question is the change in all patients.
    paired
        Whether a second sample is compared with the first.
    adjust_baseline
        Whether the difference is adjusted for the value at the reference, feature by feature.
    baseline
        (patients, features) values at the reference of the features tested, once `for_features` has set them.
    regions
        Sample that stands for the regions of a tissue -> all of them, see `designs.averaged_samples`.
    """

    table: pd.DataFrame
    weights: pd.DataFrame
    groups: tuple[str, str]
    strata: np.ndarray | None
    covariates: np.ndarray | None
    notes: list[str]
    one_group: bool
    paired: bool
    adjust_baseline: bool
    baseline: np.ndarray | None = None
    regions: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def is_a(self) -> np.ndarray:
        """Return (patients,) membership of the first group."""
        return self.table["group"].eq(self.groups[0]).to_numpy(dtype=bool)

    @property
    def adjusted(self) -> bool:
        """Whether the difference is adjusted for anything, so that residuals are permuted in place of labels."""
        return self.covariates is not None or self.adjust_baseline

    def take(self, rows: np.ndarray) -> PatientGroups:
        """Return the groups of some patients.

        Parameters
        ----------
        rows
            (patients,) of bool, or indices.

        Returns
        -------
        PatientGroups
            In the order of `rows`.
        """
        table = self.table[rows] if rows.dtype == bool else self.table.iloc[rows]
        return replace(
            self,
            table=table.reset_index(drop=True),
            weights=self.weights[self.weights["patient"].isin(table["patient"])],
            strata=_rows_of(self.strata, rows),
            covariates=_rows_of(self.covariates, rows),
            baseline=_rows_of(self.baseline, rows),
        )

    def for_features(self, before: np.ndarray) -> PatientGroups:
        """Return the same patients with the values at the reference of the features that are to be tested.

        Parameters
        ----------
        before
            (patients, features).

        Returns
        -------
        PatientGroups
            Unchanged unless the contrast adjusts for the baseline.
        """
        return replace(self, baseline=before) if self.adjust_baseline else self

    def patient_values(self, by_sample: pd.DataFrame) -> PatientValues:
        """Make one number per patient and feature of the numbers of their samples.

        Parameters
        ----------
        by_sample
            Samples (index) x features; samples not measured may be absent or NaN.

        Returns
        -------
        PatientValues
            In the order of `table` and of the columns.

        Notes
        -----
        One sample used that was not measured leaves no number. Samples that a patient does not have are not used, so
        of several targets the others stand. Regions of a tissue are averaged over those measured, each as one.
        """
        by_sample = _averaged(by_sample, self.regions)
        before = by_sample.reindex(self.table["sample_reference"]).to_numpy(dtype=float)
        if not self.paired:
            return PatientValues(before, np.full_like(before, np.nan), before)
        after = by_sample.reindex(self.table["sample_target"]).to_numpy(dtype=float)
        samples = self.weights["sample"].drop_duplicates()
        matrix = np.zeros((len(self.table), len(samples)))
        patient = pd.Index(self.table["patient"]).get_indexer(self.weights["patient"])
        matrix[patient, pd.Index(samples).get_indexer(self.weights["sample"])] = self.weights["weight"]
        values = by_sample.reindex(samples).to_numpy(dtype=float)
        missing = (matrix != 0).astype(float) @ np.isnan(values)
        compared = np.where(missing > 0, np.nan, matrix @ np.nan_to_num(values))
        return PatientValues(before, after, compared)


def compared_patients(design: pd.DataFrame, contrast: Mapping[str, Any]) -> PatientGroups:
    """Find the patients that a contrast compares, and the strata within which labels may move.

    Parameters
    ----------
    design
        One row per sample, with the columns that the contrast names as strata and covariates.
    contrast
        One contrast of the cohort: `name`, `estimand`, `reference`, `target` or `targets`, and optionally
        `factor`, `summary`, `strata`, `covariates`, `adjust_baseline`, `group_column` and `groups`.

    Returns
    -------
    PatientGroups
        Patients with all the samples that the contrast needs and, unless it compares all
        patients, a group.

    Raises
    ------
    DesignError
        The estimand is unknown, a stratum is no column of the design, or there are over two groups.

    Notes
    -----
    Strata are used when the patients fall into more than one. A patient in a stratum with one
    group carries no information about the difference, which the note says. Patients who lack a
    covariate are left out and named.
    """
    _check_contrast(contrast, design)
    pairs = complete_pairs(design, dict(contrast))
    one_group, paired = contrast["estimand"] == "change", contrast["estimand"] != "baseline"
    groups = _group_names(contrast, pairs)
    pairs = pairs[pairs["group"].isin([name for name in groups if name])].reset_index(drop=True)
    pairs, covariates, notes = _covariates_of(pairs, design, contrast)
    strata, told = (None, []) if one_group else _strata_of(pairs, design, contrast, paired)
    declared = contrast.get("adjust_baseline")
    adjust = paired and not one_group and (contrast["estimand"] == "arm_by_visit" if declared is None else declared)
    if adjust:
        notes.append("adjusted for the value at the reference (analysis of covariance)")
    weights = sample_weights(design, dict(contrast), pairs["patient"])
    notes += _missing_targets(weights, contrast)
    regions = averaged_samples(design, dict(contrast))
    told += ["mean of the regions of a tissue"] if regions else []
    return PatientGroups(
        pairs,
        weights,
        groups,
        strata,
        covariates,
        [*notes, *told],
        one_group,
        paired,
        bool(adjust),
        regions=regions,
    )


def _averaged(by_sample: pd.DataFrame, regions: Mapping[str, list[str]]) -> pd.DataFrame:
    """Put the mean of the regions measured in the place of the sample that stands for them."""
    if not regions:
        return by_sample
    others = [name for names in regions.values() for name in names]
    means = {name: by_sample.reindex(names).mean() for name, names in regions.items()}
    return pd.concat([by_sample.drop(index=others, errors="ignore"), pd.DataFrame(means).T])


def _rows_of(array: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[rows]


def _group_names(contrast: Mapping[str, Any], pairs: pd.DataFrame) -> tuple[str, str]:
    """Return the two groups, the effect being first minus second."""
    names = group_names(contrast, pairs["group"].astype(str))
    if len(names) > 2:
        message = f"{group_column(contrast)} is {', '.join(names)}, expected two groups"
        raise DesignError(f"contrast {contrast['name']}: {message}")
    names += [""] * (2 - len(names))
    return names[0], names[1]


def _covariates_of(
    pairs: pd.DataFrame, design: pd.DataFrame, contrast: Mapping[str, Any]
) -> tuple[pd.DataFrame, np.ndarray | None, list[str]]:
    names = list(contrast.get("covariates") or [])
    if not names:
        return pairs, None, []
    if contrast["estimand"] == "change":
        return pairs, None, ["covariates do not enter a change within patients"]
    matrix, complete = covariate_matrix(design, pairs["patient"], names)
    notes = [f"adjusted for {', '.join(names)}"]
    lost = pairs.loc[~complete, "patient"].astype(str).tolist()
    notes += [f"left out for want of a covariate: {', '.join(lost)}"] if lost else []
    return pairs[complete].reset_index(drop=True), matrix[complete], notes


def _missing_targets(weights: pd.DataFrame, contrast: Mapping[str, Any]) -> list[str]:
    """Say which of several targets patients lack: they are not filled in."""
    levels = list(contrast.get("targets") or [])
    if len(levels) < 2:
        return []
    patients = weights["patient"].nunique()
    held = weights.groupby("level")["patient"].nunique()
    counts = ", ".join(f"{level} {held.get(level, 0)} of {patients}" for level in levels)
    return [f"{contrast.get('summary') or 'last'} of the targets present ({counts} patients)"]


def _strata_of(
    pairs: pd.DataFrame, design: pd.DataFrame, contrast: Mapping[str, Any], paired: bool
) -> tuple[np.ndarray | None, list[str]]:
    """Return each patient's stratum, or none when labels may move freely, and notes."""
    declared = list(contrast.get("strata") or [])
    if not declared:
        differ = "batch" in design and len(set(_joined(pairs, design, ["batch"], paired))) > 1
        return None, ["batches differ and labels are permuted across them"] if differ else []
    strata = _joined(pairs, design, declared, paired)
    both = pairs["group"].groupby(strata).agg(lambda groups: len(set(groups))) > 1
    if len(both) <= 1:
        return None, [f"one stratum of {', '.join(declared)}, so labels are permuted freely"]
    held = f"{int(both.sum())} of {len(both)} strata hold both groups"
    return strata, [f"labels permuted within {', '.join(declared)}; {held}"]


def _joined(pairs: pd.DataFrame, design: pd.DataFrame, columns: list[str], paired: bool) -> np.ndarray:
    """Return each patient's distinct values of the columns over the samples used, joined."""
    by_sample = design.drop_duplicates("sample").set_index("sample")
    used = ["sample_reference", "sample_target"] if paired else ["sample_reference"]
    values = [by_sample[column].reindex(pairs[name]).astype(str).to_numpy() for column in columns for name in used]
    joined = ["/".join(dict.fromkeys(map(str, each))) for each in zip(*values, strict=True)]
    return np.array(joined, dtype=object)


def _check_contrast(contrast: Mapping[str, Any], design: pd.DataFrame) -> None:
    if contrast["estimand"] not in ESTIMANDS:
        raise DesignError(
            f"contrast {contrast['name']}: estimand is {contrast['estimand']!r}, expected one of {', '.join(ESTIMANDS)}"
        )
    for key in ("strata", "covariates"):
        unknown = [column for column in contrast.get(key) or [] if column not in design]
        if unknown:
            raise DesignError(
                f"contrast {contrast['name']}: {key} is {', '.join(map(repr, unknown))}, "
                f"expected columns of the design: {', '.join(map(str, design.columns))}"
            )
