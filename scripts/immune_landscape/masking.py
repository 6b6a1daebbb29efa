"""What a blinded cohort must not tell: arm, response, outcome, and the extra columns that tell them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import Problem

if TYPE_CHECKING:
    import pandas as pd

MASKED = (
    *("arm", "dose_level", "product_origin", "donor_sex"),
    *("best_response", "response", "evaluable", "dlt", "dlt_evaluable"),
    *("pfs_time", "pfs_event", "os_time", "os_event", "treatment_time", "last_contact"),
)
"""Columns that tell arm or outcome; only the product of one arm has a donor."""


def masked_columns(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of patients that a cohort keeps from every rule.

    Parameters
    ----------
    config
        Effective config.

    Returns
    -------
    tuple of str
        Empty for an unblinded cohort; else arm, response, outcome, and the extra columns of patients.tsv that tell
        the groups of a contrast or give a standard column again.
    """
    if config["unblinded"]:
        return ()
    extra = config["extra_columns"].get("patients", {})
    grouping = {contrast["group_column"] for contrast in config["contrasts"]}
    return (*MASKED, *(name for name, spec in extra.items() if name in grouping or spec.get("same_as")))


def masked_table(table: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table whose masked columns are empty.

    Parameters
    ----------
    table
        Any table with columns of patients.tsv.
    config
        Effective config.

    Returns
    -------
    pandas.DataFrame
        A new table; text empty, numbers NaN.
    """
    import pandas as pd

    hidden = [name for name in masked_columns(config) if name in table]
    blank = {name: float("nan") if pd.api.types.is_numeric_dtype(table[name]) else "" for name in hidden}
    return table.assign(**blank)


def told_notes(notes: Iterable[Problem], patients: str, config: Mapping[str, Any]) -> list[Problem]:
    """Return the notes that may be told: a note on a masked cell would tell what is in it.

    Parameters
    ----------
    notes
        Notes on the sheets.
    patients
        Label of patients.tsv.
    config
        Effective config.

    Returns
    -------
    list of Problem
        All of an unblinded cohort; else those on other columns, and one that says so.
    """
    hidden = set(masked_columns(config))
    told = [note for note in notes if note.file != patients or note.column not in hidden]
    if hidden:
        message = "arm, response and outcome are masked; what the checks note on them is told after unblinding"
        told.append(Problem(patients, 0, "", message, "masked"))
    return told
