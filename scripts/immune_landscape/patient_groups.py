"""Which patients a contrast compares, in which groups and strata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.designs import complete_pairs
from immune_landscape.errors import DesignError

ESTIMANDS = ("baseline", "change", "response_by_visit", "arm_by_visit")


@dataclass(frozen=True)
class PatientGroups:
    """The patients of a contrast, with their group, stratum and samples.

    Attributes
    ----------
    table
        One row per patient: `patient, group, sample_reference, sample_target`.
    groups
        The two groups, the effect being first minus second; the second is empty for one group.
    strata
        (patients,) stratum of each patient; none when labels may move freely.
    notes
        Remarks for every row of the contrast.
    one_group
        Whether the question is the change in all patients.
    paired
        Whether a second sample is compared with the first.
    """

    table: pd.DataFrame
    groups: tuple[str, str]
    strata: np.ndarray | None
    notes: list[str]
    one_group: bool
    paired: bool

    @property
    def is_a(self) -> np.ndarray:
        """Return (patients,) membership of the first group."""
        return self.table["group"].eq(self.groups[0]).to_numpy(dtype=bool)


def compared_patients(design: pd.DataFrame, contrast: Mapping[str, Any]) -> PatientGroups:
    """Find the patients that a contrast compares, and the strata within which labels may move.

    Parameters
    ----------
    design
        One row per sample, with the columns that the contrast names as strata.
    contrast
        One contrast of the cohort: `name`, `estimand`, `reference`, `target`, and optionally
        `factor`, `strata` and `arms` (first minus second; by default in order of name).

    Returns
    -------
    PatientGroups
        Patients with all the samples that the contrast needs and, unless it compares all
        patients, a group.

    Raises
    ------
    DesignError
        The estimand is unknown, a stratum is no column of the design, or there are over two arms.

    Notes
    -----
    Strata are used when the patients fall into more than one. A patient in a stratum with one
    group carries no information about the difference, which the note says.
    """
    _check_contrast(contrast, design)
    pairs = complete_pairs(design, dict(contrast))
    one_group, paired = contrast["estimand"] == "change", contrast["estimand"] != "baseline"
    if one_group:
        pairs = pairs.assign(group="all")
    groups = _group_names(contrast, pairs)
    pairs = pairs[pairs["group"].isin([name for name in groups if name])].reset_index(drop=True)
    strata, notes = (None, []) if one_group else _strata_of(pairs, design, contrast, paired)
    return PatientGroups(pairs, groups, strata, notes, one_group, paired)


def _group_names(contrast: Mapping[str, Any], pairs: pd.DataFrame) -> tuple[str, str]:
    """Return the two groups, the effect being first minus second."""
    if contrast["estimand"] == "change":
        return "all", ""
    if contrast["estimand"] != "arm_by_visit":
        return "responder", "non_responder"
    arms = list(contrast.get("arms") or sorted(set(pairs["group"].astype(str)) - {""}))
    if len(arms) > 2:
        raise DesignError(f"contrast {contrast['name']}: arms are {', '.join(arms)}, expected two")
    arms += [""] * (2 - len(arms))
    return arms[0], arms[1]


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
    unknown = [column for column in contrast.get("strata") or [] if column not in design]
    if unknown:
        raise DesignError(
            f"contrast {contrast['name']}: strata is {', '.join(map(repr, unknown))}, "
            f"expected columns of the design: {', '.join(map(str, design.columns))}"
        )
