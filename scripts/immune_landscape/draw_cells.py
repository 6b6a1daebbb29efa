"""The map of the cells, labelled where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import counted, ordered_visits, shown, shown_parent
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import CYCLE, FAINT, GROUPS, categorical, colours_of, group_styles
from immune_landscape.panels import label_clusters_on_data

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

COLUMNS = ["cell", "sample", "patient", "umap_1", "umap_2", "label", "cluster_name", "visit", "response", "batch"]
MAX_VISITS = 5
"""Small panels of visits at most; more would be too small to read."""

NEAR = 10, 50
"""Fewest and most cells around the middle of a label's cells among which its own are counted."""


def umap_table(clusters: AnnData, labels: pd.DataFrame, design: pd.DataFrame, branch: str) -> pd.DataFrame:
    """Join each cell's place on the map with its label and its sample's facts.

    Parameters
    ----------
    clusters
        As `cluster_cells.cluster_cells` returns: ``obsm['X_umap']``.
    labels
        As `define_labels.define_labels` returns, indexed by cell.
    design
        One row per sample.
    branch
        ``all`` takes lineages as labels, a branch takes subsets.

    Returns
    -------
    pandas.DataFrame
        ``cell, sample, patient, umap_1, umap_2, label, cluster_name`` (empty where clusters have none), ``visit,
        response, batch``, cells without a label left out.
    """
    places = pd.DataFrame(
        np.asarray(clusters.obsm["X_umap"])[:, :2], index=clusters.obs_names, columns=["umap_1", "umap_2"]
    )
    column = "lineage" if branch == "all" else "subset"
    named = labels[["sample", column]].rename(columns={column: "label"})
    named["cluster_name"] = "" if branch == "all" else labels["cluster_name"].fillna("").astype(str)
    table = places.join(named, how="inner").rename_axis("cell").reset_index()
    facts = design.drop_duplicates("sample").reindex(columns=["sample", "patient", "visit", "response", "batch"])
    joined = table.merge(facts.fillna("").astype(str), on="sample", how="left")
    return joined[COLUMNS]


@styled
def draw_cells(
    umap_table: pd.DataFrame,
    branch: str,
    study: Mapping[str, Any],
    *,
    max_points: int,
    point_size: float | None,
    min_own: float,
) -> Figure:
    """Draw the map of cells by label, and small ones by visit, response, batch and cluster.

    A label stands where its cells lie. One whose cells lie scattered among others' has no such place: its cells are
    grey, and it is named with its cells below.

    Parameters
    ----------
    umap_table
        As `umap_table` returns.
    branch
        ``all``, ``nk`` or ``t``.
    study
        Facts of the cohort.
    max_points
        Cells drawn at most; beyond, an even random part of them.
    point_size
        Area of a point in square points; None adapts it to the number of cells.
    min_own
        Share of the cells around the middle of a label's cells that must bear it for it to be written on the map.

    Returns
    -------
    matplotlib.figure.Figure
        One large axes and small ones, all to the same scale in both directions; points are rasterised.
    """
    title = f"Map of cells by {'lineage' if branch == 'all' else 'subset'}: {shown_parent(study, branch)}"
    cells = umap_table[np.isfinite(umap_table["umap_1"]) & np.isfinite(umap_table["umap_2"])]
    if cells.empty:
        return empty_figure(title, f"{len(umap_table)} cells of this branch: too few for a map.", study)
    drawn = cells.sample(min(len(cells), max_points), random_state=0)
    size = point_size if point_size is not None else float(np.clip(45_000 / len(drawn), 0.25, 14))
    scattered = scattered_labels(cells, min_own)
    visits = ordered_visits(cells["visit"], study)
    figure = new_figure(
        11.5,
        6.9,
        study,
        title=title,
        footer=_footer(cells["label"].value_counts().reindex(scattered), study),
        subtitle=_subtitle(umap_table, cells, drawn, len(visits)),
    )
    grid = figure.add_gridspec(1, 2, width_ratios=[6.9, 4.3])
    main = figure.add_subplot(grid[0])
    clusters = bool((drawn["cluster_name"] != "").any())
    others, last = _small_axes(figure, grid[1], len(visits[:MAX_VISITS]) + 1, clusters)
    for axes, visit in zip(others, visits[:MAX_VISITS], strict=False):
        _draw_visit(axes, drawn, cells[cells["visit"] == visit], visit, size, study)
    _draw_batches(others[-1], drawn, size, wide=len(others) % 2 == 1)
    _draw_labels(main, drawn, scattered, size, study)
    if last is not None:
        _draw_clusters(last, drawn, size)
    return figure


def scattered_labels(cells: pd.DataFrame, min_own: float) -> list[str]:
    """List the labels that have no place of their own on the map.

    Parameters
    ----------
    cells
        ``umap_1``, ``umap_2``, ``label``.
    min_own
        As in `draw_cells`.

    Returns
    -------
    list of str
        Labels with less than `min_own` of the cells around the middle of their cells, in sorted order. Around it are
        as many cells as bear the label, within the limits of `NEAR`.
    """
    from scipy.spatial import KDTree

    points, labels = cells[["umap_1", "umap_2"]].to_numpy(), cells["label"].astype(str).to_numpy()
    tree = KDTree(points)
    found = []
    for label in np.unique(labels):
        own = points[labels == label]
        # The middle of a crescent lies outside it; the cell next to the middle does not.
        middle = own[((own - np.median(own, axis=0)) ** 2).sum(axis=1).argmin()]
        _, near = tree.query(middle, min(int(np.clip(len(own), *NEAR)), len(points)))
        if (labels[np.atleast_1d(near)] == label).mean() < min_own:
            found.append(str(label))
    return found


def _small_axes(figure: Figure, place: SubplotSpec, number: int, clusters: bool) -> tuple[list[Axes], Axes | None]:
    """Two panels a row, the last of an odd number in a row of its own, and one below for the clusters."""
    rows = -(-number // 2)
    grid = place.subgridspec(rows + clusters, 2, height_ratios=[1.0] * rows + [1.7] * clusters)
    last = (rows - 1, slice(None)) if number % 2 else (rows - 1, 1)
    places = [(at // 2, at % 2) for at in range(number - 1)]
    panels = [figure.add_subplot(grid[place]) for place in [*places, last]]
    return panels, figure.add_subplot(grid[rows, :]) if clusters else None


def _footer(scattered: pd.Series, study: Mapping[str, Any]) -> str:
    """Name the labels that are not on the map, those of most cells first."""
    text = "UMAP is for orientation: distances and areas on it are not measurements."
    if scattered.empty:
        return text
    counts = scattered.sort_values(ascending=False, kind="stable")
    told = ", ".join(f"{shown(study, str(label))} ({count:,})" for label, count in counts.items())
    return f"Grey, as their cells lie among others': {told}. {text}"


def _subtitle(table: pd.DataFrame, cells: pd.DataFrame, drawn: pd.DataFrame, visits: int) -> str:
    samples, patients = (counted(cells[name].nunique(), name) for name in ("sample", "patient"))
    text = f"{counted(len(cells), 'cell')} in {samples} of {patients}, {counted(cells['label'].nunique(), 'label')}."
    if visits > MAX_VISITS:
        text += f" Small panels: the first {MAX_VISITS} of {visits} visits."
    if len(drawn) < len(cells):
        text += f" {len(drawn):,} drawn at random."
    if len(cells) < len(table):
        text += f" {len(table) - len(cells):,} cells have no place on the map."
    return text


def _draw_labels(axes: Axes, cells: pd.DataFrame, scattered: list[str], size: float, study: Mapping[str, Any]) -> None:
    names = {str(label): shown(study, str(label)) for label in cells["label"].unique()}
    colours = colours_of(sorted(names)) | dict.fromkeys(scattered, FAINT)
    _points(axes, cells, [colours[label] for label in cells["label"]], size)
    label_clusters_on_data(axes, cells[~cells["label"].isin(scattered)], names, colours)


def _draw_visit(
    axes: Axes, drawn: pd.DataFrame, cells: pd.DataFrame, visit: str, size: float, study: Mapping[str, Any]
) -> None:
    """Draw the cells of a visit by response; numbers are of all its cells, drawn or not."""
    here = drawn[drawn["visit"] == visit]
    styles = group_styles(drawn["response"].unique())
    _points(axes, drawn, [FAINT] * len(drawn), size * 0.25)
    _points(axes, here, [styles[group].colour for group in here["response"]], size * 0.4)
    axes.set_title(f"{shown(study, visit)}: {counted(cells['patient'].nunique(), 'patient')}", fontsize=8)
    groups = [group for group in GROUPS if group in styles]
    for at, group in enumerate(groups):
        own = cells[cells["response"] == group]
        who = "" if groups == [""] else f"{own['patient'].nunique()} {shown(study, group).lower()}, "
        text = f"{who}{counted(len(own), 'cell')}"
        axes.text(
            0.0,
            -0.02 - 0.075 * at,
            text,
            fontsize=7,
            color=styles[group].colour,
            va="top",
            transform=axes.transAxes,
        )


def _draw_batches(axes: Axes, cells: pd.DataFrame, size: float, *, wide: bool) -> None:
    batches = sorted(cells["batch"].unique())
    colours = dict(zip(batches, categorical(len(batches)), strict=True))
    _points(axes, cells, [colours[batch] for batch in cells["batch"]], size * 0.4)
    axes.set_title("Batch" if len(batches) > 1 else "One batch", fontsize=8)
    if 1 < len(batches) <= 12:
        handles = [
            axes.plot([], [], "o", color=colours[name], markersize=4, label=name[:14] or "none")[0] for name in batches
        ]
        axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            ncols=6 if wide else 3,
            handletextpad=0,
            columnspacing=0.5,
            borderpad=0,
        )
    elif len(batches) > 12:
        axes.text(0, -0.02, f"{len(batches)} batches", fontsize=7, va="top", transform=axes.transAxes)


def _draw_clusters(axes: Axes, cells: pd.DataFrame, size: float) -> None:
    """Write the names of the clusters where they lie.

    Neighbours in number differ in colour. Beyond the colours that everybody can tell apart they come again.
    """
    named = cells.assign(label=cells["cluster_name"])
    names = sorted(named["label"].unique(), key=_by_number)
    colours = {name: CYCLE[at % len(CYCLE)] for at, name in enumerate(names)}
    _points(axes, named, [colours[name] for name in named["label"]], size * 0.4)
    axes.set_title("Clusters", fontsize=8)
    label_clusters_on_data(axes, named, {name: name for name in names}, colours, fontsize=5.5)


def _by_number(name: str) -> tuple[int, str]:
    """Sort c4-ZEB2 before c10-NCR3."""
    number = name.partition("-")[0].lstrip("c")
    return (int(number) if number.isdigit() else 0, name)


def _points(axes: Axes, cells: pd.DataFrame, colours: list[str], size: float) -> None:
    axes.scatter(cells["umap_1"], cells["umap_2"], c=colours, s=size, linewidths=0, rasterized=True)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.margins(0.03)
    axes.set_aspect("equal", adjustable="datalim")
