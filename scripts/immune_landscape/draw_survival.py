"""Survival curves with numbers at risk, and the hazard ratio of randomised arms within subgroups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import clip_text, counted, format_p, shown, shown_strata
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import MUTED, GroupStyle, group_styles
from immune_landscape.patient_outcomes import EVERYBODY
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

NAMES = {"pfs": "Progression-free survival", "os": "Overall survival"}
POPULATIONS = {"all_treated": "All treated patients", "intention_to_treat": "All patients, by intention to treat"}
SUBGROUPS = "Hazard ratio of the arms within subgroups"
ROW, MOST_GROUPS = 0.2, 6


@styled
def draw_survival(
    tables: Mapping[str, pd.DataFrame | None], study: Mapping[str, Any], level: float, *, by: str, bands: bool
) -> dict[str, Figure]:
    """Draw one figure per endpoint, and a forest of subgroups where arms were compared.

    Parameters
    ----------
    tables
        ``curves``, ``at_risk``, ``endpoints`` as from `measure_endpoints`; ``comparisons``, ``subgroups`` as from
        `compare_outcomes`, or None.
    study
        Facts of the cohort; ``time_unit``.
    level
        Confidence level of the tables.
    by
        Column whose groups are drawn; all patients together where it has no groups.
    bands
        Whether the pointwise interval of each curve is shaded.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``pfs``, ``os``, ``subgroups``.
    """
    figures = {name: _draw_curves(name, tables, study, level, by, bands) for name in NAMES}
    subgroups = tables.get("subgroups")
    figures["subgroups"] = _draw_forest(subgroups, study, level)
    return figures


def _draw_curves(
    endpoint: str,
    tables: Mapping[str, pd.DataFrame | None],
    study: Mapping[str, Any],
    level: float,
    by: str,
    bands: bool,
) -> Figure:
    curves = _chosen(tables["curves"], endpoint, by)
    if curves.empty:
        return empty_figure(NAMES[endpoint], "No time is given for this endpoint.", study)
    column, groups = str(curves["by"].iloc[0]), list(dict.fromkeys(curves["group"]))
    styles = _styles(groups, column)
    lines = _compared(tables.get("comparisons"), endpoint, column, level, study)
    starts = curves.groupby("group", sort=False)["at_risk"].first()
    figure = new_figure(
        8.2,
        4.3 + ROW * len(groups),
        study,
        title=NAMES[endpoint],
        subtitle=f"{POPULATIONS[str(curves['population'].iloc[0])]}: {counted(int(starts.sum()), 'patient')}, "
        f"{counted(int(curves['events'].sum()), 'event')}. Kaplan-Meier; ticks are censored patients.",
        footer=" ".join(lines),
    )
    grid = figure.add_gridspec(2, 1, height_ratios=[3.6, 0.45 + ROW * len(groups)])
    top, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    for group, rows in curves.groupby("group", sort=False):
        label = _legend(tables["endpoints"], endpoint, column, str(group), study)
        survival_curve(top, rows, styles[str(group)], bands=bands, label=label)
    risks = _chosen(tables["at_risk"], endpoint, by)
    names = {group: clip_text(_group_name(study, column, group), 16) for group in groups}
    numbers_at_risk(below, risks, names, styles)
    finish_curves(top, below, curves, risks, study["time_unit"])
    top.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), handlelength=2.4, borderpad=0.2)
    return figure


def _chosen(table: pd.DataFrame | None, endpoint: str, by: str) -> pd.DataFrame:
    """Return the rows of an endpoint for the groups asked for, or else for all patients."""
    if table is None or table.empty:
        return pd.DataFrame(columns=["by"])
    own = table[table["endpoint"] == endpoint]
    wanted = own[own["by"] == by]
    few = 1 < wanted["group"].nunique() <= MOST_GROUPS
    return wanted if few else own[own["by"] == EVERYBODY]


def _styles(groups: list[str], column: str) -> dict[str, GroupStyle]:
    """Return a style for each group; a dose level named all would otherwise be taken for everybody."""
    return group_styles([EVERYBODY] if column == EVERYBODY else groups)


def _group_name(study: Mapping[str, Any], column: str, group: str) -> str:
    if column in (EVERYBODY, "arm"):
        return shown(study, group)
    return f"{shown(study, column)} {shown(study, group)}"


def _legend(endpoints: pd.DataFrame | None, endpoint: str, column: str, group: str, study: Mapping[str, Any]) -> str:
    name = clip_text(_group_name(study, column, group), 34)
    if endpoints is None:
        return name
    own = endpoints[(endpoints["by"] == column) & (endpoints["group"] == group) & (endpoints["endpoint"] == endpoint)]
    own = own[own["population"].isin(POPULATIONS)].tail(1)
    if own.empty:
        return name
    row = own.iloc[0]
    median = f"median {_time(row['estimate'])} [{_time(row['low'])} to {_time(row['high'])}] {study['time_unit']}"
    return f"{name}, n = {int(row['n'])}, {int(row['events'])} events: {median}"


def _time(value: float) -> str:
    if pd.isna(value):
        return "–"
    return "not reached" if math.isinf(value) else f"{value:.3g}"


def _compared(
    comparisons: pd.DataFrame | None, endpoint: str, column: str, level: float, study: Mapping[str, Any]
) -> list[str]:
    """Write hazard ratio, log-rank and restricted means of each pair of groups, stratified where there are strata."""
    if comparisons is None or comparisons.empty:
        return []
    start = comparisons["landmark"].isna()
    own = comparisons[(comparisons["endpoint"] == endpoint) & (comparisons["by"] == column) & start]
    lines = []
    for (first, second), rows in own.groupby(["group_a", "group_b"], sort=False):
        last = {str(name): part.iloc[-1] for name, part in rows.groupby("measure", sort=False)}
        lines.append(
            f"{shown(study, str(first))} against {shown(study, str(second))}: {_sentence(last, level, study)}."
        )
    return lines


def _sentence(rows: Mapping[str, Any], level: float, study: Mapping[str, Any]) -> str:
    parts = []
    if (row := rows.get("hazard_ratio")) is not None and pd.notna(row["estimate"]):
        firth = " (Firth)" if "Firth" in row["method"] else ""
        within = shown_strata(study, row["strata"])
        bounds = f"{row['low']:.2f} to {row['high']:.2f}"
        parts.append(f"hazard ratio {row['estimate']:.2f} [{100 * level:g} % CI {bounds}]{firth}{within}")
    if (row := rows.get("log_rank")) is not None and pd.notna(row["p"]):
        parts.append(f"log-rank p = {format_p(row['p'])}".replace("= <", "<"))
    if (row := rows.get("proportionality")) is not None and pd.notna(row["p"]):
        parts.append(f"constant ratio p = {format_p(row['p'])}".replace("= <", "<"))
    if (row := rows.get("mean_difference")) is not None and pd.notna(row["estimate"]):
        bounds = "no interval" if pd.isna(row["low"]) else f"{row['low']:.2g} to {row['high']:.2g}"
        unit = study["time_unit"]
        parts.append(f"restricted means to {row['at']:.3g} {unit} differ by {row['estimate']:.2g} [{bounds}]")
    return "; ".join(parts) or "too few patients"


def _draw_forest(subgroups: pd.DataFrame | None, study: Mapping[str, Any], level: float) -> Figure:
    if subgroups is None or subgroups.empty:
        return empty_figure(SUBGROUPS, "No randomised arms were compared.", study)
    endpoints = [name for name in NAMES if name in set(subgroups["endpoint"])]
    parts = {name: subgroups[subgroups["endpoint"] == name].reset_index(drop=True) for name in endpoints}
    rows = max(len(part) for part in parts.values())
    first = subgroups.iloc[0]
    arms = f"{shown(study, first['group_a'])} against {shown(study, first['group_b'])}"
    figure = new_figure(
        11,
        len(endpoints) * (0.9 + 0.27 * rows),
        study,
        title=SUBGROUPS,
        subtitle=f"{arms}; below 1 favours {shown(study, first['group_a'])}. "
        "Subgroups were not powered: read the interaction, not single rows.",
        footer=f"Numbers are events of patients; intervals at {100 * level:g} %. All patients: stratified as "
        "randomised. F: Firth's penalised likelihood. Interaction: likelihood ratio of a Cox model with a baseline "
        "hazard for each subgroup. An arrow is a bound beyond the axis.",
    )
    grid = figure.add_gridspec(len(endpoints), 3, width_ratios=[1.55, 1.2, 1.05])
    for at, name in enumerate(endpoints):
        axes = [figure.add_subplot(grid[at, place]) for place in range(3)]
        _draw_forest_rows(axes, parts[name], NAMES[name], study)
    return figure


def _draw_forest_rows(axes: list[Axes], table: pd.DataFrame, title: str, study: Mapping[str, Any]) -> None:
    names, middle, numbers = axes
    limit = ratio_limit(table[["estimate", "low", "high"]])
    told: set[str] = set()
    for height, row in enumerate(table.to_dict("records")):
        column = str(row["subgroup"])
        events = row["events_a"] + row["events_b"]
        draw_ratio(middle, height, row, limit, marker="s" if column else "D", events=events)
        label = "All patients" if not column else f"{shown(study, column)}: {shown(study, str(row['value']))}"
        names.text(
            0.0, height, clip_text(label, 34), va="center", fontsize=8, fontweight="bold" if not column else None
        )
        names.text(0.68, height, _patients(row, "a"), va="center", ha="center", fontsize=7.5)
        names.text(0.91, height, _patients(row, "b"), va="center", ha="center", fontsize=7.5)
        numbers.text(0.0, height, _ratio_text(row), va="center", fontsize=7.5)
        if column and column not in told:
            told.add(column)
            numbers.text(0.88, height, format_p(row["p_interaction"]), va="center", ha="center", fontsize=7.5)
    arms = [clip_text(shown(study, str(table[end].iloc[0])), 12) for end in ("group_a", "group_b")]
    heads = ((names, 0.68, arms[0]), (names, 0.91, arms[1]), (numbers, 0.88, "p interaction"))
    for part, place, text in heads:
        part.text(place, -0.75, text, ha="center", va="bottom", fontsize=7.5, color=MUTED, fontweight="bold")
    names.text(0.0, -0.75, title, va="bottom", fontsize=9, fontweight="bold")
    numbers.text(0.0, -0.75, "Hazard ratio [interval]", va="bottom", fontsize=7.5, color=MUTED, fontweight="bold")
    for part in axes:
        part.set_ylim(len(table) - 0.4, -0.7)
    for part in (names, numbers):
        part.set_xlim(0, 1)
        part.set_axis_off()
    finish_ratios(middle, limit)


def _patients(row: Mapping[Any, Any], end: str) -> str:
    if pd.isna(row[f"n_{end}"]):
        return "–"
    return f"{int(row[f'events_{end}'])}/{int(row[f'n_{end}'])}"


def _ratio_text(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["estimate"]):
        return clip_text(
            str(row["note"]) if isinstance(row["note"], str) and row["note"] else "no event to compare", 40
        )
    firth = " F" if "Firth" in str(row["method"]) else ""
    return f"{row['estimate']:.2f} [{row['low']:.2f} to {row['high']:.2f}]{firth}"
