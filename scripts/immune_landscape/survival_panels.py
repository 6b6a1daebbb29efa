"""Parts of figures of times to an event: curves with numbers at risk, and rows of hazard ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.palette import FAINT, INK, MUTED, GroupStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE = "#0072B2"
REACH = 30.0
"""Hazard ratio at which the axis of ratios ends at the latest; bounds beyond end in arrows."""


def survival_curve(axes: Axes, rows: pd.DataFrame, style: GroupStyle, *, bands: bool, label: str) -> None:
    """Draw a survival curve in percent, with ticks for censored patients.

    Parameters
    ----------
    axes
        Where to draw.
    rows
        ``time``, ``survival``, ``low``, ``high``, ``censored`` of one group.
    style
        Of the group.
    bands
        Whether the pointwise interval is shaded.
    label
        For the legend.
    """
    axes.step(
        rows["time"], 100 * rows["survival"], where="post", color=style.colour, linestyle=style.linestyle,
        linewidth=1.6, label=label, gid="curve",
    )  # fmt: skip
    if bands:
        low, high = (100 * rows[name].astype(float).fillna(rows["survival"]) for name in ("low", "high"))
        axes.fill_between(rows["time"], low, high, step="post", color=style.colour, alpha=0.13, linewidth=0, gid="band")
    left = rows[rows["censored"] > 0]
    axes.plot(
        left["time"], 100 * left["survival"], linestyle="none", marker="|", markersize=7, color=style.colour,
        markeredgewidth=1.1, gid="censored",
    )  # fmt: skip


def numbers_at_risk(
    axes: Axes, risks: pd.DataFrame, names: Mapping[str, str], styles: Mapping[str, GroupStyle]
) -> None:
    """Write the numbers at risk, a row for each group.

    Parameters
    ----------
    axes
        Below the curves; its frame is left to the caller.
    risks
        ``group``, ``time``, ``at_risk``.
    names, styles
        Of each group.
    """
    for height, (group, rows) in enumerate(risks.groupby("group", sort=False)):
        for time, count in zip(rows["time"], rows["at_risk"], strict=True):
            axes.text(time, height, f"{int(count)}", ha="center", va="center", fontsize=7.5, gid="at_risk")
        axes.text(
            -0.045, height, names[str(group)], ha="right", va="center", fontsize=7.5, color=styles[str(group)].colour,
            transform=axes.get_yaxis_transform(), fontweight="bold",
        )  # fmt: skip
    axes.set_ylim(risks["group"].nunique() - 0.4, -0.9)
    axes.text(0, 1.0, "At risk", transform=axes.transAxes, fontsize=7.5, color=MUTED, va="top")


def finish_curves(top: Axes, below: Axes, curves: pd.DataFrame, risks: pd.DataFrame, unit: str) -> None:
    """Give curves and the numbers under them one axis of time.

    Parameters
    ----------
    top, below
        With the curves and the numbers at risk.
    curves, risks
        ``time`` of what was drawn.
    unit
        Of the time.
    """
    end = max(float(curves["time"].max()), float(risks["time"].max())) * 1.03 or 1.0
    ticks = sorted(set(risks["time"]))
    for axes in (top, below):
        axes.set_xlim(-0.02 * end, end)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    top.set_ylim(0, 102)
    top.set_ylabel("Free of the event (%)")
    top.set_xlabel(f"Time ({unit})")
    top.grid(axis="y")
    below.set_xticks([])
    below.set_yticks([])
    below.spines[:].set_visible(False)


def ratio_limit(ratios: pd.DataFrame) -> float:
    """Return the end of the axis of hazard ratios, the same below and above 1.

    Parameters
    ----------
    ratios
        Ratios and their bounds, positive.

    Returns
    -------
    float
        At least 2.5 and at most `REACH`.
    """
    values = np.abs(np.log(ratios.astype(float).to_numpy()))
    known = values[np.isfinite(values)]
    return float(min(REACH, max(np.exp(known.max(initial=0.0)) * 1.15, 2.5)))


def draw_ratio(
    axes: Axes, height: float, row: Mapping[Any, Any], limit: float, *, marker: str, events: float, filled: bool = True
) -> None:
    """Draw a hazard ratio with its interval; a bound beyond the axis ends in an arrow.

    Parameters
    ----------
    axes
        With a logarithmic axis that ends at ``limit``.
    height
        Row.
    row
        ``estimate``, ``low``, ``high``.
    limit
        End of the axis.
    marker
        Of the ratio.
    events
        By which the marker grows.
    filled
        Whether the marker is filled.
    """
    if pd.isna(row["estimate"]):
        return
    low, high = max(row["low"], 1 / limit), min(row["high"], limit)
    axes.hlines(height, low, high, color=INK, linewidth=1.4, gid="interval")
    for bound, end, arrow in ((row["low"] < 1 / limit, 1 / limit, "<"), (row["high"] > limit, limit, ">")):
        if bound:
            axes.plot(end, height, marker=arrow, color=INK, markersize=5, clip_on=False, gid="arrow")
    place = float(np.clip(row["estimate"], 1 / limit, limit))
    face = BLUE if filled else "white"
    size = 4 + 5 * math.sqrt(min(1.0, events / 100))
    axes.plot(place, height, marker=marker, color=BLUE, markerfacecolor=face, markersize=size, gid="ratio", zorder=3)


def finish_ratios(axes: Axes, limit: float) -> None:
    """Give hazard ratios their logarithmic axis.

    Parameters
    ----------
    axes
        With the ratios.
    limit
        End of the axis.
    """
    from matplotlib.ticker import NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(1 / limit, limit)
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if 1 / limit <= tick <= limit]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color=FAINT, linewidth=1, zorder=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
