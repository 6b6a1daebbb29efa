"""One subset in the patients of a contrast: which of them can be compared, in which genes, and by what numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.compare_values import measured_design
from immune_landscape.labelings import Floats
from immune_landscape.patient_groups import PatientGroups, PatientValues, compared_patients
from immune_landscape.pseudobulk import Pseudobulk, expressed_genes, library_factors, log_cpm


@dataclass(frozen=True)
class Panel:
    """One subset in the patients of a contrast who have all the sums that it needs.

    Attributes
    ----------
    subset
        Its name.
    groups
        The patients, with the baseline of the genes where the contrast adjusts for it.
    counts
        Samples used x all genes, raw sums.
    genes
        Genes expressed.
    numbers
        Patients x genes expressed, in log2 counts per million or their change.
    level
        (genes,) mean log2 counts per million.
    notes
        Remarks on the patients.
    """

    subset: str
    groups: PatientGroups
    counts: pd.DataFrame
    genes: pd.Index
    numbers: PatientValues
    level: Floats
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> tuple[int, int]:
        """Return the patients of each group."""
        is_a = self.groups.is_a
        return int(is_a.sum()), int((~is_a).sum())

    @property
    def has_effects(self) -> bool:
        """Whether a mean, or a difference of two, can be taken."""
        return bool(len(self.genes) and self.sizes[0] and (self.groups.one_group or self.sizes[1]))

    def with_counts(self, counts: pd.DataFrame, *, normalisation: str, prior_count: float) -> Panel:
        """Return the same patients and genes with other counts.

        Parameters
        ----------
        counts
            Samples used x all genes.
        normalisation, prior_count
            As for `panel_of`.

        Returns
        -------
        Panel
            Its numbers made anew, libraries scaled anew.
        """
        logs = _logs_of(counts, counts.columns.isin(self.genes), normalisation, prior_count)
        values = self.groups.patient_values(logs)
        level = logs.mean(axis=0).to_numpy(dtype=float)
        groups = self.groups.for_features(values.before)
        return replace(self, groups=groups, counts=counts, genes=logs.columns, numbers=values, level=level)


def panel_of(
    pseudobulk: Pseudobulk,
    subset: str,
    design: pd.DataFrame,
    contrast: Mapping[str, Any],
    *,
    min_count: float,
    min_share: float,
    normalisation: str,
    prior_count: float,
) -> Panel:
    """Prepare the comparison of a subset.

    Parameters
    ----------
    pseudobulk
        Raw counts summed per sample and subset.
    subset
        Subset or branch.
    design
        One row per sample.
    contrast
        One contrast of the cohort.
    min_count, min_share
        As for `pseudobulk.expressed_genes`.
    normalisation
        ``tmm``, trimmed mean of M values, or ``library``, counts alone.
    prior_count
        As for `pseudobulk.log_cpm`.

    Returns
    -------
    Panel
        Of the genes expressed in the samples used.
    """
    groups, used, lacking = patients_with_sums(pseudobulk, subset, design, contrast)
    notes = [f"left out for want of cells: {', '.join(lacking)}"] if lacking else []
    genes = used.columns[expressed_genes(used, min_count=min_count, min_share=min_share)]
    nothing = np.empty((0, 0))
    blank = Panel(subset, groups, used, genes, PatientValues(nothing, nothing, nothing), nothing, notes)
    return blank.with_counts(used, normalisation=normalisation, prior_count=prior_count)


def patients_with_sums(
    pseudobulk: Pseudobulk, subset: str, design: pd.DataFrame, contrast: Mapping[str, Any]
) -> tuple[PatientGroups, pd.DataFrame, list[str]]:
    """Find the patients of a contrast whose samples all have a sum of a subset.

    Parameters
    ----------
    pseudobulk
        Raw counts summed per sample and subset.
    subset
        Subset or branch.
    design
        One row per sample.
    contrast
        One contrast of the cohort.

    Returns
    -------
    groups : PatientGroups
        The patients.
    counts : pandas.DataFrame
        Samples used x genes, patient by patient, the reference first.
    lacking : list of str
        Patients left out.
    """
    counts = pseudobulk.of(subset)
    counts = counts[counts.sum(axis=1) > 0]
    groups = compared_patients(measured_design(design, pd.Series(counts.index), contrast), contrast)
    weights = groups.weights[groups.weights["weight"] != 0]
    without = set(weights.loc[~weights["sample"].isin(counts.index), "patient"])
    kept = ~groups.table["patient"].isin(without).to_numpy(dtype=bool)
    lacking = groups.table.loc[~kept, "patient"].astype(str).tolist()
    groups = groups.take(kept)
    used = groups.weights.loc[groups.weights["weight"] != 0, "sample"]
    return groups, counts.reindex(used), lacking


def _logs_of(used: pd.DataFrame, chosen: np.ndarray, normalisation: str, prior_count: float) -> pd.DataFrame:
    """Return samples x genes chosen, in log2 counts per million of all genes' counts."""
    depth = used.sum(axis=1).to_numpy(dtype=float)
    expressed = used.loc[:, chosen]
    if not chosen.any():
        return expressed
    if normalisation == "tmm":
        depth = depth * library_factors(expressed, depth)
    return log_cpm(expressed, depth, prior_count=prior_count)
