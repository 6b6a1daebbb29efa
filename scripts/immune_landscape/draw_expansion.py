"""Repertoire metrics of each patient, at one depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import (
    counted,
    facts_of,
    groups_of,
    interval_name,
    levels_of,
    ordered_visits,
    sentence,
    shown,
)
from immune_landscape.draw_contrasts import question_of
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import GROUPS, group_styles
from immune_landscape.panels import paired_patients, panel_heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {
    "receptor_cells": "Receptor cells",
    "clonotypes": "Clonotypes",
    "receptor_detection": "Receptor detection",
    "expanded_share": "Share of expanded cells",
    "top_clone_share": "Share of largest clonotype",
    "gini_simpson": "Gini-Simpson",
    "pielou": "Pielou evenness",
    "clonality": "Clonality (1 − Pielou)",
    "hill_0": "Hill q = 0 (richness)",
    "hill_1": "Hill q = 1",
    "hill_2": "Hill q = 2",
}
TITLE = "Clonal expansion and diversity"


@styled
def draw_expansion(
    metrics: pd.DataFrame,
    differences: pd.DataFrame,
    contrasts: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    shown_metrics: Sequence[str],
    columns: int,
) -> dict[str, Figure]:
    """Draw standardised metrics per patient: over all visits, and for each contrast.

    Parameters
    ----------
    metrics
        First table of `measure_expansion.measure_expansion`.
    differences, contrasts
        As `compare_expansion.compare_expansion` returns; effects and p values are printed from the latter.
    study
        Facts of the cohort.
    shown_metrics
        Metrics drawn, in this order; those of a contrast besides are left to its table.
    columns
        Panels per row.

    Returns
    -------
    dict
        ``overview`` and ``<contrast>`` -> figure.
    """
    standardised = metrics[(metrics["scope"] == "all") & metrics["standardised"].astype(bool)]
    standardised = standardised[standardised["metric"].isin(list(shown_metrics))]
    wanted = [name for name in shown_metrics if name in set(standardised["metric"])]
    drawn = {"overview": _draw_overview(standardised, wanted, study, columns)}
    for contrast, rows in contrasts.groupby("contrast", sort=False):
        rows = rows[(rows["parent"] == "all") & rows["metric"].isin(wanted)]
        chosen = differences[(differences["contrast"] == contrast) & (differences["parent"] == "all")]
        if len(rows):
            drawn[str(contrast)] = _draw_contrast(standardised, chosen, rows, study, columns)
    return drawn


def _depth(metrics: pd.DataFrame) -> str:
    depth = metrics["depth"].dropna()
    return (
        f"Every sample at {int(depth.iloc[0]):,} receptor cells (the smallest sample measured)"
        if len(depth)
        else "No common depth"
    )


def _draw_overview(metrics: pd.DataFrame, wanted: list[str], study: Mapping[str, Any], columns: int) -> Figure:
    """All samples, one line per patient and tissue, visits in order."""
    values = metrics[metrics["value"].notna()]
    if values.empty:
        reason = "No sample has enough receptor cells to be measured at one depth (measure_expansion.min_cells)."
        return empty_figure(TITLE, reason, study)
    rows = -(-len(wanted) // columns)
    samples, patients = values["sample"].nunique(), values["patient"].nunique()
    figure = new_figure(
        min(11.8, 2.85 * columns),
        2.0 * rows,
        study,
        title=TITLE,
        key=True,
        subtitle=f"{_depth(values)}. {counted(samples, 'sample')} of {counted(patients, 'patient')}.",
        footer="Bars: 2.5-97.5 % of the random draws, the spread due to subsampling alone, not to patients.",
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    visits = ordered_visits(values["visit"], study)
    for axes, metric in zip(panels, wanted, strict=False):
        _draw_visits(axes, values[values["metric"] == metric], visits, study)
        axes.set_title(METRICS.get(metric, metric), fontsize=8.5)
    for axes in panels[len(wanted) :]:
        axes.set_axis_off()
    _label_groups(panels[0], values, study)
    draw_key(figure, list(panels[:1]))
    return figure


def _draw_visits(axes: Axes, values: pd.DataFrame, visits: list[str], study: Mapping[str, Any]) -> None:
    responses = values["response"].fillna("").astype(str)
    styles = group_styles(group for group in GROUPS if (responses == group).any())
    place = {visit: at for at, visit in enumerate(visits)}
    shift = dict(zip(styles, np.linspace(-0.12, 0.12, len(styles)) if len(styles) > 1 else [0.0], strict=True))
    for (patient, _), table in values.groupby(["patient", "tissue"], sort=False):
        group = str(table["response"].fillna("").iloc[0])
        table = table.assign(at=table["visit"].map(place) + shift[group]).sort_values("at")
        style = styles[group]
        axes.vlines(table["at"], table["low"], table["high"], color=style.colour, linewidth=0.8, alpha=0.5)
        axes.plot(
            table["at"],
            table["value"],
            style.linestyle,
            marker=style.marker,
            color=style.colour,
            markersize=3.6,
            linewidth=0.9,
            alpha=0.75,
            markeredgecolor="white",
            markeredgewidth=0.4,
            gid=f"patient:{patient}",
        )
    axes.set_xticks(range(len(visits)), [shown(study, visit).replace(" ", "\n", 1)[:24] for visit in visits])
    axes.set_xlim(-0.5, len(visits) - 0.5)
    axes.grid(axis="y")


def _label_groups(axes: Axes, values: pd.DataFrame, study: Mapping[str, Any]) -> None:
    counts = values.assign(response=values["response"].fillna("")).groupby("response")["patient"].nunique()
    styles = group_styles(group for group in GROUPS if group in counts)
    for name, style in styles.items():
        axes.plot(
            [],
            [],
            style.linestyle,
            marker=style.marker,
            color=style.colour,
            label=f"{shown(study, name)} n = {counts[name]}",
            markersize=4,
        )


def _draw_contrast(
    metrics: pd.DataFrame,
    differences: pd.DataFrame,
    rows: pd.DataFrame,
    study: Mapping[str, Any],
    columns: int,
) -> Figure:
    title = f"{TITLE}: {shown(study, str(rows['contrast'].iloc[0]))}"
    question = question_of(rows, study)
    if differences.empty:
        return empty_figure(title, f"No patient has measured samples for this contrast: {question}.", study)
    facts = facts_of(study, str(rows["contrast"].iloc[0]))
    count = -(-len(rows) // columns)
    figure = new_figure(
        min(11.8, 2.85 * columns),
        2.15 * count,
        study,
        title=title,
        subtitle=f"{sentence(question)}. {_depth(metrics)}.",
        footer=f"Effect in units of the metric [{interval_name(study)}]; p by permutation of patients; "
        "p maxT over the metrics of the contrast. Bars: spread due to subsampling alone.",
    )
    panels = figure.subplots(count, columns, squeeze=False).ravel()
    levels = levels_of(facts)
    styles = group_styles(groups_of(rows.iloc[0].to_dict()))
    for axes, row in zip(panels, rows.to_dict("records"), strict=False):
        values = differences[differences["metric"] == row["metric"]]
        spread = _with_intervals(values, metrics[metrics["metric"] == row["metric"]], facts, levels, study)
        paired_patients(axes, spread, styles, levels, study, intervals=True)
        panel_heading(axes, METRICS.get(str(row["metric"]), str(row["metric"])), row)
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    return figure


def _with_intervals(
    values: pd.DataFrame,
    metrics: pd.DataFrame,
    facts: Mapping[str, Any],
    levels: list[str],
    study: Mapping[str, Any],
) -> pd.DataFrame:
    """Look up the subsampling interval of each value by its patient, visit and tissue."""
    factor = facts.get("factor") or "visit"
    other = "tissue" if factor == "visit" else "visit"
    fixed = facts.get(other) or next(iter(study.get(f"{other}s") or []), None)
    at = metrics if fixed is None else metrics[metrics[other] == fixed]
    table = values.copy()
    for name, level in zip(("before", "after"), levels, strict=False):
        rows = at[at[factor] == level].drop_duplicates("patient").set_index("patient")
        table[f"{name}_low"] = table["patient"].map(rows["low"]).astype(float)
        table[f"{name}_high"] = table["patient"].map(rows["high"]).astype(float)
    return table
