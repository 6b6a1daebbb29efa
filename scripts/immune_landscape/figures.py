"""What all figures share: style, page frame, simulated mark, numbers as text, writing to disk."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from immune_landscape.palette import FAINT, INK, MUTED, WARNING
from immune_landscape.store import whole

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
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
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
        """Draw inside the style of all figures."""
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

    settled: list[Figure] = []
    for path in map(Path, paths):
        if isinstance(drawn, Mapping):
            reason = f"The tables hold nothing to draw for {path.stem}."
            figure = drawn.get(path.stem) or empty_figure(path.stem, reason, study)
        else:
            figure = drawn
        with mpl.rc_context(STYLE), whole(path) as part:
            if not any(figure is each for each in settled):
                _settle(figure)
                settled.append(figure)
            figure.savefig(part, dpi=DPI, format=path.suffix[1:], metadata=METADATA.get(path.suffix, {}))


def _settle(figure: Figure) -> None:
    """Fix the axes where the layout put them, rounded: its last digits differ between runs, and with them the file."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # not "none", with which each file would be drawn twice
    for axes in figure.axes:
        left, bottom, width, height = (round(float(value), 4) for value in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Break text into lines that fit a width in inches."""
    return textwrap.wrap(text, int(width * CHARACTERS_PER_INCH[size]))
