"""What all figures share: style, page frame, simulated mark, numbers as text, writing to disk."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pandas as pd

from immune_landscape.cell_types import name_of
from immune_landscape.palette import FAINT, INK, MUTED, WARNING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so figures look alike on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8A8A8A",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "text.color": INK,
    "text.parse_math": False,  # display names are the user's; a dollar sign in one is no formula
    "svg.hashsalt": "immune-landscape",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

DPI = 150
METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Dates and versions stay out of files, so that equal figures are equal bytes."""

CHARACTERS_PER_INCH = {12: 9.6, 8.5: 15.8, 7.5: 18.0}
"""By font size; on the safe side, as a frame is made before a renderer can measure text."""

SIMULATED = "SIMULATED DATA"
PARENTS = {"all": "All cells", "cells": "All cells", "nk": "NK cells", "t": "T cells"}
NAMES = {
    "responder": "Responders",
    "non_responder": "Non-responders",
    "": "Response not recorded",
    "all": "All patients",
    "gex": "Gene expression",
    "tcr": "Single-cell TCR",
    "bulk_tcr": "Bulk TCR",
    "unassigned": "Unassigned",
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Run a drawing function under the project's style, leaving matplotlib's settings as they were.

    Parameters
    ----------
    draw
        Function that makes a figure.

    Returns
    -------
    Callable
        With the same signature.
    """

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib as mpl

        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def new_figure(
    width: float,
    height: float,
    study: Mapping[str, Any],
    *,
    title: str,
    subtitle: str = "",
    footer: str = "",
    key: bool = False,
) -> Figure:
    """Make a page with a heading, room for panels, and notes below.

    Parameters
    ----------
    width, height
        Inches; the height is that of the panels, heading and notes are added.
    study
        Facts of the cohort; ``simulated`` puts the mark on the page.
    title, subtitle, footer
        Wrapped to the width.
    key
        Whether to leave a line free for `draw_key`.

    Returns
    -------
    matplotlib.figure.Figure
        With constrained layout inside the frame.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heads, lines = _wrapped(title, width - 1.7, 12), _wrapped(subtitle, width - 0.3, 8.5)
    notes = _wrapped(footer, width - 0.3, 7.5)
    top = 0.16 + 0.21 * len(heads) + 0.16 * len(lines) + 0.04
    bottom = 0.13 + 0.15 * len(notes) if notes else 0.06
    line = 0.24 if key else 0.0
    total = top + height + bottom + line
    figure = Figure(figsize=(width, total), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.set_layout_engine(
        "constrained", rect=(0.004, (bottom + line) / total, 0.99, height / total), w_pad=0.05, h_pad=0.05
    )
    left = 0.1 / width
    place: dict[str, Any] = {"ha": "left", "va": "top", "linespacing": 1.25}
    figure.text(left, 1 - 0.09 / total, "\n".join(heads), fontsize=12, fontweight="bold", **place)
    below = 1 - (0.12 + 0.21 * len(heads)) / total
    figure.text(left, below, "\n".join(lines), fontsize=8.5, color=MUTED, **place)
    figure.text(left, bottom / total - 0.03 / total, "\n".join(notes), fontsize=7.5, color=MUTED, **place)
    if study.get("simulated"):
        watermark_simulated(figure)
    return figure


def draw_key(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put the labelled artists of some axes into one line below the panels.

    Parameters
    ----------
    figure
        Made with ``key=True``.
    axes
        Whose labels to show.
    """
    found = dict(zip(*reversed(_labelled(axes)), strict=True))
    engine = figure.get_layout_engine()
    _, bottom, _, _ = engine.get()["rect"] if engine else (0, 0, 1, 1)
    key = figure.legend(
        list(found.values()),
        list(found),
        loc="upper left",
        bbox_to_anchor=(0.0, bottom),
        ncols=max(len(found), 1),
        handlelength=1.6,
        columnspacing=1.2,
        handletextpad=0.4,
        borderpad=0.2,
    )
    key.set_in_layout(False)


def _labelled(axes: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    pairs = [pair for each in axes for pair in zip(*each.get_legend_handles_labels(), strict=True)]
    return [handle for handle, _ in pairs], [text for _, text in pairs]


def watermark_simulated(figure: Figure) -> None:
    """Print the mark of simulated data in the upper right corner, clear of the title.

    Parameters
    ----------
    figure
        Changed in place.
    """
    width, height = figure.get_size_inches()
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": WARNING, "linewidth": 1.0}
    figure.text(
        1 - 0.14 / width,
        1 - 0.13 / height,
        SIMULATED,
        ha="right",
        va="top",
        fontsize=8,
        fontweight="bold",
        color=WARNING,
        bbox=box,
        gid="simulated",
    )


@styled
def empty_figure(title: str, reason: str, study: Mapping[str, Any]) -> Figure:
    """Make a figure that says why there is nothing to draw.

    Parameters
    ----------
    title
        Heading.
    reason
        Full sentence.
    study
        Facts of the cohort.

    Returns
    -------
    matplotlib.figure.Figure
        Without axes lines.
    """
    figure = new_figure(8, 1.4, study, title=title)
    axes = figure.add_subplot()
    axes.set_axis_off()
    text = "\n".join(textwrap.wrap(reason, 95))
    box = {"boxstyle": "round,pad=0.8", "facecolor": "#F5F5F5", "edgecolor": FAINT}
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, color=MUTED, bbox=box, transform=axes.transAxes)
    return figure


def write_figures(drawn: Figure | Mapping[str, Figure], paths: Iterable[str | Path], study: Mapping[str, Any]) -> None:
    """Write figures without dates in the files; the suffix picks the format, the stem the figure.

    Parameters
    ----------
    drawn
        One figure for all paths, or figures by file stem.
    paths
        Targets. A stem without a figure gets a page that says so.
    study
        Facts of the cohort.
    """
    import matplotlib as mpl

    for path in map(Path, paths):
        if isinstance(drawn, Mapping):
            reason = f"The tables hold nothing to draw for {path.stem}."
            figure = drawn.get(path.stem) or empty_figure(path.stem, reason, study)
        else:
            figure = drawn
        with mpl.rc_context(STYLE):
            figure.savefig(path, dpi=DPI, metadata=METADATA.get(path.suffix, {}))


def shown(study: Mapping[str, Any], slug: str) -> str:
    """Return the display name of a visit, tissue, group, arm or cell type.

    Parameters
    ----------
    study
        Facts of the cohort; its ``labels`` win.
    slug
        Value as in the tables.

    Returns
    -------
    str
        One line of text.
    """
    labels = study.get("labels") or {}
    if slug in labels:
        return str(labels[slug])
    if slug in NAMES:
        return NAMES[slug]
    named = name_of(slug)
    return named if named != slug else slug.replace("_", " ").strip().capitalize() if slug.islower() else slug


def shown_parent(study: Mapping[str, Any], parent: str) -> str:
    """Return the display name of a denominator.

    Parameters
    ----------
    study
        Facts of the cohort.
    parent
        ``all``, ``cells``, ``nk``, ``t`` or another branch.

    Returns
    -------
    str
        Such as ``NK cells``.
    """
    return PARENTS.get(parent) or shown(study, parent)


def interval_name(study: Mapping[str, Any]) -> str:
    """Return what intervals are called, at the level that the study uses.

    Parameters
    ----------
    study
        Facts of the cohort; ``alpha`` where known.

    Returns
    -------
    str
        Such as ``95 % CI``.
    """
    alpha = study.get("alpha")
    return "confidence interval" if alpha is None else f"{100 * (1 - float(alpha)):g} % CI"


def sentence(text: str) -> str:
    """Begin a text with a capital, leaving the rest as it is.

    Parameters
    ----------
    text
        Such as the question of a contrast.

    Returns
    -------
    str
        The text.
    """
    return text[:1].upper() + text[1:]


def count_text(counts: Mapping[str, int], study: Mapping[str, Any]) -> str:
    """Write the number of patients of each group.

    Parameters
    ----------
    counts
        Group -> patients.
    study
        Facts of the cohort.

    Returns
    -------
    str
        Such as ``Responders n = 6, Non-responders n = 13``.
    """
    return ", ".join(f"{shown(study, group)} n = {count}" for group, count in counts.items())


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    Parameters
    ----------
    count
        How many.
    noun
        Singular whose plural takes an s.

    Returns
    -------
    str
        Such as ``1 sample`` or ``1,200 cells``.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_p(value: float) -> str:
    """Write a p value: never 0, never with false precision.

    Parameters
    ----------
    value
        p, or NaN.

    Returns
    -------
    str
        Such as ``0.034`` or ``< 0.0001``; an en dash when missing.
    """
    if pd.isna(value):
        return "–"
    if value < 1e-4:
        return "< 0.0001"
    return f"{value:.2g}" if value < 0.01 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def format_number(value: float, digits: int = 2) -> str:
    """Write an effect or a bound with its sign.

    Parameters
    ----------
    value
        Number, infinite or NaN.
    digits
        Decimals.

    Returns
    -------
    str
        With a true minus sign.
    """
    if pd.isna(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:+,.{digits}f}".replace("-", "−")


def format_effect(row: Mapping[Any, Any]) -> str:
    """Write an effect with its interval.

    Parameters
    ----------
    row
        ``effect``, ``ci_low``, ``ci_high``.

    Returns
    -------
    str
        Such as ``+0.85 [+0.21, +1.49]``.
    """
    if pd.isna(row["effect"]):
        return "–"
    bounds = [row["ci_low"], row["ci_high"]]
    digits = decimals([row["effect"], *bounds])
    effect = format_number(row["effect"], digits)
    if pd.isna(bounds).all():
        return effect
    return f"{effect} [{', '.join(format_number(bound, digits) for bound in bounds)}]"


def decimals(values: Iterable[float]) -> int:
    """Choose decimals for numbers shown together: two, more when all are small, none when large.

    Parameters
    ----------
    values
        Numbers; those that are not finite do not count.

    Returns
    -------
    int
        0 to 4.
    """
    largest = max((abs(value) for value in values if not pd.isna(value) and not math.isinf(value)), default=1.0)
    return 0 if largest >= 100 else 2 if largest >= 0.2 else 3 if largest >= 0.02 else 4


def clip_text(text: str, length: int) -> str:
    """Cut a text that is too long for its place.

    Parameters
    ----------
    text
        One line.
    length
        Characters at most.

    Returns
    -------
    str
        With an ellipsis when cut.
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Break text into lines that fit a width in inches."""
    return textwrap.wrap(text, int(width * CHARACTERS_PER_INCH[size]))
