"""Dot plot of marker genes, the evidence behind the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, shown, shown_parent
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, colours_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 62
"""Area in square points of a gene found in every cell."""


@styled
def draw_markers(dots: pd.DataFrame, branch: str, study: Mapping[str, Any], *, colour_limit: float | None) -> Figure:
    """Draw each subset's markers in each subset: area is the share of cells, colour the mean.

    Parameters
    ----------
    dots
        As `measure_markers.measure_markers` returns.
    branch
        ``all``, ``nk`` or ``t``.
    study
        Facts of the cohort.
    colour_limit
        Mean log expression at which the colour is darkest; None takes the highest mean.

    Returns
    -------
    matplotlib.figure.Figure
        One axes, keys at the right.
    """
    kind = "lineage" if branch == "all" else "subset"
    title = f"Marker genes of each {kind}: {shown_parent(study, branch)}"
    if dots.empty:
        return empty_figure(title, "No marker gene of a subset present is in the counts.", study)
    columns = list(dict.fromkeys(zip(dots["marker_of"], dots["gene"], strict=True)))
    sizes = dots.drop_duplicates("subset").set_index("subset")["cells"]
    subsets = list(sizes.index)
    places = _places(columns)
    width = float(np.clip(0.2 * (max(places.values()) + 1) + 3.6, 6, 11.8))
    figure = new_figure(
        width,
        0.27 * len(subsets) + 1.75,
        study,
        title=title,
        subtitle=f"Columns: positive markers of the {kind} named above them. Frames: a {kind}'s own markers. "
        f"In brackets: cells, {int(sizes.sum()):,} in all.",
        footer="Labels were given by these and other markers: consistency, not independent evidence.",
    )
    axes = figure.add_subplot()
    limit = colour_limit or float(dots["mean"].max()) or 1.0
    drawn = axes.scatter(
        [places[key] for key in zip(dots["marker_of"], dots["gene"], strict=True)],
        [subsets.index(name) for name in dots["subset"]],
        s=dots["share"] * LARGEST,
        c=dots["mean"],
        cmap=_colour_map(),
        vmin=0,
        vmax=limit,
        edgecolors="#555555",
        linewidths=0.3,
    )
    _draw_frames(axes, columns, places, subsets, study)
    _finish(axes, sizes, columns, places, study)
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.015, 0.0, 0.012, 0.55)))
    bar.set_label("mean log1p per 10,000", fontsize=7)
    bar.outline.set_visible(False)
    return figure


def _colour_map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("expression", ["#F4F4F4", "#7DB9DE", "#0B2545"])


def _places(columns: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Place of each column, with a gap between groups."""
    places, at, last = {}, 0.0, None
    for marker_of, gene in columns:
        at += 0.6 if last is not None and marker_of != last else 0
        places[marker_of, gene] = at
        at, last = at + 1, marker_of
    return places


def _draw_frames(
    axes: Axes,
    columns: list[tuple[str, str]],
    places: Mapping[Any, float],
    subsets: list[str],
    study: Mapping[str, Any],
) -> None:
    from matplotlib.patches import Rectangle

    colours = colours_of(subsets)
    for group in dict.fromkeys(name for name, _ in columns):
        own = [places[key] for key in columns if key[0] == group]
        left, width, row = min(own) - 0.5, max(own) - min(own) + 1, subsets.index(group)
        axes.add_patch(Rectangle((left, row - 0.5), width, 1, fill=False, edgecolor=INK, linewidth=0.9, gid="frame"))
        axes.add_patch(Rectangle((left, -0.82), width, 0.14, color=colours[group], clip_on=False))
        axes.text(
            left + width / 2,
            -1.0,
            clip_text(shown(study, group), 24),
            rotation=38,
            ha="left",
            va="bottom",
            fontsize=7.5,
            rotation_mode="anchor",
        )


def _finish(
    axes: Axes,
    sizes: pd.Series,
    columns: list[tuple[str, str]],
    places: Mapping[Any, float],
    study: Mapping[str, Any],
) -> None:
    """Name genes and subsets, and add the key of areas."""
    crowded = len(columns) > 55
    axes.set_xticks(
        [places[key] for key in columns],
        [gene for _, gene in columns],
        rotation=90,
        fontstyle="italic",
        fontsize=5.5 if crowded else 7,
    )
    names = [f"{shown(study, str(name))}  ({count:,})" for name, count in sizes.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.9, max(places.values()) + 0.9)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FAINT)
    axes.grid(color="#F0F0F0")
    handles = [
        axes.scatter([], [], s=share * LARGEST, color=MUTED, label=f"{share:.0%}", linewidths=0)
        for share in (0.1, 0.5, 1.0)
    ]
    axes.legend(
        handles=handles,
        title="cells with\nthe gene",
        title_fontsize=7,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.04),
        labelspacing=0.5,
        alignment="left",
    )
