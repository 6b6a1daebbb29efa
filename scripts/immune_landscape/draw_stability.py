"""How stable clusters are at each resolution, and which resolution was taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import counted, shown_parent
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import CYCLE, INK, MUTED, WARNING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 260
"""Area in square points of a cluster that holds half of the cells."""
SMALLEST = 5
STABLE, UNSTABLE, BAND = CYCLE[0], CYCLE[5], "#E8EEF4"
ARI = {"ari_seeds": ("other seeds", CYCLE[1], "s", "--"), "ari_subsamples": ("subsamples", CYCLE[0], "o", "-")}


@styled
def draw_stability(stability: pd.DataFrame, jaccard: pd.DataFrame, branch: str, study: Mapping[str, Any]) -> Figure:
    """Draw number of clusters, agreement of clusterings and Jaccard index of each cluster, by resolution.

    Parameters
    ----------
    stability, jaccard
        Tables of `cluster_cells.cluster_cells`.
    branch
        ``all``, ``nk`` or ``t``.
    study
        Facts of the cohort; its ``stages`` hold the settings of `cluster_cells`, whose limits are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Three axes that share their columns.
    """
    title = f"Stability of clusters at each resolution: {shown_parent(study, branch)}"
    if stability.empty:
        return empty_figure(title, "There are too few cells for clusters, so all of them make one.", study)
    settings = study["stages"]["cluster_cells"]
    figure = new_figure(
        float(np.clip(0.62 * len(stability) + 1.6, 7.2, 11.5)),
        5.4,
        study,
        title=title,
        subtitle=f"{counted(_cells(jaccard), 'cell')}. {_how_chosen(stability, settings, branch)}",
        footer="Bubble: a cluster, its area the number of cells; above, share of cells in stable clusters. Dotted: "
        "limits of the rule. Subsamples use the neighbours of all cells, so new samples would agree less.",
        key=True,
    )
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[0.7, 1, 1.5])
    _draw_counts(panels[0], stability)
    _draw_agreement(panels[1], stability, settings["min_ari"])
    _draw_clusters(panels[2], stability, jaccard, settings["min_jaccard"])
    _finish(panels, stability)
    draw_key(figure, panels)
    return figure


def _cells(jaccard: pd.DataFrame) -> int:
    """Count the cells that each resolution deals to clusters."""
    return int(jaccard.groupby("resolution")["cells"].sum().iloc[0])


def _how_chosen(stability: pd.DataFrame, settings: Mapping[str, Any], branch: str) -> str:
    row = stability[stability["chosen"]].iloc[0]
    taken = f"Resolution {row['resolution']:g} ({row['clusters']} clusters)"
    limits = (
        f"adjusted Rand index over subsamples of {settings['min_ari']:g} or more, and at least "
        f"{100 * settings['min_stable_share']:g}% of the cells in clusters with a Jaccard index of "
        f"{settings['min_jaccard']:g} or more"
    )
    within = row["ari_subsamples"] >= settings["min_ari"] and row["stable_share"] >= settings["min_stable_share"]
    if settings["resolution"][branch] == "auto":
        if not within:
            return f"{taken} is the lowest, as at none are the clusters stable: {limits}."
        return f"{taken} follows the rule: the highest with an {limits}."
    return f"{taken} was set; it is {'within' if within else 'not within'} the limits of the rule: {limits}."


def _draw_counts(axes: Axes, stability: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(len(stability))
    axes.plot(places, stability["clusters"], "o-", color=INK, markersize=3.5, linewidth=0.9)
    for place, count in zip(places, stability["clusters"], strict=True):
        text: dict[str, Any] = {
            "xytext": (0, 4),
            "textcoords": "offset points",
            "ha": "center",
            "va": "bottom",
            "fontsize": 7.5,
        }
        axes.annotate(str(count), (place, count), **text)
    axes.set_ylim(0, 1.35 * stability["clusters"].max())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylabel("Clusters")


def _draw_agreement(axes: Axes, stability: pd.DataFrame, limit: float) -> None:
    places = np.arange(len(stability))
    for column, (name, colour, marker, line) in ARI.items():
        style: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "linestyle": line,
            "markersize": 4,
            "linewidth": 1.1,
        }
        axes.plot(places, stability[column], label=name, **style)
    axes.axhline(limit, color=MUTED, linestyle=":", linewidth=1.1, gid="limit")
    axes.set_ylim(min(0.45, stability[list(ARI)].min().min() - 0.05), 1.04)
    axes.set_ylabel("Adjusted\nRand index")


def _draw_clusters(axes: Axes, stability: pd.DataFrame, jaccard: pd.DataFrame, limit: float) -> None:
    place = {value: at for at, value in enumerate(stability["resolution"])}
    stable = jaccard["jaccard"].to_numpy(dtype=float) >= limit
    across = jaccard["resolution"].map(place).to_numpy(dtype=float) + _spread(jaccard)
    largest = 0.5 * jaccard.groupby("resolution")["cells"].transform("sum")
    areas = np.maximum(SMALLEST, LARGEST * (jaccard["cells"] / largest).to_numpy(dtype=float))
    edges: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.5, "alpha": 0.75, "clip_on": False}
    for name, colour, chosen in (("stable cluster", STABLE, stable), ("unstable cluster", UNSTABLE, ~stable)):
        heights = jaccard.loc[chosen, "jaccard"]
        axes.scatter(across[chosen], heights, s=areas[chosen], color=colour, gid="clusters", **edges)
        axes.scatter([], [], s=28, color=colour, alpha=0.75, label=name)
    axes.axhline(limit, color=MUTED, linestyle=":", linewidth=1.1, gid="limit")
    for at, share in enumerate(stability["stable_share"]):
        axes.text(at, 1.13, f"{share:.0%}", ha="center", va="bottom", fontsize=7.5, color=MUTED)
    axes.set_ylim(-0.06, 1.27)
    axes.set_yticks(np.linspace(0, 1, 5))
    axes.set_ylabel("Jaccard index\nof each cluster")
    axes.set_xlabel("Leiden resolution")


def _spread(jaccard: pd.DataFrame) -> np.ndarray:
    """Shift the clusters of a resolution sideways by a fixed pattern."""
    number = jaccard.groupby("resolution").cumcount().to_numpy()
    return (number * 0.618 + 0.5) % 1 * 0.6 - 0.3


def _finish(panels: np.ndarray, stability: pd.DataFrame) -> None:
    chosen = int(np.flatnonzero(stability["chosen"])[0])
    for axes in panels:
        axes.axvspan(chosen - 0.45, chosen + 0.45, color=BAND, zorder=0, linewidth=0, gid="chosen")
        axes.grid(axis="y")
    text: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "fontsize": 7.5}
    panels[0].annotate("taken", (chosen, 1.0), color=WARNING, fontweight="bold", **text)
    panels[-1].set_xticks(range(len(stability)), [f"{value:g}" for value in stability["resolution"]])
    panels[-1].set_xlim(-0.6, len(stability) - 0.4)
