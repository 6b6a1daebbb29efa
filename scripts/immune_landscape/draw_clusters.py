"""What the clusters of a branch are called, and whose cells they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, shown, shown_parent
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.name_clusters import DOUBLET_RICH, NO_STATE
from immune_landscape.palette import INK, MUTED, WARNING, categorical
from immune_landscape.panels import stacked_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACES = {"Cluster": 0.0, "Cells": 0.255, "Label of most cells": 0.275, "Nearest published state": 0.525, "Flag": 0.86}
WITHOUT_STATES = {"Cluster": 0.0, "Cells": 0.38, "Label of most cells": 0.42, "Flag": 0.82}
"""Left ends of the columns of text; numbers end there."""

WIDTHS = 6.6, 4.0, 2.0
TEXTS_WITHOUT_STATES = 4.2
"""Inches of text, patients and batches; and of the text where a branch has no published states."""

FOOTER = (
    "Behind the nearest published state: similarity (correlation of what stands out in the cluster with the markers of "
    "the state) / lead over the second state. In brackets: not clear enough to claim."
)

MAX_TICKS = 45
"""Patients named below the columns; more names would cover each other."""

MAX_KEY = 12
"""Batches told in the key."""

MEANINGS = {
    "one patient": "carried by one patient",
    "one batch": "carried by one batch",
    DOUBLET_RICH: "with the scores of doublets",
}
"""Flag of a cluster -> what the heading says of it."""


@styled
def draw_clusters(
    clusters: pd.DataFrame, shares: pd.DataFrame, branch: str, study: Mapping[str, Any], *, max_patients: int
) -> Figure:
    """Draw the share of each patient and each batch in each cluster, beside its name.

    Parameters
    ----------
    clusters, shares
        As `name_clusters.name_clusters` returns.
    branch
        ``nk`` or ``t``.
    study
        Facts of the cohort.
    max_patients
        Columns at most; beyond, the patients who carry most of some cluster.

    Returns
    -------
    matplotlib.figure.Figure
        Three axes: text, patients, batches.
    """
    title = f"Clusters by patient and batch: {shown_parent(study, branch)}"
    if clusters.empty:
        return empty_figure(title, "This branch has no cells to cluster.", study)
    patients, batches = (_wide(shares[shares["by"] == by], clusters["cluster"]) for by in ("patient", "batch"))
    drawn = patients[_carriers(patients, max_patients)]
    has_states = bool(clusters["similarity"].notna().any())
    widths = WIDTHS if has_states else (TEXTS_WITHOUT_STATES, *WIDTHS[1:])
    figure = new_figure(
        sum(widths),
        0.27 * len(clusters) + 1.15,
        study,
        title=title,
        subtitle=_subtitle(clusters, patients, drawn),
        footer=FOOTER if has_states else "",
        key=1 < batches.shape[1] <= MAX_KEY,
    )
    grid = figure.add_gridspec(1, 3, width_ratios=widths)
    axes = [figure.add_subplot(grid[at]) for at in range(3)]
    _write_names(axes[0], clusters, study, PLACES if has_states else WITHOUT_STATES)
    _draw_patients(figure, axes[1], drawn)
    _draw_batches(axes[2], batches)
    if 1 < batches.shape[1] <= MAX_KEY:
        draw_key(figure, [axes[2]])
    return figure


def _wide(shares: pd.DataFrame, order: pd.Series) -> pd.DataFrame:
    """Clusters x patients or batches: share of the cluster's cells."""
    table = shares.pivot_table(index="cluster", columns="item", values="share")
    return table.rename(columns=str).loc[order].fillna(0)


def _carriers(patients: pd.DataFrame, max_patients: int) -> list[str]:
    """Patients by name, or those with the largest share of any cluster where there are too many."""
    largest = patients.max().sort_values(ascending=False, kind="stable").index[:max_patients]
    return sorted(map(str, largest))


def _subtitle(clusters: pd.DataFrame, patients: pd.DataFrame, drawn: pd.DataFrame) -> str:
    cells, people = counted(int(clusters["cells"].sum()), "cell"), counted(patients.shape[1], "patient")
    text = f"{cells} of {people} in {counted(len(clusters), 'cluster')}."
    if drawn.shape[1] < patients.shape[1]:
        text += f" Columns: the {drawn.shape[1]} patients with the largest shares."
    flags = clusters["flag"].astype(str)
    reasons = flags[flags != ""].str.split(", ").explode().value_counts(sort=False)
    if reasons.empty:
        return f"{text} None flagged."
    told = ", ".join(f"{counted(int(count), 'cluster')} {MEANINGS[str(reason)]}" for reason, count in reasons.items())
    return f"{text} Flagged: {told}."


def _write_names(axes: Axes, clusters: pd.DataFrame, study: Mapping[str, Any], places: Mapping[str, float]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(clusters) - 0.5, -0.5)
    for heading, place in places.items():
        side = "right" if heading == "Cells" else "left"
        axes.text(place, -0.75, heading, ha=side, va="bottom", fontsize=7.5, fontweight="bold", color=MUTED)
    for height, row in enumerate(clusters.to_dict("records")):
        colour = WARNING if row["flag"] else INK
        texts = {
            "Cluster": clip_text(str(row["name"]), 17),
            "Cells": f"{row['cells']:,}",
            "Label of most cells": clip_text(shown(study, row["subset"]), 24),
            "Nearest published state": _state(row, study),
            "Flag": _reasons(row),
        }
        for heading, place in places.items():
            side = "right" if heading == "Cells" else "left"
            weight = "bold" if heading == "Cluster" else "normal"
            size = 6.3 if "\n" in texts[heading] else 7.5
            style: dict[str, Any] = {"fontsize": size, "color": colour, "fontweight": weight, "linespacing": 1.0}
            axes.text(place, height, texts[heading], ha=side, va="center", **style)


def _state(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    """Name the nearest state with its similarity and margin; in brackets where it is not claimed."""
    if not np.isfinite(row["similarity"]):
        return "–"
    name = clip_text(shown(study, row["nearest"]), 23)
    name = f"({name})" if row["state"] == NO_STATE else name
    return f"{name}  {row['similarity']:.2f} / {row['margin']:.2f}"


def _reasons(row: Mapping[Any, Any]) -> str:
    """Tell why a cluster is flagged, one reason a line."""
    return "\n".join(_reason(row, flag) for flag in str(row["flag"]).split(", ") if flag)


def _reason(row: Mapping[Any, Any], flag: str) -> str:
    """Tell who carries a cluster, or what share of its cells have the scores of doublets."""
    if flag == DOUBLET_RICH:
        return f"doublets {row['doublet_share']:.0%}"
    by = flag.removeprefix("one ")
    return f"{clip_text(str(row[f'largest_{by}']), 10)} {row[f'largest_{by}_share']:.0%}"


def _draw_patients(figure: Figure, axes: Axes, shares: pd.DataFrame) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("share", ["#F7F7F7", "#7DB9DE", "#0B2545"])
    top = max(float(shares.to_numpy().max()), 0.2)
    image = axes.imshow(100 * shares, aspect="auto", cmap=colours, vmin=0, vmax=100 * top, interpolation="nearest")
    axes.set_yticks([])
    if shares.shape[1] <= MAX_TICKS:
        size = 6.5 if shares.shape[1] <= 26 else 4.8
        names = [clip_text(name, 12) for name in shares.columns]
        axes.set_xticks(range(shares.shape[1]), names, rotation=90, fontsize=size)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{shares.shape[1]} patients")
    axes.set_title("Patients")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=14, pad=0.01)
    bar.set_label("% of the cluster's cells", fontsize=7)
    bar.outline.set_visible(False)


def _draw_batches(axes: Axes, shares: pd.DataFrame) -> None:
    count = shares.shape[1]
    stacked_rows(axes, 100 * shares, dict(zip(shares.columns, categorical(count), strict=True)))
    axes.set_yticks([])
    axes.set_title("One batch" if count == 1 else "Batches" if count <= MAX_KEY else f"{count} batches")
    axes.set_xlabel("% of the cluster's cells")
