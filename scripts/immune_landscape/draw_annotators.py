"""Confusion of two annotators: lineages, NK subsets and T subsets on one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types
from immune_landscape.display_text import clip_text, shown
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK
from immune_landscape.receptor_kinds import KINDS, NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T_SUBSETS = ("subset", "t")
PANELS = {("lineage", "all"): "Lineages", ("subset", "nk"): "NK subsets", T_SUBSETS: "T subsets"}
ANNOTATORS = {
    "consensus": "consensus",
    "markers": "markers, cell by cell",
    "by_cluster": "markers, cluster by cluster",
    "reference": "reference",
    "receptor": "T-cell receptor",
}
CELL = 0.29
"""Least side of a cell of the heat map in inches: four digits fit."""

LEAST = 9
"""Columns that a panel is wide at least, for its heading."""

LABELS, HEADS = 1.75, 1.7
"""Inches left of the rows and above the columns for their names."""

DARK = 0.55
"""Share above which a cell is so dark that its count is white."""

KEY = "Colour: share of the row's cells. Numbers: cells. Frames: both give the same label."
NOTE = (
    "Agreement and κ (Cohen) are over the cells that both name; a label agrees with its parent, and a receptor with "
    "every type that can carry it; NK cells carry none, so that their subsets are not compared with receptors. "
    "Unassigned cells are shown but not counted. Cells are no replicates of patients: "
    "this tells how labels were given, not how certain a finding is."
)


@styled
def draw_annotators(
    confusion: pd.DataFrame, agreement: pd.DataFrame, study: Mapping[str, Any], *, rows: str, columns: list[str]
) -> Figure:
    """Draw how one annotator's labels are spread over another's, as shares of each row with counts in the cells.

    Parameters
    ----------
    confusion, agreement
        As `compare_annotators.compare_annotators` returns.
    study
        Facts of the cohort.
    rows
        Annotator whose labels make the rows.
    columns
        Annotators for the columns in order of preference; the first that the cohort has is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        One heat map for each of lineages, NK and T subsets that both annotators name.
    """
    other = next((name for name in columns if name != rows and len(_crossed(confusion, rows, name))), None)
    if other is None:
        return empty_figure("Agreement of annotators", f"No second annotator beside {ANNOTATORS[rows]}.", study)
    crossed, told = _crossed(confusion, rows, other), _crossed(agreement, rows, other)
    found = {panel: _matrix(crossed, panel, (rows, other), study) for panel in PANELS}
    counts = {panel: table for panel, table in found.items() if table.size}
    figure = new_figure(
        *_size(counts),
        study,
        title="Agreement of annotators",
        subtitle=f"Rows: {ANNOTATORS[rows]}. Columns: {ANNOTATORS[other]}. {KEY}",
        footer=NOTE,
    )
    drawn = {panel: _draw_matrix(axes, counts[panel]) for panel, axes in _panels(figure, counts).items()}
    for panel, mesh in drawn.items():
        mesh.axes.set_title(_heading(panel, told), pad=8)
    bar = figure.colorbar(
        next(iter(drawn.values())), ax=figure.axes, location="bottom", shrink=0.25, aspect=30, pad=0.01, anchor=(0, 1)
    )
    bar.set_label("share of the row's cells", fontsize=7)
    bar.outline.set_visible(False)
    return figure


def _crossed(table: pd.DataFrame, rows: str, other: str) -> pd.DataFrame:
    """Return the rows of a table on two annotators, the first of them as `a`."""
    straight = table[(table["annotator_a"] == rows) & (table["annotator_b"] == other)]
    turned = table[(table["annotator_a"] == other) & (table["annotator_b"] == rows)]
    names = {"label_a": "label_b", "label_b": "label_a"}
    return straight if len(straight) else turned.rename(columns=names)


def _matrix(
    crossed: pd.DataFrame, panel: tuple[str, str], annotators: tuple[str, str], study: Mapping[str, Any]
) -> pd.DataFrame:
    """Return cells by display name of either annotator's label, in the order of the cell types."""
    part = crossed[(crossed["level"] == panel[0]) & (crossed["branch"] == panel[1])]
    table = part.pivot_table(index="label_a", columns="label_b", values="cells", aggfunc="sum", fill_value=0)
    rows, columns = (_names(labels, name, study) for labels, name in zip(table.axes, annotators, strict=True))
    return table.reindex(index=list(rows), columns=list(columns)).rename(index=rows, columns=columns).astype(int)


def _names(labels: pd.Index, annotator: str, study: Mapping[str, Any]) -> dict[str, str]:
    """Return label -> display name, in the order of the receptors or cell types."""
    order = KINDS if annotator == "receptor" else list(read_cell_types().index)
    names = {name: NAMES[name] if annotator == "receptor" else shown(study, name) for name in map(str, labels)}
    return {name: clip_text(names[name], 22) for name in sorted(names, key=order.index)}


def _size(counts: Mapping[tuple[str, str], pd.DataFrame]) -> tuple[float, float]:
    """Return width and height that the heat maps need."""
    heights, widths = _ratios(counts)
    return max(7.0, sum(widths) * CELL + LABELS * len(widths)), sum(heights) * CELL + HEADS * len(_left(counts)) + 0.6


def _left(counts: Mapping[tuple[str, str], pd.DataFrame]) -> list[tuple[str, str]]:
    """Return the panels at the left; T subsets, which are most, stand at the right of the others."""
    return [panel for panel in counts if panel != T_SUBSETS] or [T_SUBSETS]


def _ratios(counts: Mapping[tuple[str, str], pd.DataFrame]) -> tuple[list[int], list[int]]:
    """Return rows and columns of cells, by row and column of the page; the last row may be left blank."""
    left = _left(counts)
    heights = [max(len(counts[panel]), 2) for panel in left]
    widths = [max(max(counts[panel].shape[1] for panel in left), LEAST)]
    if T_SUBSETS not in left and T_SUBSETS in counts:
        rows, columns = counts[T_SUBSETS].shape
        heights += [rows - sum(heights)] if rows > sum(heights) else []
        widths.append(max(columns, LEAST))
    return heights, widths


def _panels(figure: Figure, counts: Mapping[tuple[str, str], pd.DataFrame]) -> dict[tuple[str, str], Axes]:
    heights, widths = _ratios(counts)
    grid = figure.add_gridspec(len(heights), len(widths), height_ratios=heights, width_ratios=widths)
    panels = {panel: figure.add_subplot(grid[at, 0]) for at, panel in enumerate(_left(counts))}
    if T_SUBSETS in counts and T_SUBSETS not in panels:
        panels[T_SUBSETS] = figure.add_subplot(grid[:, 1])
    return panels


def _draw_matrix(axes: Axes, counts: pd.DataFrame) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    cells = counts.to_numpy()
    shares = cells / cells.sum(axis=1, keepdims=True)
    colours = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#7DB9DE", "#0B2545"])
    drawn = axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1, edgecolors="#EDEDED", linewidth=0.4)
    for at, across in zip(*np.nonzero(cells), strict=True):
        colour = "white" if shares[at, across] > DARK else INK
        place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6, "gid": "count"}
        axes.text(across + 0.5, at + 0.5, _written(int(cells[at, across])), color=colour, **place)
    _draw_names(axes, counts)
    return drawn


def _draw_names(axes: Axes, counts: pd.DataFrame) -> None:
    """Name rows and columns, and frame the cells where both names are the same."""
    from matplotlib.patches import Rectangle

    for at, row in enumerate(counts.index):
        if row in counts.columns:
            corner = (list(counts.columns).index(row), at)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=0.9, gid="same"))
    names = [f"{name} ({cells:,})" for name, cells in counts.sum(axis=1).items()]
    axes.set_yticks(np.arange(len(counts)) + 0.5, names)
    heads = [str(name) for name in counts.columns]
    axes.set_xticks(np.arange(len(heads)) + 0.5, heads, rotation=45, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.set_ylim(len(counts), 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(FAINT)


def _written(cells: int) -> str:
    return str(cells) if cells < 10_000 else f"{cells / 1000:.0f}k"


def _heading(panel: tuple[str, str], told: pd.DataFrame) -> str:
    """Return the name of a panel with what the agreement table says of it."""
    found = told[(told["level"] == panel[0]) & (told["branch"] == panel[1])]
    if found.empty or not found["cells"].iloc[0]:
        return PANELS[panel]
    row = found.iloc[0]
    kappa = "" if pd.isna(row["kappa"]) else f", κ {row['kappa']:.2f}"
    return f"{PANELS[panel]}\n{100 * row['agree']:.0f} % of {row['cells']:,.0f} cells agree{kappa}"
