"""Clinical tables as rules may know them: of each patient, or in a masked cohort of all patients pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immune_landscape.clinical_checks import with_derived
from immune_landscape.cohort import patient_table
from immune_landscape.schemas import load_schema

if TYPE_CHECKING:
    import pandas as pd

    from immune_landscape.cohort import Cohort

POOLED = ("best_response", "evaluable", "pfs_time", "pfs_event", "os_time", "os_event")
"""Outcomes that a masked cohort tells of all patients together."""


def outcome_table(cohort: Cohort) -> pd.DataFrame:
    """Return the outcomes that endpoints are measured from.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    pandas.DataFrame
        The table of patients (see ``cohort.patient_table``) and ``given_response``, the best response as on the sheet,
        whether or not it is the one that is used. In a masked cohort the columns ``patient`` and `POOLED`
        alone: rows are sorted by outcome and numbered, so that none can be put beside a patient again.
    """
    if cohort.config["unblinded"]:
        return patient_table(cohort).assign(given_response=cohort.patients["best_response"])
    used = with_derived(cohort.patients, cohort.assessments, cohort.config)
    pooled = used[list(POOLED)].sort_values(list(POOLED), kind="stable", ignore_index=True)
    pooled.insert(0, "patient", [f"pooled_{at:03d}" for at in range(1, len(pooled) + 1)])
    return pooled


def assessment_table(cohort: Cohort) -> pd.DataFrame:
    """Return the assessments of a cohort; no row without the sheet, nor in a masked cohort."""
    columns = list(load_schema("assessments")["properties"])
    return _rows(cohort.assessments if cohort.config["unblinded"] else None, columns)


def event_table(cohort: Cohort) -> pd.DataFrame:
    """Return the adverse events of a cohort; they tell neither arm nor dose."""
    return _rows(cohort.adverse_events, list(load_schema("adverse_events")["properties"]))


def biomarker_table(cohort: Cohort) -> pd.DataFrame:
    """Return the biomarkers of a cohort; what was measured tells neither arm nor outcome."""
    return _rows(cohort.biomarkers, list(load_schema("biomarkers")["properties"]))


def _rows(table: pd.DataFrame | None, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=columns) if table is None else table[columns]
