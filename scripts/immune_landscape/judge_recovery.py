"""Judge, for a simulated cohort, which of the planted effects the comparison found, and why others were missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.claim_rules import why_untested
from immune_landscape.contrast_tests import is_significant
from immune_landscape.display_text import format_number
from immune_landscape.errors import InputError

COLUMNS = [
    "contrast", "parent", "subset", "planted", "expected",
    "effect", "ci_low", "ci_high", "p", "p_maxt", "verdict", "reason",
]  # fmt: skip
WHOLE = "all"
"""Parent whose parts are lineages, which hold the subsets of the other parents."""


def judge_recovery(contrasts: pd.DataFrame, truth: Mapping[str, Any], study: Mapping[str, Any]) -> pd.DataFrame:
    """Compare the effects planted in a simulated cohort with those found.

    Parameters
    ----------
    contrasts
        Table of `compare_composition`.
    truth
        `planted`: estimand (``response_by_visit``, ``arm_by_visit``) to subset to the log fold (natural logarithm) by
        which the first group's change was made to differ from the second's; optional `contrast`: the contrast judged,
        by default the first of each of these estimands.
    study
        Facts of the cohort: ``testing``, whose ``alpha`` is the level of the adjusted p value.

    Returns
    -------
    pandas.DataFrame
        `contrast, parent, subset, planted, expected, effect, ci_low, ci_high, p, p_maxt,
        verdict, reason`: one row per subset compared or planted; none where nothing was planted, as in a masked cohort.

    Raises
    ------
    InputError
        Effects were planted, but the table has no contrast that could find them.

    Notes
    -----
    Proportions add up to one, so a rise in one subset lowers the log ratios of all others of its
    parent: `expected` is the planted log fold minus the mean over the parent's parts.
    A subset without a planted effect whose significant effect has that sign, and whose interval
    holds that value, is explained by closure and not a false positive. Lineages (parent ``all``)
    grow with the subsets planted in them by an amount that the truth does not give; they are not
    judged unless planted themselves. Significance is that of `p_maxt`, or of `p` for subsets
    outside the family.
    """
    planted = {name: folds for name, folds in (truth.get("planted") or {}).items() if folds}
    judged = [
        _judge_contrast(rows, planted[estimand], study["testing"]["alpha"])
        for estimand, rows in (_judged_rows(contrasts, planted, truth) if planted else [])
    ]
    return pd.DataFrame([record for records in judged for record in records], columns=COLUMNS)


def _judged_rows(
    contrasts: pd.DataFrame, planted: Mapping[str, Any], truth: Mapping[str, Any]
) -> list[tuple[str, pd.DataFrame]]:
    """Return, for each estimand with planted effects, the rows of the contrast that is judged."""
    found = []
    for estimand in planted:
        rows = contrasts[contrasts["estimand"] == estimand]
        name = truth.get("contrast") or (rows["contrast"].iloc[0] if len(rows) else None)
        chosen = rows[rows["contrast"] == name]
        if len(chosen):
            found.append((estimand, chosen.reset_index(drop=True)))
    if not found:
        known = ", ".join(map(str, contrasts["contrast"].unique())) or "none"
        wanted = truth.get("contrast") or f"a contrast of estimand {' or '.join(planted)}"
        raise InputError(f"truth: contrast is {wanted!r}, expected one of the table of contrasts: {known}")
    return found


def _judge_contrast(rows: pd.DataFrame, planted: Mapping[str, float], alpha: float) -> list[dict[Any, Any]]:
    table = rows.assign(planted=rows["subset"].map(dict(planted)).fillna(0.0).astype(float))
    inside = bool(((table["planted"] != 0) & (table["parent"] != WHOLE)).any())
    unknown = inside & (table["parent"] == WHOLE)
    table["expected"] = _expected_effects(table).mask(unknown)
    table["verdict"] = [_verdict_of(row, alpha) for row in table.to_dict("records")]
    table["reason"] = [_reason_of(row) for row in table.to_dict("records")]
    return table[COLUMNS].to_dict("records") + _missing_rows(table, planted)


def _expected_effects(table: pd.DataFrame) -> pd.Series:
    """Return the log ratio effects that the planted folds imply; the pooled sparse part moves by its mean fold."""
    expected = table["planted"].copy()
    for _, part in table.groupby("parent"):
        sparse = part["status"] == "too_sparse"
        parts = [
            *part.loc[~sparse, "planted"],
            *([part.loc[sparse, "planted"].mean()] if sparse.any() else []),
        ]
        expected[part.index] = part["planted"] - np.mean(parts)
    return expected


def _verdict_of(row: Mapping[Any, Any], alpha: float) -> str:
    if row["status"] != "tested":
        return "not tested"
    significant = is_significant(row, alpha)
    if row["planted"] != 0:
        right = np.sign(row["effect"]) == np.sign(row["planted"])
        if significant:
            return "recovered" if right else "wrong direction"
        return "right direction, not significant" if right else "not found"
    if pd.isna(row["expected"]):
        return "not judged"
    if not significant:
        return "rightly not found"
    holds = row["ci_low"] <= row["expected"] <= row["ci_high"]
    closure = holds and np.sign(row["expected"]) == np.sign(row["effect"])
    return "explained by closure" if closure else "false positive"


def _reason_of(row: Mapping[Any, Any]) -> str:
    """Say why a planted effect was missed; nothing for one that was found, or where none was planted."""
    if row["planted"] == 0 or row["verdict"] == "recovered":
        return ""
    if row["status"] != "tested":
        return why_untested(row)
    expected = row["planted"] if pd.isna(row["expected"]) else row["expected"]
    if np.sign(expected) != np.sign(row["planted"]):
        planted, closed = format_number(row["planted"]), format_number(expected)
        return f"closure: as shares add up to one, the planted {planted} is expected as {closed}"
    size = abs(expected) / row["sd"]
    told = f"expected effect {format_number(expected)} (d {size:.2f})"
    if size < row["mde_d"]:
        return f"{told} below the detectable {row['mde_d']:.2f} SD"
    if size < row["mde_d_family"]:
        return f"{told} below the {row['mde_d_family']:.2f} SD detectable in a family of this size"
    found = format_number(row["effect"])
    return f"{told} above the detectable {row['mde_d']:.2f} SD, but estimated as {found}: chance, or mislabelled cells"


def _missing_rows(table: pd.DataFrame, planted: Mapping[str, float]) -> list[dict[Any, Any]]:
    """Return a row for each planted subset that was not compared at all."""
    shared = {"contrast": table["contrast"].iloc[0], "parent": "", "verdict": "not tested"}
    shared |= {"reason": "not in the table of contrasts"}
    return [
        shared | {"subset": subset, "planted": float(fold)}
        for subset, fold in planted.items()
        if subset not in set(table["subset"])
    ]
