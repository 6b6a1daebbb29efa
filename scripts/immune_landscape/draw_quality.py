"""What quality control saw in each sample, and what it took out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, STEPS, WARNING, categorical

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Quality control: cells per step and distributions per sample"
METRICS = {"total_counts": "Molecules per cell", "n_genes": "Genes per cell", "pct_mt": "Mitochondrial %"}
LOGARITHMIC = ("total_counts", "n_genes")
CUTOFFS = {
    "scrublet": ("o", "Scrublet's cut-off"),
    "expected_rate": ("^", "as many as expected"),
    "not_scored": ("x", "not scored"),
}


@styled
def draw_quality(
    cells: pd.DataFrame,
    steps: pd.DataFrame,
    doublets: pd.DataFrame,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    violins_up_to: int,
) -> Figure:
    """Draw cells per step, the distributions behind the limits, and doublet calls, one row per sample.

    Parameters
    ----------
    cells
        As `filter_cells.filter_cells` returns: sample, total_counts, n_genes, pct_mt, keep.
    steps
        As `merge_samples.count_cells` returns: sample, loaded, passed_quality, called_doublet, kept.
    doublets
        As `find_doublets.find_doublets` returns: sample, doublet, expected_rate, cutoff.
    design
        One row per sample: sample, batch.
    study
        Facts of the cohort.
    violins_up_to
        Samples up to which distributions are violins; beyond, quantile bars, which stay readable when thin.

    Returns
    -------
    matplotlib.figure.Figure
        Five axes that share their rows.
    """
    if steps.empty:
        return empty_figure(TITLE, "No sample has gene expression.", study)
    steps = _by_batch(steps, design)
    row = min(0.42, max(0.16, 12 / len(steps)))
    if len(steps) > 80:
        row = 13 / len(steps)
    violins = len(steps) <= violins_up_to
    loaded, kept = steps["loaded"].sum(), steps["kept"].sum()
    shape = (
        "Grey above the line: all loaded cells; blue below: kept by quality control."
        if violins
        else "Bars: 5-95 % (thin) and 25-75 % (thick) of loaded cells; tick: median of kept cells."
    )
    figure = new_figure(
        11.5,
        row * len(steps) + 0.75,
        study,
        title=TITLE,
        key=True,
        footer="Doublets %: share of a sample's cells called. Beside the bars: share of loaded cells kept.",
        subtitle=f"{counted(len(steps), 'sample')}, {loaded:,} cells loaded, {kept:,} kept. {shape}",
    )
    panels = figure.subplots(1, 5, sharey=True, width_ratios=[1.5, 1.25, 1.25, 1.25, 0.9])
    _draw_steps(panels[0], steps, row)
    groups = dict(tuple(cells.groupby("sample", sort=False, observed=True)))
    for axes, (metric, name) in zip(panels[1:4], METRICS.items(), strict=True):
        _draw_metric(axes, groups, list(steps["sample"]), metric, violins)
        axes.set_title(name, fontsize=8)
    _draw_doublets(panels[4], doublets, list(steps["sample"]))
    _draw_rows(panels[0], steps, row)
    _draw_batches(panels, steps, row)
    draw_key(figure, [panels[0], panels[4]])
    return figure


def _by_batch(steps: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    """Samples of a batch side by side, batches and samples in the order of the sheet."""
    batch = design.drop_duplicates("sample").set_index("sample").get("batch", pd.Series(dtype=object))
    table = steps.assign(batch=steps["sample"].map(batch).fillna("").astype(str))
    order = {name: at for at, name in enumerate(table["batch"].drop_duplicates())}
    return table.sort_values("batch", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def _draw_steps(axes: Axes, steps: pd.DataFrame, row: float) -> None:
    names = {"loaded": "loaded", "passed_quality": "passed quality", "kept": "kept"}
    for name, colour in STEPS.items():
        axes.barh(steps.index, steps[name], height=0.8, color=colour, label=names[name], linewidth=0)
    reach = max(1, int(steps["loaded"].max()))
    if row >= 0.14:
        for height, (kept, loaded) in enumerate(zip(steps["kept"], steps["loaded"], strict=True)):
            text = f"{kept / loaded:.0%}" if loaded else "no cells"
            axes.text(loaded + 0.02 * reach, height, text, fontsize=6.5, va="center", color=MUTED)
    axes.set_xlim(0, 1.2 * reach)
    axes.set_title("Cells per step", fontsize=8)


def _draw_rows(axes: Axes, steps: pd.DataFrame, row: float) -> None:
    if row >= 0.12:
        axes.set_yticks(
            steps.index, [clip_text(str(name), 20) for name in steps["sample"]], fontsize=min(7.5, row * 45)
        )
    else:
        axes.set_yticks([])
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, pad=9)


def _draw_batches(panels: np.ndarray, steps: pd.DataFrame, row: float) -> None:
    """Mark batches by a strip at the left and a name at the right, when there are several."""
    batches = list(steps["batch"].drop_duplicates())
    if len(batches) < 2:
        return
    colours = dict(zip(batches, categorical(len(batches)), strict=True))
    first, last = panels[0], panels[-1]
    for batch, members in steps.groupby("batch", sort=False):
        ends = [members.index.min() - 0.45, members.index.max() + 0.45]
        strip = {
            "color": colours[batch],
            "linewidth": 4,
            "clip_on": False,
            "solid_capstyle": "butt",
            "gid": "batch",
        }
        first.plot([-0.03] * 2, ends, transform=first.get_yaxis_transform(), **strip)
        if len(members) * row >= 0.14:
            upright = len(members) * row < 0.6
            last.text(
                1.06,
                np.mean(ends),
                clip_text(str(batch) or "no batch", 12 if upright else int(len(members) * row * 14)),
                fontsize=7,
                rotation=0 if upright else 270,
                va="center",
                color=colours[batch],
                transform=last.get_yaxis_transform(),
            )


def _draw_metric(
    axes: Axes, groups: Mapping[Any, pd.DataFrame], samples: list[str], metric: str, violins: bool
) -> None:
    found = False
    for height, sample in enumerate(samples):
        if sample in groups:
            values = _scaled(groups[sample][metric], metric)
            kept = _scaled(groups[sample].loc[groups[sample]["keep"].astype(bool), metric], metric)
            found |= len(values) > 0
            (_draw_violin if violins else _draw_quantiles)(axes, height, values, kept)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    if not found:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", color=MUTED, transform=axes.transAxes)
        axes.set_xticks([])
    elif metric in LOGARITHMIC:
        _log_ticks(axes)
    else:
        axes.set_xlim(left=0)


def _scaled(values: pd.Series, metric: str) -> np.ndarray:
    numbers = values.dropna().to_numpy(dtype=float)
    return np.log10(np.maximum(numbers, 1)) if metric in LOGARITHMIC else numbers


def _draw_violin(axes: Axes, height: float, values: np.ndarray, kept: np.ndarray) -> None:
    halves: list[tuple[Any, Any, str]] = [(values, "low", FAINT), (kept, "high", STEPS["kept"])]
    for part, side, colour in halves:
        if len(part) > 2 and np.ptp(part) > 0:
            drawn = axes.violinplot(
                [part], positions=[height], orientation="horizontal", widths=0.9, side=side, showextrema=False
            )
            for body in drawn["bodies"]:  # type: ignore[attr-defined]
                body.set(facecolor=colour, alpha=1, linewidth=0)
        elif len(part):
            axes.plot(part, [height] * len(part), "|", color=colour, markersize=5)


def _draw_quantiles(axes: Axes, height: float, values: np.ndarray, kept: np.ndarray) -> None:
    if len(values):
        low, first, third, high = np.quantile(values, [0.05, 0.25, 0.75, 0.95])
        axes.hlines(height, low, high, color=FAINT, linewidth=1.2)
        axes.hlines(height, first, third, color=STEPS["passed_quality"], linewidth=4)
    if len(kept):
        axes.plot(np.median(kept), height, "|", color=INK, markersize=5, markeredgewidth=1.2)


def _log_ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    decades = np.arange(np.floor(low), np.ceil(high) + 1)
    ticks = [at + step for at in decades for step in (0, np.log10(3)) if low <= at + step <= high]
    axes.set_xticks(ticks, [f"{round(10**at):,}" if 10**at < 1000 else f"{10**at / 1000:.0f}k" for at in ticks])


def _draw_doublets(axes: Axes, doublets: pd.DataFrame, samples: list[str]) -> None:
    """Share called per sample, its marker telling how the cut-off was found; tick: share expected."""
    axes.set_title("Doublets %", fontsize=8)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    rows = {sample: height for height, sample in enumerate(samples)}
    for sample, table in doublets.groupby("sample", sort=False, observed=True):
        if sample not in rows:
            continue
        marker = CUTOFFS.get(str(table["cutoff"].iloc[0]), ("o", ""))[0]
        colour = MUTED if marker == "x" else INK
        axes.plot(100 * table["doublet"].astype(bool).mean(), rows[str(sample)], marker, color=colour, markersize=4)
        axes.plot(100 * float(table["expected_rate"].iloc[0]), rows[str(sample)], "|", color=WARNING, markersize=7)
    axes.set_xlim(-0.4, max(1.0, 1.12 * axes.dataLim.x1))
    used = set(doublets["cutoff"]) if len(doublets) else set()
    for name, (marker, text) in CUTOFFS.items():
        if name in used:
            axes.plot(
                [],
                [],
                marker,
                color=MUTED if marker == "x" else INK,
                markersize=4,
                label=f"doublets: {text}",
                linestyle="none",
            )
    axes.plot([], [], "|", color=WARNING, markersize=7, label="doublets: share expected", linestyle="none")
