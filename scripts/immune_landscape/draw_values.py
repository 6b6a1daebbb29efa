"""Numbers of each patient behind the contrasts of a layer, side by side by group."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import (
    clip_text,
    groups_of,
    interval_name,
    levels_of,
    sentence,
    shown,
    shown_feature,
    shown_layer,
    shown_parent,
)
from immune_landscape.draw_contrasts import question_of
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.layers import LAYERS
from immune_landscape.palette import group_styles
from immune_landscape.panels import paired_patients, panel_heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_ASKED = "The numbers of this layer cannot answer this contrast: they exist for changes between two visits alone."
NOT_MEASURED = "No sample has numbers of this layer."
WIDTH = 2.85
NAME_LENGTH = 27
"""Characters of a panel's name that fit above it in a line."""


@styled
def draw_values(
    differences: pd.DataFrame,
    contrasts: pd.DataFrame,
    study: Mapping[str, Any],
    layer: str,
    *,
    columns: int,
    most: int,
) -> dict[str, Figure]:
    """Draw, for each contrast, one panel per feature with each patient before and after.

    Parameters
    ----------
    differences, contrasts
        As `compare_values.compare_values` returns; effects and p values are printed from the latter.
    study
        Facts of the cohort; ``definition``, as `define_clonotypes.definition_text` writes it, is printed below numbers
        of clones from cells.
    layer
        Such as ``expansion``.
    columns
        Panels per row.
    most
        Panels of a figure at most: members of the declared family come first, then the smallest p.

    Returns
    -------
    dict
        Contrast -> figure.
    """
    drawn = {}
    for facts in study["contrasts"]:
        name = str(facts["name"])
        values, rows = (table[table["contrast"] == name] for table in (differences, contrasts))
        if rows.empty:
            drawn[name] = empty_figure(
                f"{shown_layer(layer)}: {shown(study, name)}", NOT_MEASURED if contrasts.empty else NOT_ASKED, study
            )
        else:
            drawn[name] = _draw_contrast(values, rows, facts, study, layer, columns, most)
    return drawn


def choose_rows(rows: pd.DataFrame, family: str, most: int) -> pd.DataFrame:
    """Choose the rows of a contrast that are drawn.

    Parameters
    ----------
    rows
        Rows of one contrast.
    family
        Family that it declares; rows outside are exploratory.
    most
        Rows at most.

    Returns
    -------
    pandas.DataFrame
        Members of the family first, each part in the order of the table; chosen by the smallest p, and those without p
        last.
    """
    outside = (rows["family"] != family).to_numpy()
    ranked = rows.assign(outside=outside, rank=rows["p"].astype(float).fillna(2.0).to_numpy(), place=range(len(rows)))
    chosen = ranked.sort_values(["outside", "rank"], kind="stable").head(most)
    return chosen.sort_values(["outside", "place"])[list(rows.columns)]


def _draw_contrast(
    values: pd.DataFrame,
    rows: pd.DataFrame,
    facts: Mapping[str, Any],
    study: Mapping[str, Any],
    layer: str,
    columns: int,
    most: int,
) -> Figure:
    title = f"{shown_layer(layer)}: {shown(study, str(rows['contrast'].iloc[0]))}"
    question = question_of(rows, study)
    if values.empty:
        return empty_figure(title, f"No patient has measured samples for this contrast: {question}.", study)
    chosen = choose_rows(rows, str(facts.get("family") or "primary"), most)
    columns = min(columns, max(2, len(chosen)))
    count = -(-len(chosen) // columns)
    names = [_name(row, study, layer) for row in chosen.to_dict("records")]
    figure = new_figure(
        max(6.4, min(11.8, WIDTH * columns)),
        (2.05 + 0.15 * max(name.count("\n") + 1 for name in names)) * count,
        study,
        title=title,
        subtitle=f"{sentence(question)}. {_left_out(len(chosen), len(rows))}".strip(),
        footer=_footnote(values, layer, study),
    )
    panels = figure.subplots(count, columns, squeeze=False).ravel()
    styles = group_styles(groups_of(chosen.iloc[0].to_dict()))
    levels = levels_of(facts)[-1:] if LAYERS[layer].tells_change else levels_of(facts)
    for axes, name, row in zip(panels, names, chosen.to_dict("records"), strict=False):
        own = values[(values["parent"] == row["parent"]) & (values["feature"] == row["feature"])]
        paired_patients(axes, own, styles, levels, study, intervals=True)
        panel_heading(axes, name, row)
        unit = own["unit"].dropna().astype(str)
        axes.set_ylabel(clip_text(unit.iloc[0], 26) if len(unit) else "", fontsize=7.5)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    return figure


def _name(row: Mapping[Any, Any], study: Mapping[str, Any], layer: str) -> str:
    """Write a feature, and what it was measured in, in up to three lines."""
    name, parent = shown_feature(study, layer, str(row["feature"])), str(row["parent"])
    of = "" if parent in ("all", "cells") else f"in {shown_parent(study, parent)}"
    if len(f"{name} {of}") <= NAME_LENGTH:
        return f"{name} {of}".strip()
    first, *more = textwrap.wrap(name, NAME_LENGTH)
    second = [clip_text(" ".join(more), NAME_LENGTH)] if more else []
    return "\n".join([first, *second, *([clip_text(of, NAME_LENGTH)] if of else [])])


def _left_out(drawn: int, rows: int) -> str:
    if drawn == rows:
        return ""
    return f"{drawn} of {rows} features: the family first, then the smallest p; {rows - drawn} are in the table alone."


def _footnote(values: pd.DataFrame, layer: str, study: Mapping[str, Any]) -> str:
    text = (
        f"Effect in units of the axis [{interval_name(study)}]; p by permutation of patients; p maxT over the family, "
    )
    text += "missing outside it."
    bounds = ["before_low", "before_high", "after_low", "after_high"]
    if values[bounds].notna().any(axis=None):
        text += f" Bars: {LAYERS[layer].interval or 'interval of the measurement'}."
    if "tcr" in LAYERS[layer].needs and "definition" in study:
        text += f" {study['definition']}."
    return text
