"""Biomarkers of single patients, arm beside arm."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, MUTED, GroupStyle, group_styles
from immune_landscape.patient_outcomes import EVERYBODY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Biomarkers by patient"
PANELS = {"cps": "PD-L1, CPS", "tmb": "Mutational burden", "mmr": "Mismatch repair", "msi": "Microsatellites"}
UNITS = {"cps": "Combined positive score", "tmb": "Mutations per Mb"}
CATEGORIES = {"mmr": ("pMMR", "dMMR"), "msi": ("MSS", "MSI-L", "MSI-H")}
MOST_GROUPS = 5
LINEAR_TO = 1.0
"""Below it the axes of scores and burdens are linear, so that 0 has a place; above it they are logarithmic."""


@styled
def draw_biomarkers(
    table: pd.DataFrame, study: Mapping[str, Any], definition: Mapping[str, Any], *, height: float
) -> Figure:
    """Draw a point per patient and marker, in columns by arm.

    Parameters
    ----------
    table
        ``biomarkers`` as from `measure_biomarkers`.
    study
        Facts of the cohort.
    definition
        Settings of `measure_biomarkers`: the thresholds are drawn as lines.
    height
        Inches of a row of panels.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per marker that anybody has.
    """
    known = table[table["marker"].isin(list(PANELS))]
    held = [marker for marker in PANELS if (known.loc[known["marker"] == marker, "class"].fillna("") != "").any()]
    if not held:
        return empty_figure(TITLE, "No patient has a biomarker that could be read.", study)
    names = sorted(set(known["arm"].fillna("").astype(str)) - {""})
    arms = names if 1 < len(names) <= MOST_GROUPS else [EVERYBODY]
    known = known.assign(group=known["arm"].astype(str) if len(arms) > 1 else EVERYBODY)
    styles = group_styles(arms)
    unread = known[known["class"].fillna("") == ""].groupby("marker")["patient"].nunique()
    notes = [f"{PANELS[name]} {unread[name]}" for name in held if unread.get(name, 0)]
    figure = new_figure(
        max(6.4, 1.1 + 2.6 * len(held)),
        height,
        study,
        title=TITLE,
        subtitle=f"{counted(known['patient'].nunique(), 'patient')}; each point is one. Lines are limits of classes.",
        footer="Numbers below are patients who could be evaluated."
        + (f" Not evaluable or not measured: {'; '.join(notes)}." if notes else ""),
        key=True,
    )
    panels = figure.subplots(1, len(held), squeeze=False)[0]
    for axes, marker in zip(panels, held, strict=True):
        own = known[(known["marker"] == marker) & (known["class"].fillna("") != "")]
        if marker in CATEGORIES:
            _draw_classes(axes, own, marker, styles)
        else:
            _draw_values(axes, own, styles, _limits(marker, definition))
            axes.set_ylabel(UNITS[marker])
        axes.set_title(PANELS[marker])
        _name_groups(axes, own, styles, study)
    for name, style in styles.items():
        axes = panels[0]
        label = shown(study, name)
        axes.plot([], [], color=style.colour, marker=style.marker, linestyle="none", label=clip_text(label, 30))
    draw_key(figure, [panels[0]])
    return figure


def _limits(marker: str, definition: Mapping[str, Any]) -> list[float]:
    return list(definition["cps_thresholds"]) if marker == "cps" else [definition["tmb_high"]]


def _scatter(axes: Axes, places: np.ndarray, heights: np.ndarray, style: GroupStyle) -> None:
    axes.plot(
        places, heights, linestyle="none", marker=style.marker, color=style.colour, markersize=4, alpha=0.75,
        markeredgecolor="white", markeredgewidth=0.4, gid="patients",
    )  # fmt: skip


def _draw_values(axes: Axes, own: pd.DataFrame, styles: Mapping[str, GroupStyle], limits: list[float]) -> None:
    for at, (group, style) in enumerate(styles.items()):
        values = np.sort(own.loc[own["group"] == group, "value"].to_numpy(dtype=float))
        _scatter(axes, at + (np.arange(len(values)) * 0.618) % 1 * 0.6 - 0.3, values, style)
    for limit in limits:
        axes.axhline(limit, color=MUTED, linewidth=0.8, linestyle="--", zorder=0, gid="limit")
    axes.set_yscale("symlog", linthresh=LINEAR_TO, linscale=0.6)
    top = max([*limits, float(own["value"].max())])
    marks = [mark for mark in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if mark <= 1.3 * top]
    axes.set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.set_ylim(-0.25, 1.4 * top)
    axes.grid(axis="y", color=FAINT, linewidth=0.4)


def _draw_classes(axes: Axes, own: pd.DataFrame, marker: str, styles: Mapping[str, GroupStyle]) -> None:
    """Stack the patients of each class in a block of points, with their number above it."""
    classes = CATEGORIES[marker]
    across = 7
    for at, (group, style) in enumerate(styles.items()):
        for level, named in enumerate(classes):
            count = int(((own["group"] == group) & (own["class"] == named)).sum())
            order = np.arange(count)
            rows = -(-count // across)
            step = min(0.09, 0.62 / max(rows, 1))
            _scatter(axes, at - 0.3 + 0.1 * (order % across), level - 0.28 + step * (order // across), style)
            place = level - 0.28 + step * max(rows - 1, 0) + 0.07
            axes.text(at, place, f"{count}", ha="center", va="bottom", fontsize=7, color=MUTED)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_ylim(-0.5, len(classes) - 0.4)
    axes.tick_params(axis="y", length=0)


def _name_groups(axes: Axes, own: pd.DataFrame, styles: Mapping[str, GroupStyle], study: Mapping[str, Any]) -> None:
    counts = own.groupby("group")["patient"].nunique()
    lines = {group: textwrap.wrap(shown(study, group), 13, break_on_hyphens=False)[:2] for group in styles}
    names = [
        "\n".join([*(clip_text(line, 13) for line in lines[group]), f"n = {counts.get(group, 0)}"]) for group in lines
    ]
    axes.set_xticks(range(len(styles)), names)
    axes.set_xlim(-0.6, len(styles) - 0.4)
