"""Contrasts of the numbers that clone tracking gives, which are changes already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from immune_landscape.designs import group_column

BETWEEN_GROUPS = ("response_by_visit", "arm_by_visit")


def tracked_contrasts(contrasts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turn contrasts of changes between groups into contrasts of what was followed up to the target.

    Parameters
    ----------
    contrasts
        Contrasts of the cohort.

    Returns
    -------
    list of dict
        Contrasts of groups between two visits, under their names, that compare the values of the samples at the target.
        All others are left out: values before the target do not exist, and in all patients together a share of
        expanded clones is above zero whatever happened.
    """
    return [
        {**contrast, "estimand": "baseline", "reference": contrast["target"], "group_column": group_column(contrast)}
        for contrast in contrasts
        if contrast["estimand"] in BETWEEN_GROUPS
        and contrast.get("factor", "visit") == "visit"
        and contrast.get("target")
        and not contrast.get("targets")
    ]
