"""The part of the summary page that relates immune features to outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.display_text import counted, format_p, shown, shown_feature, shown_layer, shown_parent
from immune_landscape.html_parts import Html, join, table, tag
from immune_landscape.link_outcomes import BASELINE, LANDMARK, PER_SD, best_p

MOST_ROWS = 12
RATE = 0.05
"""False discovery rate below which a link counts as found."""


def link_part(links: pd.DataFrame | None, study: Mapping[str, Any]) -> Html | None:
    """Write how many features were related to each endpoint, and the links with the smallest p.

    Parameters
    ----------
    links
        As from `link_outcomes`; None where it was not run.
    study
        Facts of the cohort; ``time_unit``, ``labels``.

    Returns
    -------
    Html or None
        None without links.
    """
    if links is None or links.empty:
        return None
    single = links[links["marker"] == PER_SD]
    known = single[single["q"].notna()]
    found = int((known["q"] < RATE).sum())
    text = (
        f"Immune features and outcome: {counted(len(known), 'hazard ratio')} of one standard deviation more, one "
        f"feature at a time; {found} with a false discovery rate below {100 * RATE:g} % within endpoint, layer, "
        f"analysis and visit; {counted(len(single) - len(known), 'row')} not estimable. Values after treatment began "
        "are followed from a landmark on or enter as they change; no cut-point was searched."
    )
    if known.empty:
        return tag("p", text, class_="small")
    ranked = known.loc[best_p(known).sort_values(kind="stable").index].head(MOST_ROWS)
    rows = [_row(row, study) for row in ranked.to_dict("records")]
    headings = ["Feature", "Endpoint", "When", "Events / n", "Hazard ratio", "p", "q"]
    shortened = f" The {MOST_ROWS} with the smallest p are shown." if len(known) > MOST_ROWS else ""
    return join([tag("p", text + shortened, class_="small"), table(headings, rows, numbers=(3, 4, 5, 6))])


def _row(row: Mapping[Any, Any], study: Mapping[str, Any]) -> list[str]:
    p = row["p_permutation"] if pd.notna(row["p_permutation"]) else row["p"]
    return [
        marker_name(row, study),
        str(row["endpoint"]).upper(),
        view_name(row, study),
        f"{int(row['events'])}/{int(row['n'])}",
        f"{row['hazard_ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]",
        format_p(p),
        format_p(row["q"]),
    ]


def marker_name(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    """Return the display name of a feature with its denominator, or with its layer.

    Parameters
    ----------
    row
        ``layer``, ``parent``, ``feature``.
    study
        Facts of the cohort.

    Returns
    -------
    str
        Such as ``CD8 Teff (All cells)``.
    """
    feature = shown_feature(study, str(row["layer"]), str(row["feature"]))
    of_parent = row["layer"] in ("composition", "signatures") and row["parent"]
    where = shown_parent(study, str(row["parent"])) if of_parent else shown_layer(str(row["layer"]))
    return f"{feature} ({where})"


def view_name(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    """Say which values of a feature are related to outcome, and from when on patients are followed.

    Parameters
    ----------
    row
        ``analysis``, ``visit``, ``compared``, ``landmark``.
    study
        Facts of the cohort; ``time_unit``.

    Returns
    -------
    str
        Such as ``Value at Baseline``.
    """
    if row["analysis"] == BASELINE:
        return f"Value at {shown(study, str(row['visit']))}"
    if row["analysis"] != LANDMARK:
        return "Last value so far (time-dependent)"
    what = "Change up to" if row["compared"] == "change" else "Value at"
    return f"{what} {shown(study, str(row['visit']))}, followed from {row['landmark']:.3g} {study['time_unit']} on"
