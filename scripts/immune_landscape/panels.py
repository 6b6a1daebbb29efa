"""Parts of figures: paired patients, forest rows, stacked shares, labels on data."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, format_effect, format_p, patients_of, reach_of, shown
from immune_landscape.palette import FAINT, GROUPS, INK, MUTED, GroupStyle, group_styles, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

GAP = 2.5
"""Distance between groups in units of the distance between visits."""
HEAD = 10
"""Characters of a group's name that fit above its half of a panel."""


def paired_patients(
    axes: Axes,
    values: pd.DataFrame,
    styles: Mapping[str, GroupStyle],
    visits: Sequence[str],
    study: Mapping[str, Any],
    *,
    intervals: bool = False,
) -> None:
    """Draw one line per patient from reference to target, groups side by side, n of each group above.

    Parameters
    ----------
    axes
        Where to draw.
    values
        One row per patient: ``patient``, ``group``, ``before``, ``after`` (missing when there is one visit).
        With `intervals` also ``before_low``, ``before_high``, ``after_low``, ``after_high``.
    styles
        Group -> style, in display order.
    visits
        Reference and target, or one visit.
    study
        Facts of the cohort.
    intervals
        Whether to draw interval bars.
    """
    ticks: list[float] = []
    span = len(visits) - 1
    names = _heads({group: shown(study, group) for group in styles})
    for at, (group, style) in enumerate(styles.items()):
        places = np.arange(len(visits)) + at * (span + GAP - 1)
        ticks += list(places)
        members = values[values["group"] == group]
        for shift, row in zip(_spread(len(members)), members.to_dict("records"), strict=True):
            _draw_patient(axes, row, places + (shift if span == 0 else shift * 0.25), style, intervals)
        name = style.short if style.short in ("R", "NR") else names[group]
        axes.annotate(
            f"{name} n = {len(members)}",
            (places.mean(), 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7.5,
            color=style.colour,
            fontweight="bold",
            xytext=(0, 1),
            textcoords="offset points",
        )
    axes.set_xticks(ticks, [_tick(shown(study, visit)) for visit in visits] * len(styles))
    axes.set_xlim(min(ticks, default=0) - 0.6, max(ticks, default=1) + 0.6)
    axes.grid(axis="y")


def _heads(names: Mapping[str, str]) -> dict[str, str]:
    """Shorten names of groups that stand side by side: to the first word where that tells them apart, else cut."""
    if len(names) < 2:
        return {group: clip_text(name, 2 * HEAD) for group, name in names.items()}
    first = {group: name.split()[0] if len(name) > HEAD else name for group, name in names.items()}
    kept = first if len(set(first.values())) == len(first) else names
    return {group: clip_text(name, HEAD) for group, name in kept.items()}


def patient_line(axes: Axes, places: ArrayLike, heights: ArrayLike, style: GroupStyle, patient: str) -> None:
    """Draw the samples of a patient as points of its group, joined by a line.

    Parameters
    ----------
    axes
        Where to draw.
    places, heights
        (samples,) places, and values in units of the axis.
    style
        Style of the patient's group.
    patient
        Id, by which the line is known in an SVG.
    """
    axes.plot(
        places,
        heights,
        linestyle=style.linestyle,
        marker=style.marker,
        color=style.colour,
        markersize=3.6,
        linewidth=0.9,
        alpha=0.75,
        markeredgecolor="white",
        markeredgewidth=0.4,
        gid=f"patient:{patient}",
    )


def label_groups(axes: Axes, values: pd.DataFrame, study: Mapping[str, Any]) -> None:
    """Give an axes the key of its groups: name and patients of each.

    Parameters
    ----------
    axes
        Where nothing but the key's handles is added.
    values
        One row per patient and number: ``patient``, ``response``.
    study
        Facts of the cohort.
    """
    counts = values.assign(response=values["response"].fillna("")).groupby("response")["patient"].nunique()
    for name, style in group_styles(group for group in GROUPS if group in counts).items():
        label = f"{shown(study, name)} n = {counts[name]}"
        axes.plot([], [], style.linestyle, marker=style.marker, color=style.colour, label=label, markersize=4)


def _draw_patient(axes: Axes, row: Mapping[Any, Any], places: np.ndarray, style: GroupStyle, intervals: bool) -> None:
    names = ("before", "after")[: len(places)]
    heights = [row[name] for name in names]
    patient_line(axes, places, heights, style, str(row["patient"]))
    if not intervals:
        return
    for place, name in zip(places, names, strict=True):
        if np.isfinite([row[f"{name}_low"], row[f"{name}_high"]]).all():
            axes.vlines(place, row[f"{name}_low"], row[f"{name}_high"], color=style.colour, linewidth=0.8, alpha=0.55)


def _spread(count: int) -> np.ndarray:
    """Shift points sideways by a fixed pattern, so that equal tables give equal figures."""
    return (np.arange(count) * 0.618) % 1 * 0.5 - 0.25


def _tick(name: str) -> str:
    return "\n".join(clip_text(part, 11) for part in textwrap.wrap(name, 11, break_on_hyphens=False)[:2])


def panel_heading(axes: Axes, name: str, row: Mapping[Any, Any]) -> None:
    """Write what a panel shows and what the contrasts table says of it; grey it when it was not tested.

    Parameters
    ----------
    axes
        Panel with group names above its frame.
    name
        Display name.
    row
        Row of a contrasts table.
    """
    text = f"{format_effect(row)}\np = {format_p(row['p'])}, p maxT = {format_p(row['p_maxt'])}".replace("= <", "<")
    if row["status"] != "tested":
        text = "\n" + str(row["status"]).replace("_", " ")
        axes.set_facecolor("#F4F4F4")
    place = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(text, xytext=(0, 12), fontsize=6.8, color=MUTED, **place)  # type: ignore[arg-type]
    axes.annotate(name, xytext=(0, 32), fontsize=8.5, fontweight="bold", **place)  # type: ignore[arg-type]


def forest_rows(axes: Axes, table: pd.DataFrame, *, show_mde: bool) -> None:
    """Draw effects with intervals, one row each from the top; unbounded or cut intervals end in arrows.

    Parameters
    ----------
    axes
        Where to draw.
    table
        ``effect``, ``ci_low``, ``ci_high``, ``mde``, ``status``; rows not tested are grey, and drawn
        only where they have an effect.
    show_mde
        Whether a band shows the detectable effect.
    """
    limit = _limit(table, show_mde)
    for height, row in enumerate(table.to_dict("records")):
        tested = row["status"] == "tested"
        if show_mde and tested and np.isfinite(row["mde"]):
            reach = min(row["mde"], limit)
            axes.barh(height, 2 * reach, left=-reach, height=0.78, color="#ECE7DA", zorder=0, gid="mde")
        if np.isfinite(row["effect"]):
            _draw_effect(axes, height, row, limit, INK if tested else FAINT)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(axis="x")


def _draw_effect(axes: Axes, height: float, row: Mapping[Any, Any], limit: float, colour: str) -> None:
    low, high = row["ci_low"], row["ci_high"]
    draw_interval(axes, height, row, limit, colour, width=1.5)
    excludes = low > 0 or high < 0
    axes.plot(
        np.clip(row["effect"], -limit, limit),
        height,
        marker="o",
        markersize=6,
        color=colour,
        zorder=3,
        markerfacecolor=colour if excludes else "white",
        markeredgewidth=1.3,
        gid="effect",
    )


def draw_interval(
    axes: Axes, height: float, row: Mapping[Any, Any], limit: float, colour: str, *, width: float
) -> None:
    """Draw an interval as a line; a bound beyond the axis ends in an arrow.

    Parameters
    ----------
    axes
        Whose x axis ends at ``limit`` on both sides.
    height
        Row.
    row
        ``ci_low``, ``ci_high``.
    limit
        End of the axis.
    colour
        Hex colour.
    width
        Of the line, in points.
    """
    low, high = row["ci_low"], row["ci_high"]
    if np.isnan(low) or np.isnan(high):
        return
    axes.hlines(height, max(low, -limit), min(high, limit), color=colour, linewidth=width, gid="interval")
    for bound, end, marker in ((low, -limit, "<"), (high, limit, ">")):
        if abs(bound) > limit:
            axes.plot(0.985 * end, height, marker=marker, color=colour, markersize=5, clip_on=False, gid="arrow")


def _limit(table: pd.DataFrame, show_mde: bool) -> float:
    """Reach of the axis: every effect, and the intervals unless one is much wider than the rest."""
    effects = table["effect"].abs()
    mde = (
        table.loc[(table["status"] == "tested") & np.isfinite(table["mde"]), "mde"]
        if show_mde
        else pd.Series(dtype=float)
    )
    usual = max(effects.max(skipna=True) if effects.notna().any() else 0.0, mde.median() if len(mde) else 0.0)
    reach = reach_of(usual, pd.concat([table["ci_low"], table["ci_high"]]), most=3)
    return 1.12 * reach if reach > 0 else 1.0


def forest_columns(axes: Axes, table: pd.DataFrame, interval: str) -> None:
    """Print n, effect, interval and p beside forest rows; rows not tested say why.

    Parameters
    ----------
    axes
        Shares its y axis with the forest.
    table
        Rows of a contrasts table.
    interval
        Name of the interval.
    """
    places = {"n": 0.02, f"effect [{interval}]": 0.17, "p": 0.68, "p maxT": 0.85}
    for name, place in places.items():
        axes.text(place, -0.62, name, fontsize=7.5, fontweight="bold", va="bottom", color=MUTED)
    for height, row in enumerate(table.to_dict("records")):
        n = patients_of(row)
        texts = [n, format_effect(row), format_p(row["p"]), format_p(row["p_maxt"])]
        if row["status"] != "tested":
            reason = str(row["status"]).replace("_", " ")
            note = str(row["note"] or "") if pd.notna(row["note"]) else ""
            texts = [n, clip_text(f"{reason}: {note}" if note else reason, 74)]
        for place, text in zip(places.values(), texts, strict=False):
            axes.text(
                place,
                height,
                text,
                va="center",
                fontsize=7.5,
                color=INK if row["status"] == "tested" else MUTED,
            )
    axes.set_xlim(0, 1)
    axes.set_axis_off()


def stacked_rows(axes: Axes, shares: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw one horizontal bar per row, in parts that add up to its total.

    Parameters
    ----------
    axes
        Where to draw; rows run from the top.
    shares
        Rows x parts, in percent.
    colours
        Part -> colour.
    """
    start = np.zeros(len(shares))
    rows = np.arange(len(shares))
    for part in shares.columns:
        width = shares[part].fillna(0).to_numpy(dtype=float)
        axes.barh(rows, width, left=start, height=0.86, color=colours[str(part)], label=str(part), linewidth=0)
        start += width
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def label_clusters_on_data(
    axes: Axes,
    table: pd.DataFrame,
    names: Mapping[str, str],
    colours: Mapping[str, str],
    *,
    fontsize: float = 7.5,
) -> None:
    """Write each label at the middle of its cells, moved apart where labels would cover each other.

    A label that would hide all of its cells stands beside them instead.

    Parameters
    ----------
    axes
        With the cells drawn and its limits final once the figure is laid out.
    table
        ``umap_1``, ``umap_2``, ``label``.
    names, colours
        Of each label.
    fontsize
        Of the labels, in points.
    """
    centres = table.groupby("label", observed=True, sort=True)[["umap_1", "umap_2"]].median()
    anchors = pd.DataFrame([_nearest(table[table["label"] == label], middle) for label, middle in centres.iterrows()])
    texts = []
    for label, (x, y) in zip(centres.index, anchors.to_numpy(), strict=True):
        box = {
            "boxstyle": "round,pad=0.22",
            "facecolor": colours[label],
            "edgecolor": "white",
            "linewidth": 0.8,
            "alpha": 0.93,
        }
        text = axes.text(
            x,
            y,
            names[label],
            ha="center",
            va="center",
            fontsize=fontsize,
            fontweight="bold",
            color=text_on(colours[label]),
            bbox=box,
            gid="cluster_label",
            zorder=5,
        )
        texts.append(text)
    if texts:
        groups = [table.loc[table["label"] == label, ["umap_1", "umap_2"]].to_numpy() for label in centres.index]
        _uncover(axes, texts, groups)
        _move_apart(axes, texts, anchors.to_numpy())


def _uncover(axes: Axes, texts: Sequence[Any], groups: Sequence[np.ndarray]) -> None:
    """Put each text that is larger than the bulk of its cells beside them, where it hides fewest cells of others."""
    figure: Figure = axes.figure  # type: ignore[assignment]
    figure.draw_without_rendering()
    everything = axes.transData.transform(np.concatenate(groups))
    to_data = axes.transData.inverted()
    for text, cells in zip(texts, groups, strict=True):
        # A few cells far off do not show where the group is.
        low, high = np.quantile(axes.transData.transform(cells), [0.05, 0.95], axis=0)
        extent = text.get_window_extent()
        size = np.array([extent.width, extent.height])
        if (high - low < 1.2 * size).all():
            shift = (high - low) / 2 + np.array([0.55, 0.9]) * size
            places = (low + high) / 2 + shift * np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])
            hidden = [(np.abs(everything - place) < size / 2).all(axis=1).sum() for place in places]
            text.set_position(to_data.transform(places[int(np.argmin(hidden))]))


def _nearest(cells: pd.DataFrame, middle: pd.Series) -> np.ndarray:
    """Take the cell closest to the middle: the middle of a crescent lies outside it."""
    points = cells[["umap_1", "umap_2"]].to_numpy()
    return points[((points - middle.to_numpy()) ** 2).sum(axis=1).argmin()]


def _move_apart(axes: Axes, texts: Sequence[Any], homes: np.ndarray) -> None:
    """Push texts apart, and lead those that end up far from their cells back to them."""
    figure: Figure = axes.figure  # type: ignore[assignment]
    figure.draw_without_rendering()
    extents = [text.get_window_extent() for text in texts]
    centres = np.array([[(e.x0 + e.x1) / 2, (e.y0 + e.y1) / 2] for e in extents])
    # The box around a text reaches 0.22 of the font size beyond it on each side; a gap besides.
    margin = 2 * 0.22 * texts[0].get_fontsize() * figure.dpi / 72 + 6
    sizes = np.array([[e.width, e.height] for e in extents]) + margin
    frame = axes.get_window_extent()
    moved = spread_boxes(centres, sizes, (frame.x0, frame.y0, frame.x1, frame.y1))
    inverse = axes.transData.inverted()
    for text, home, new, size in zip(texts, axes.transData.transform(homes), moved, sizes, strict=True):
        text.set_position(inverse.transform(new))
        if np.abs(new - home).max() > size[1]:
            ends = inverse.transform([home, new])
            axes.plot(ends[:, 0], ends[:, 1], color=INK, linewidth=0.7, zorder=4, gid="leader")


def spread_boxes(
    centres: np.ndarray, sizes: np.ndarray, limits: tuple[float, float, float, float], *, rounds: int = 400
) -> np.ndarray:
    """Push boxes apart until none overlaps, staying inside the limits.

    Parameters
    ----------
    centres, sizes
        (boxes, 2) x and y, in one unit.
    limits
        Left, bottom, right, top.
    rounds
        Sweeps over all pairs at most.

    Returns
    -------
    numpy.ndarray
        (boxes, 2) new centres.
    """
    places = np.array(centres, dtype=float)
    half = np.asarray(sizes, dtype=float) / 2
    low, high = np.array(limits[:2]) + half, np.array(limits[2:]) - half
    for _ in range(rounds):
        moved = _push_pairs(places, half)
        places = np.clip(places, low, np.maximum(low, high))
        if not moved:
            break
    return places


def _push_pairs(places: np.ndarray, half: np.ndarray) -> bool:
    """Move each overlapping pair apart along the axis that needs less; tell whether any moved."""
    moved = False
    for first in range(len(places)):
        for second in range(first + 1, len(places)):
            gap = places[second] - places[first]
            overlap = half[first] + half[second] - np.abs(gap)
            if (overlap > 0.01).all():
                axis = int(np.argmin(overlap))
                step = (overlap[axis] / 2 + 0.5) * (1 if gap[axis] >= 0 else -1)
                places[first, axis] -= step
                places[second, axis] += step
                moved = True
    return moved
