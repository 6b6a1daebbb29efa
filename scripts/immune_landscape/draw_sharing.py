"""Clones that patients share, in single cells and in bulk repertoires, and where the alarm begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.clone_sharing import FLAGGED
from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, LAYERS, WARNING, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Clones that patients share"
MARKERS = {"tcr": "o", "bulk_tcr": "s"}
_LEAST = 0.5
"""Height at which no shared clone is drawn, as a logarithm has no place for it."""


@styled
def draw_sharing(pairs: pd.DataFrame, study: Mapping[str, Any], *, names_up_to: int, numbers_up_to: int) -> Figure:
    """Draw the clones of identical nucleotides that every two patients share.

    Parameters
    ----------
    pairs
        First table of `share_clones.share_clones`.
    study
        Facts of the cohort.
    names_up_to
        Patients up to which rows are named.
    numbers_up_to
        Patients up to which numbers are written into the map.

    Returns
    -------
    matplotlib.figure.Figure
        One map per source, and a panel of all pairs against their limit.
    """
    if pairs.empty:
        return empty_figure(TITLE, "Fewer than two patients have receptors.", study)
    sources = [source for source in LAYERS if source in set(pairs["source"])]
    most = max(len(_patients(pairs[pairs["source"] == source])) for source in sources)
    side = float(np.clip(0.19 * most, 2.9, 4.3))
    flagged = int((pairs["verdict"] == FLAGGED).sum())
    figure = new_figure(
        3.4 + (side + 0.5) * len(sources),
        side + 0.9,
        study,
        title=TITLE,
        key=True,
        subtitle=f"{counted(len(_patients(pairs)), 'patient')}, {counted(len(pairs), 'comparison')} of two: {flagged} "
        "flagged (framed).",
        footer="Clones of identical nucleotides: both chains of a cell; CDR3, V and J gene in bulk. Limit: what public "
        "clones explain, learnt from the other pairs of the cohort or bounded beforehand.",
    )
    grid = figure.add_gridspec(1, len(sources) + 1, width_ratios=[1.0] * len(sources) + [0.72])
    for at, source in enumerate(sources):
        own = pairs[pairs["source"] == source]
        _draw_map(figure.add_subplot(grid[at]), own, shown(study, source), names_up_to, numbers_up_to)
    right = figure.add_subplot(grid[len(sources)])
    _draw_limits(right, pairs, sources, study)
    draw_key(figure, [right])
    return figure


def _patients(pairs: pd.DataFrame) -> list[str]:
    return sorted({*pairs["patient_a"].astype(str), *pairs["patient_b"].astype(str)})


def _draw_map(axes: Axes, pairs: pd.DataFrame, name: str, names_up_to: int, numbers_up_to: int) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    patients = _patients(pairs)
    place = {patient: at for at, patient in enumerate(patients)}
    matrix = np.full((len(patients), len(patients)), np.nan)
    rows, columns = (pairs[side].astype(str).map(place).to_numpy() for side in ("patient_a", "patient_b"))
    matrix[rows, columns] = matrix[columns, rows] = pairs["shared"].to_numpy(dtype=float)
    top = max(10.0, float(np.nanmax(matrix)))
    norm, colours = LogNorm(_LEAST, top), colormaps["Blues"].with_extremes(bad="#EDEDED")
    image = axes.imshow(np.maximum(matrix, _LEAST), cmap=colours, norm=norm, interpolation="nearest", aspect="equal")
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.045, pad=0.02, aspect=32)
    marks = [10.0**power for power in range(7) if 10.0**power <= top]
    bar.set_ticks([_LEAST, *marks], labels=["0", *(f"{mark:,.0f}" for mark in marks)])
    bar.ax.minorticks_off()
    bar.set_label("Shared clones")
    bar.outline.set_visible(False)
    for a, b in zip(rows[pairs["verdict"] == FLAGGED], columns[pairs["verdict"] == FLAGGED], strict=True):
        for across, along in ((a, b), (b, a)):
            frame = Rectangle((across - 0.5, along - 0.5), 1, 1, fill=False, edgecolor=WARNING, linewidth=1.5)
            frame.set_gid("flagged")
            axes.add_patch(frame)
    if len(patients) <= numbers_up_to:
        for a, b in zip(*np.nonzero(matrix > 0), strict=True):
            colour = text_on(_hex(colours(norm(matrix[a, b]))))
            axes.text(b, a, f"{matrix[a, b]:.0f}", ha="center", va="center", fontsize=5.8, color=colour)
    words = [clip_text(patient, 10) for patient in patients] if len(patients) <= names_up_to else []
    size = min(7.5, 200 / len(patients))
    axes.set_xticks(range(len(words)), words, rotation=90, fontsize=size)
    axes.set_yticks(range(len(words)), words, fontsize=size)
    axes.tick_params(length=0)
    axes.set_title(name)


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _draw_limits(axes: Axes, pairs: pd.DataFrame, sources: list[str], study: Mapping[str, Any]) -> None:
    """Draw each pair at its limit (across) and what it shares (along)."""
    top = 2 * max(float(pairs["limit"].max()), float(pairs["shared"].max()), 10.0)
    axes.plot([1, top], [1, top], "--", color=INK, linewidth=0.8, label="Limit")
    for source in sources:
        own = pairs[pairs["source"] == source]
        is_flagged = (own["verdict"] == FLAGGED).to_numpy()
        axes.scatter(
            np.maximum(own["limit"], 1),
            np.maximum(own["shared"], _LEAST),
            s=16,
            marker=MARKERS[source],
            c=LAYERS[source],
            edgecolors=WARNING,
            linewidths=[1.3 if flag else 0.0 for flag in is_flagged],
            alpha=0.8,
            label=shown(study, source),
            gid=f"pairs:{source}",
        )
    axes.set(xscale="log", yscale="log", xlim=(1, top), ylim=(_LEAST * 0.7, top))
    decades = [10.0**power for power in range(7) if 10.0**power <= top]
    axes.set_xticks(decades, [f"{mark:,.0f}" for mark in decades])
    axes.set_yticks([_LEAST, *decades], ["0", *(f"{mark:,.0f}" for mark in decades)])
    axes.minorticks_off()
    axes.grid(color=FAINT, linewidth=0.3)
    axes.set_title("Pairs and their limit")
    axes.set_xlabel("Limit: shared clones without alarm")
    axes.set_ylabel("Shared clones")
