"""Hazard ratios of immune features, and survival on both sides of the median of the strongest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, format_p
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.link_outcomes import LANDMARK, MEDIAN, NAMED, PER_SD, best_p
from immune_landscape.palette import MUTED, group_styles
from immune_landscape.report_links import marker_name, view_name
from immune_landscape.survival_panels import (
    draw_ratio,
    finish_curves,
    finish_ratios,
    numbers_at_risk,
    ratio_limit,
    survival_curve,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"pfs": "progression-free survival", "os": "overall survival"}
SIDES = {"above": "above", "below": "at or below"}
ROW, HEADING = 0.235, 1.35
"""Height of a row in inches, and of a heading in rows."""


@styled
def draw_outcomes(
    tables: Mapping[str, pd.DataFrame], study: Mapping[str, Any], level: float, *, max_rows: int, curves: int
) -> dict[str, Figure]:
    """Draw a forest of hazard ratios for each endpoint, and curves of the sides of the median.

    Parameters
    ----------
    tables
        ``links``, ``curves``, ``at_risk`` as from `link_outcomes`.
    study
        Facts of the cohort; ``time_unit``.
    level
        Confidence level of the tables.
    max_rows
        Rows of a forest; where there are more, those of the smallest p are drawn.
    curves
        Links with curves.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``pfs``, ``os``, ``sides``.
    """
    links = tables["links"]
    figures = {name: _draw_forest(links[links["endpoint"] == name], name, study, level, max_rows) for name in NAMES}
    return figures | {"sides": _draw_sides(tables, study, level, curves)}


def _draw_forest(links: pd.DataFrame, endpoint: str, study: Mapping[str, Any], level: float, max_rows: int) -> Figure:
    title = f"Immune features and {NAMES[endpoint]}"
    single = links[links["marker"] == PER_SD]
    if single.empty:
        return empty_figure(title, "No patient with a time to this endpoint has a sample.", study)
    kept = single.index[best_p(single).rank(method="first", na_option="bottom") <= max_rows]
    rows = single.loc[kept]
    blocks = [own for _, own in rows.groupby(["analysis", "visit"], sort=False)]
    height = len(rows) + HEADING * len(blocks)
    note = "" if len(rows) == len(single) else f" The {len(rows)} of {len(single)} rows with the smallest p."
    figure = new_figure(
        11.4,
        0.75 + ROW * height,
        study,
        title=title,
        subtitle="Hazard ratio of one standard deviation more; above 1, more of the feature goes with earlier events. "
        f"Filled: false discovery rate below 5 %.{note}",
        footer=_footer(rows, level),
    )
    grid = figure.add_gridspec(1, 3, width_ratios=[1.6, 1.1, 1.55])
    axes = [figure.add_subplot(grid[0, place]) for place in range(3)]
    _draw_blocks(axes, blocks, ratio_limit(rows[["hazard_ratio", "low", "high"]]), study)
    for part in axes:
        part.set_ylim(height - 0.5, -0.9)
    for part in (axes[0], axes[2]):
        part.set_xlim(0, 1)
        part.set_axis_off()
    return figure


def _model(rows: pd.DataFrame) -> str:
    """Say within which strata ratios are, and for what they are adjusted."""
    strata = next((name for name in rows["strata"].dropna() if name), "")
    within = f" Within strata of {strata}." if strata else ""
    asked = dict.fromkeys(name for names in rows["covariates"].dropna() if names for name in names.split(", "))
    return within + (f" Adjusted for {', '.join(asked)} where the events allow it." if asked else "")


def _footer(rows: pd.DataFrame, level: float) -> str:
    return (
        f"Cox models of one feature each, {100 * level:g} % intervals; F: Firth's penalised likelihood."
        f"{_model(rows)} p: features permuted among patients; m: that of the model, where features cannot be permuted. "
        "q: false discovery rate within layer and heading. An arrow is a bound beyond the axis. No "
        "cut-point was searched."
    )


def _draw_blocks(axes: list[Axes], blocks: list[pd.DataFrame], limit: float, study: Mapping[str, Any]) -> None:
    names, middle, numbers = axes
    top = -0.2
    heads = ((names, 0.86, "Events / n"), (numbers, 0.0, "Ratio [interval]"), (numbers, 0.5, "p"), (numbers, 0.66, "q"))
    for part, place, text in (*heads, (numbers, 0.8, "p constant")):
        part.text(place, -0.75, text, ha="left", va="bottom", fontsize=7.5, color=MUTED, fontweight="bold")
    for own in blocks:
        when, _, since = view_name(own.iloc[0].to_dict(), study).partition(", ")
        names.text(0.0, top + 0.2, when, va="center", fontsize=8.5, fontweight="bold")
        numbers.text(0.0, top + 0.2, since + _left(own.iloc[0].to_dict()), va="center", fontsize=7.5, color=MUTED)
        top += HEADING - 0.2
        for row in own.to_dict("records"):
            _draw_row(names, middle, numbers, top, row, limit, study)
            top += 1
        top += 0.2
    finish_ratios(middle, limit)


def _left(row: Mapping[Any, Any]) -> str:
    """Say how many patients had the event, or were no longer followed, before the landmark."""
    if pd.isna(row["events_before"]):
        return ""
    return f"; before: {int(row['events_before'])} events, {int(row['censored_before'])} censored"


def _draw_row(
    names: Axes,
    middle: Axes,
    numbers: Axes,
    height: float,
    row: Mapping[Any, Any],
    limit: float,
    study: Mapping[str, Any],
) -> None:
    names.text(0.02, height, clip_text(marker_name(row, study), 52), va="center", fontsize=8)
    if pd.notna(row["n"]) and pd.notna(row["events"]):
        names.text(0.86, height, f"{int(row['events'])} / {int(row['n'])}", va="center", fontsize=7.5)
    if pd.isna(row["hazard_ratio"]):
        numbers.text(0.0, height, clip_text(str(row["note"] or ""), 68), va="center", fontsize=7.5, color=MUTED)
        return
    ratio = {"estimate": row["hazard_ratio"], "low": row["low"], "high": row["high"]}
    found = bool(row["q"] < 0.05)
    draw_ratio(middle, height, ratio, limit, marker="o", events=float(row["events"]), filled=found)
    firth = " F" if "Firth" in str(row["method"]) else ""
    text = f"{row['hazard_ratio']:.2f} [{row['low']:.2f} to {row['high']:.2f}]{firth}"
    permuted = pd.notna(row["p_permutation"])
    p = format_p(row["p_permutation"]) if permuted else f"{format_p(row['p'])} m"
    constant = format_p(row["p_proportional"]) if pd.notna(row["p_proportional"]) else "–"
    for place, word in ((0.0, text), (0.5, p), (0.66, format_p(row["q"])), (0.8, constant)):
        numbers.text(place, height, word, va="center", fontsize=7.5)


def _draw_sides(tables: Mapping[str, pd.DataFrame], study: Mapping[str, Any], level: float, count: int) -> Figure:
    title = "Survival on both sides of the median"
    links, curves = tables["links"], tables["curves"]
    chosen = _strongest(links, curves, count)
    if chosen.empty:
        return empty_figure(title, "No feature could be parted at its median.", study)
    rows = -(-len(chosen) // 2)
    figure = new_figure(
        10.4,
        3.9 * rows,
        study,
        title=title,
        subtitle=f"The {len(chosen)} links with the smallest p, chosen after looking: they show what the forests test, "
        "and are no tests of their own.",
        footer=f"Kaplan-Meier; ticks are censored patients. HR: patients above the median against the others, with "
        f"{100 * level:g} % interval.{_model(chosen)} Means: difference of restricted means within the window, above "
        "less others, in all strata together and not adjusted.",
    )
    grid = figure.add_gridspec(2 * rows, 2, height_ratios=[3.6, 0.95] * rows)
    for at, row in enumerate(chosen.to_dict("records")):
        place = 2 * (at // 2)
        top, below = (figure.add_subplot(grid[place + step, at % 2]) for step in (0, 1))
        _draw_side(top, below, row, tables, study)
    return figure


def _strongest(links: pd.DataFrame, curves: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the rows of the medians of the links with the smallest p."""
    if curves.empty:
        return links.iloc[:0]
    single = links[links["marker"] == PER_SD]
    ranked = single.assign(rank=best_p(single)).dropna(subset=["rank"])[[*NAMED, "rank"]]
    medians = links[(links["marker"] == MEDIAN) & links["hazard_ratio"].notna()]
    return medians.merge(ranked, on=NAMED).sort_values("rank", kind="stable").head(count)


def _draw_side(
    top: Axes, below: Axes, row: Mapping[Any, Any], tables: Mapping[str, pd.DataFrame], study: Mapping[str, Any]
) -> None:
    own, risks = (_rows_of(tables[name], row).rename(columns={"side": "group"}) for name in ("curves", "at_risk"))
    styles = group_styles(SIDES)
    for side, rows in own.groupby("group", sort=False):
        counts = f"n = {int(rows['at_risk'].iloc[0])}, {int(rows['events'].sum())} events"
        survival_curve(top, rows, styles[str(side)], bands=False, label=f"{SIDES[str(side)].capitalize()}: {counts}")
    numbers_at_risk(below, risks, SIDES, styles)
    late = row["analysis"] == LANDMARK
    finish_curves(top, below, own, risks, f"{study['time_unit']}{' from the landmark' if late else ''}")
    top.legend(loc="best", handlelength=2.0, borderpad=0.2)
    bounds = f"HR {row['hazard_ratio']:.2f} [{row['low']:.2f} to {row['high']:.2f}]"
    if pd.notna(row["mean_difference"]):
        known = pd.notna(row["mean_low"])
        told = f" [{row['mean_low']:.2g} to {row['mean_high']:.2g}]" if known else ""
        bounds += f"; means to {row['window']:.3g}: {row['mean_difference']:+.2g}{told}"
    place: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    when = view_name(row, study).split(",")[0]
    top.annotate(bounds, xytext=(0, 3), fontsize=7.5, color=MUTED, **place)
    top.annotate(f"{str(row['endpoint']).upper()}. {when}", xytext=(0, 14), fontsize=7.5, color=MUTED, **place)
    top.annotate(clip_text(marker_name(row, study), 58), xytext=(0, 25), fontsize=9, fontweight="bold", **place)


def _rows_of(table: pd.DataFrame, row: Mapping[Any, Any]) -> pd.DataFrame:
    return table[np.logical_and.reduce([table[name] == row[name] for name in NAMED])]
