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
        names = ["Claim", "Layer", "n", f"Here [{interval_name(study)}]", "p", "corrected", "MDE", "Verdict", "Why"]
        parts += [tag("h3", str(source)), table(names, lines, numbers=range(2, 7))]
    text = "A claim replicates when it has the same sign, is significant after correction and stable in the sweeps."
    return join([tag("p", text, class_="small"), *parts])


def _line(row: Mapping[Any, Any]) -> list[Any]:
    n = "–" if pd.isna(row["n_a"]) else f"{row['n_a']:.0f}" + (f" / {row['n_b']:.0f}" if row["n_b"] > 0 else "")
    numbers = [format_number(row[name]) for name in ("estimate", "ci_low", "ci_high")]
    estimate = "–" if pd.isna(row["estimate"]) else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
    p = [format_p(row["p"]), format_p(row["p_corrected"])]
    mde = "–" if pd.isna(row["mde"]) else format_number(row["mde"]).lstrip("+")
    colour = CLAIM_VERDICTS.get(str(row["verdict"]), MUTED)
    badge = tag("span", str(row["verdict"]), class_="badge", style=f"background:{colour};color:{text_on(colour)}")
    return [row["statement"], shown_layer(str(row["layer"])), n, estimate, *p, mde, badge, row["reason"]]
