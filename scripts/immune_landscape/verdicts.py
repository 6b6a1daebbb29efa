"""What a row of a contrasts table does and does not show, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.contrast_tests import is_significant
from immune_landscape.display_text import decimals, facts_of, format_number, shown

ASSOCIATED = {
    "baseline": "Associated with response: {level} in {a} at {reference}.",
    "change": "Associated with time: {moves} from {reference} to {target} in all patients.",
    "response_by_visit": "Associated with response: change from {reference} to {target} is {level} in {a}.",
    "arm_by_visit": "Associated with arm: change from {reference} to {target} is {level} in {a}.",
}


def verdict_of(row: Mapping[Any, Any], study: Mapping[str, Any], alpha: float) -> str:
    """Write the verdict on one row: association at most, and never the absence of a difference.

    Parameters
    ----------
    row
        Row of a contrasts table.
    study
        Facts of the cohort: contrasts, labels, and where known power.
    alpha
        Level of the corrected p value.

    Returns
    -------
    str
        One sentence.
    """
    if row["status"] != "tested":
        note = "" if pd.isna(row["note"]) or not row["note"] else f" ({row['note']})"
        return f"Not tested: {str(row['status']).replace('_', ' ')}{note}."
    if is_significant(row, alpha):
        return ASSOCIATED[str(row["estimand"])].format(**_words(row, study))
    nominal = not pd.isna(row["p"]) and row["p"] < alpha
    start = "Not significant once corrected for the family, though p alone is" if nominal else "Not significant"
    return f"{start}; {_underpowered(row, study)}."


def _underpowered(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    if pd.isna(row["mde"]):
        return "underpowered to an unknown degree"
    mde = abs(float(row["mde"]))
    power = study.get("power")
    chance = f" ({100 * float(power):g} % power)" if power else ""
    return f"underpowered for effects below ±{format_number(mde, decimals([mde])).lstrip('+')}{chance}"


def _words(row: Mapping[Any, Any], study: Mapping[str, Any]) -> dict[str, str]:
    facts = facts_of(study, str(row["contrast"]))
    rises = row["effect"] > 0
    return {
        "level": "higher" if rises else "lower",
        "moves": "rises" if rises else "falls",
        "a": _lower(shown(study, str(row["group_a"]))),
        "reference": shown(study, str(facts.get("reference") or "reference")),
        "target": shown(study, str(facts.get("target") or "target")),
    }


def _lower(name: str) -> str:
    return name[0].lower() + name[1:] if name in ("Responders", "Non-responders") else name
