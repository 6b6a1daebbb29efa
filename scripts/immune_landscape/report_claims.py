"""The part of the summary page that holds prior claims against this cohort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.display_text import format_number, format_p, interval_name, shown_layer
from immune_landscape.html_parts import Html, join, table, tag
from immune_landscape.palette import CLAIM_VERDICTS, MUTED, text_on


def claim_section(claims: pd.DataFrame, study: Mapping[str, Any]) -> Html:
    """Write the ledger: each claim with its estimate here, and the verdict with the number that decided.

    Parameters
    ----------
    claims
        Table of `judge_claims.judge_claims`.
    study
        Facts of the cohort.

    Returns
    -------
    Html
        One table per source.
    """
    parts = []
    for source, rows in claims.groupby("source", sort=False):
        lines = [_line(row) for row in rows.to_dict("records")]
        names = ["Claim", "n", f"Here [{interval_name(study)}]", "p", "corrected", "MDE", "Verdict"]
        parts += [tag("h3", str(source)), table(names, lines, numbers=range(1, 6))]
    text = "A claim replicates when it has the same sign, is significant after correction and stable in the sweeps."
    return join([tag("p", text, class_="small"), *parts])


def _line(row: Mapping[Any, Any]) -> list[Any]:
    counts = [f"{row[name]:.0f}" for name in ("n_a", "n_b") if not pd.isna(row[name]) and row[name] > 0]
    n = " / ".join(counts) or "–"
    estimate = _estimate_of(row)
    p = [format_p(row["p"]), format_p(row["p_corrected"])]
    mde = "–" if pd.isna(row["mde"]) else format_number(row["mde"]).lstrip("+")
    colour = CLAIM_VERDICTS.get(str(row["verdict"]), MUTED)
    badge = tag("span", str(row["verdict"]), class_="badge", style=f"background:{colour};color:{text_on(colour)}")
    told = f"{shown_layer(str(row['layer']))}. {row['reason']}"
    claim = tag("span", str(row["statement"]), tag("i", told), class_="item")
    return [claim, n, estimate, *p, mde, badge]


def _estimate_of(row: Mapping[Any, Any]) -> str:
    """Write an estimate with its interval; a level, unlike a difference, has no sign."""
    if pd.isna(row["estimate"]):
        return "–"
    numbers = [row["estimate"], row["ci_low"], row["ci_high"]]
    if row["estimand"] != "level":
        texts = [format_number(number) for number in numbers]
    else:
        texts = [format_number(number, 2 if row["unit"] == "share" else 1).lstrip("+") for number in numbers]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
