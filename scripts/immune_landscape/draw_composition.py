"""Composition of every sample, and each patient's change behind every contrast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import (
    clip_text,
    counted,
    facts_of,
    groups_of,
    interval_name,
    levels_of,
    sentence,
    shown,
    shown_parent,
)
from immune_landscape.draw_contrasts import question_of
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import GROUPS, colours_of, group_rank, group_styles
from immune_landscape.panels import paired_patients, panel_heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALES = {
    "proportion": ("before_proportion", "after_proportion", 100.0, "% of {parent}"),
    "clr": ("before", "after", 1.0, "centred log ratio in {parent}"),
}


@styled
def draw_composition(
    composition: pd.DataFrame,
    differences: pd.DataFrame,
    contrasts: pd.DataFrame,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    scale: str,
    columns: int,
) -> dict[str, Figure]:
    """Draw samples as stacked bars per parent, and patients as lines per contrast and parent.

    Parameters
    ----------
    composition
        As `measure_composition.measure_composition` returns.
    differences, contrasts
        As `compare_composition.compare_composition` returns; effects and p are printed from the latter.
    design
        One row per sample: sample, response.
    study
        Facts of the cohort.
    scale
        ``proportion`` or ``clr``, on the axis of the patients' lines.
    columns
        Panels per row.

    Returns
    -------
    dict
        ``<parent>`` -> bars, ``<contrast>.<parent>`` -> lines.
    """
    drawn: dict[str, Figure] = {}
    for parent, table in composition.groupby("parent", sort=False):
        drawn[str(parent)] = _draw_samples(table, design, str(parent), study)
    for contrast, tested in contrasts.groupby("contrast", sort=False):
        for parent, rows in tested[tested["parent"].fillna("") != ""].groupby("parent", sort=False):
            chosen = differences[(differences["contrast"] == contrast) & (differences["parent"] == parent)]
            drawn[f"{contrast}.{parent}"] = _draw_patients(chosen, rows, str(parent), study, scale, columns)
    return drawn


def _draw_patients(
    values: pd.DataFrame, rows: pd.DataFrame, parent: str, study: Mapping[str, Any], scale: str, columns: int
) -> Figure:
    title = f"{shown_parent(study, parent)}: {shown(study, str(rows['contrast'].iloc[0]))}"
    if values.empty:
        return empty_figure(
            title,
            f"No patient has the samples that this contrast compares: {question_of(rows, study)}.",
            study,
        )
    count = -(-len(rows) // columns)
    figure = new_figure(
        min(11.8, 2.85 * columns),
        2.15 * count,
        study,
        title=title,
        subtitle=f"{sentence(question_of(rows, study))}. One line or point per patient.",
        footer=f"Effect: mean difference in centred log ratios [{interval_name(study)}]; p by permutation; "
        "p maxT corrected for the family. From the table of contrasts. R: responders, NR: non-responders.",
    )
    panels = figure.subplots(count, columns, squeeze=False).ravel()
    before, after, factor, label = SCALES[scale]
    styles = group_styles(groups_of(rows.iloc[0].to_dict()))
    visits = levels_of(facts_of(study, str(rows["contrast"].iloc[0])))
    scaled = values.assign(before=values[before] * factor, after=values[after] * factor)
    for at, (axes, row) in enumerate(zip(panels, rows.to_dict("records"), strict=False)):
        paired_patients(axes, scaled[scaled["subset"] == row["subset"]], styles, visits, study)
        panel_heading(axes, clip_text(shown(study, str(row["subset"])), 26), row)
        axes.set_ylabel(label.format(parent=_parent_text(parent, study)) if at % columns == 0 else "", fontsize=7.5)
        if scale == "proportion":
            # Room below zero, or the frame would cut the points of absent subsets.
            axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    return figure


def _parent_text(parent: str, study: Mapping[str, Any]) -> str:
    name = shown_parent(study, parent)
    return name[0].lower() + name[1:] if parent in ("all", "cells") else name


def _draw_samples(table: pd.DataFrame, design: pd.DataFrame, parent: str, study: Mapping[str, Any]) -> Figure:
    """Stacked bars, one per sample, in blocks of tissue and visit, ordered by response."""
    title = f"Composition of every sample: {shown_parent(study, parent)}"
    blocks = _blocks(table, design, study)
    if not table["total"].sum():
        return empty_figure(title, f"No sample has cells of this parent: {shown_parent(study, parent)}.", study)
    sizes = [len(samples) for _, samples in blocks]
    figure = new_figure(
        11.5,
        3.9,
        study,
        title=title,
        subtitle=f"{counted(sum(sizes), 'sample')}. One bar per sample; strip below: response.",
        footer="Bars describe; comparisons between groups are in the contrasts.",
    )
    panels = figure.subplots(1, len(blocks), sharey=True, squeeze=False, width_ratios=[max(size, 3) for size in sizes])[
        0
    ]
    subsets = list(dict.fromkeys(table["subset"]))
    colours = colours_of(subsets)
    shares = (
        table.pivot_table(index="sample", columns="subset", values="proportion", aggfunc="first", observed=True) * 100
    )
    for axes, (names, samples) in zip(panels, blocks, strict=True):
        _draw_block(axes, shares.reindex(index=samples["sample"], columns=subsets), samples, colours)
        heading = " · ".join(shown(study, name) for name in names)
        axes.set_title(f"{heading}\nn = {len(samples)}", fontsize=8)
        if sum(sizes) <= 60:
            axes.set_xticks(range(len(samples)), samples["patient"], rotation=90, fontsize=6)
    panels[0].set_ylabel(f"% of {_parent_text(parent, study)}")
    _draw_keys(panels[-1], subsets, colours, [group for _, samples in blocks for group in samples["response"]], study)
    return figure


def _blocks(
    table: pd.DataFrame, design: pd.DataFrame, study: Mapping[str, Any]
) -> list[tuple[list[str], pd.DataFrame]]:
    samples = table.drop_duplicates("sample")[["sample", "patient", "visit", "tissue"]].astype(str)
    response = design.drop_duplicates("sample").set_index("sample")["response"].fillna("").astype(str)
    samples["response"] = samples["sample"].map(response).fillna("")
    samples["rank"] = samples["response"].map(group_rank)
    samples = samples.sort_values(["rank", "patient"], kind="stable")
    order = {name: at for key in ("tissues", "visits") for at, name in enumerate(study.get(key) or [])}
    keys = ["tissue", "visit"] if len(set(samples["tissue"])) > 1 else ["visit"]
    groups = [([str(part) for part in name], group) for name, group in samples.groupby(keys)]
    return sorted(groups, key=lambda block: [order.get(name, len(order)) for name in block[0]])


def _draw_block(axes: Axes, shares: pd.DataFrame, samples: pd.DataFrame, colours: Mapping[str, str]) -> None:
    start = np.zeros(len(shares))
    places = np.arange(len(shares))
    for subset in shares.columns:
        height = shares[subset].fillna(0).to_numpy()
        axes.bar(places, height, bottom=start, width=0.9, color=colours[subset], linewidth=0)
        start += height
    styles = group_styles(samples["response"])
    axes.bar(
        places,
        -4,
        bottom=-1.5,
        width=0.9,
        color=[styles[value].colour for value in samples["response"]],
        linewidth=0,
        gid="response",
    )
    axes.set_ylim(-6, 100)
    axes.set_xlim(-0.7, len(shares) - 0.3)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_xticks([])
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)


def _draw_keys(
    axes: Axes, subsets: list[str], colours: Mapping[str, str], responses: list[str], study: Mapping[str, Any]
) -> None:
    styles = group_styles(group for group in GROUPS if group in responses)
    handles = [axes.bar(0, 0, color=colours[name], label=shown(study, name)) for name in reversed(subsets)]
    groups = [axes.bar(0, 0, color=style.colour, label=shown(study, name)) for name, style in styles.items()]
    axes.legend(
        handles=handles + groups,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.02),
        handlelength=1,
        labelspacing=0.35,
    )
