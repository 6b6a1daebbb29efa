"""How alike bulk repertoires are, which V genes they use, and how long their CDR3 are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import group_rank, group_styles
from immune_landscape.usage_panels import usage_by_group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Bulk repertoires: overlap and gene usage"
MEASURES = {
    "morisita_horn": "Morisita-Horn overlap",
    "jaccard": "Jaccard overlap",
    "overlap_coefficient": "Overlap coefficient",
}
_NAMED = 46


def draw_repertoires(
    overlap: pd.DataFrame,
    usage: pd.DataFrame,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    measure: str,
    top_genes: int,
) -> dict[str, Figure]:
    """Draw the overlap of all pairs of samples, and the V genes and CDR3 lengths of samples and of groups.

    Parameters
    ----------
    overlap
        Table of `measure_overlap.measure_overlap`.
    usage
        First table of `measure_usage.measure_usage`.
    design
        One row per sample: sample, patient, visit, response.
    study
        Facts of the cohort.
    measure
        Index of overlap drawn: morisita_horn, jaccard or overlap_coefficient.
    top_genes
        V genes drawn, those used most.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``overlap_usage``: two maps that share their rows, samples by response, patient and visit, and a panel of
        lengths. ``gene_usage``: genes and lengths of groups, a point per sample.
    """
    samples = _ordered(usage, design, study)
    return {
        "overlap_usage": _draw_samples(overlap, usage, samples, study, measure, top_genes),
        "gene_usage": usage_by_group(usage, samples, study, top_genes=top_genes),
    }


@styled
def _draw_samples(
    overlap: pd.DataFrame,
    usage: pd.DataFrame,
    samples: pd.DataFrame,
    study: Mapping[str, Any],
    measure: str,
    top_genes: int,
) -> Figure:
    """Draw one row per sample."""
    if usage.empty:
        return empty_figure(TITLE, "No bulk repertoire has enough templates (measure_usage.min_templates).", study)
    row = float(np.clip(8 / len(samples), 0.1, 0.17))
    depths = overlap["depth"] if len(overlap) else usage["depth"]
    figure = new_figure(
        11.8,
        max(row * len(samples) + 0.9, 3.1),
        study,
        title=TITLE,
        key=True,
        subtitle=f"{counted(len(samples), 'sample')} of {counted(samples['patient'].nunique(), 'patient')}. Overlap is "
        f"that expected at {int(depths.iloc[0]):,} productive templates, the depth of the smallest sample.",
        footer="Overlap is on a square-root scale. Gene usage and lengths are shares of the templates. Samples of a "
        "patient lie side by side; overlap between patients is of public clonotypes, or of samples mixed or swapped.",
    )
    grid = figure.add_gridspec(1, 3, width_ratios=[1.15, 1, 0.72])
    left = figure.add_subplot(grid[0])
    _draw_overlap(left, overlap, samples, measure)
    middle = figure.add_subplot(grid[1])
    _draw_genes(middle, usage, samples, top_genes)
    right = figure.add_subplot(grid[2])
    _draw_lengths(right, usage, samples, study)
    _name_rows(left, samples, study, row)
    draw_key(figure, [right])
    return figure


def _ordered(usage: pd.DataFrame, design: pd.DataFrame, study: Mapping[str, Any]) -> pd.DataFrame:
    """Order samples by response, patient, then visit."""
    samples = design[design["sample"].isin(set(usage["sample"]))][["sample", "patient", "visit", "response"]].copy()
    samples["response"] = samples["response"].fillna("").astype(str)
    visits = {name: at for at, name in enumerate(study.get("visits") or [])}
    samples["rank"] = samples["response"].map(group_rank)
    samples["order"] = samples["visit"].map(visits).fillna(len(visits))
    return samples.sort_values(["rank", "patient", "order"], kind="stable").reset_index(drop=True)


def _draw_overlap(axes: Axes, overlap: pd.DataFrame, samples: pd.DataFrame, measure: str) -> None:
    place = {name: at for at, name in enumerate(samples["sample"])}
    matrix = np.full((len(samples), len(samples)), np.nan)
    for row in overlap.to_dict("records"):
        if row["sample_a"] in place and row["sample_b"] in place:
            a, b = place[row["sample_a"]], place[row["sample_b"]]
            matrix[a, b] = matrix[b, a] = row[measure]
    top = np.nanmax(matrix) if np.isfinite(matrix).any() else 1.0
    image = _draw_map(axes, np.sqrt(matrix), float(np.sqrt(top)))
    axes.set_title(MEASURES[measure])
    axes.set_xticks([])
    axes.set_xlabel("Samples, in the order of the rows")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.5, aspect=16, pad=0.02)
    marks = np.array([0, 0.04, 0.25, 1]) * top
    bar.set_ticks(list(np.sqrt(marks)), labels=[f"{mark:.2g}" for mark in marks])
    bar.outline.set_visible(False)


def _draw_genes(axes: Axes, usage: pd.DataFrame, samples: pd.DataFrame, top_genes: int) -> None:
    genes = usage[(usage["kind"] == "v_gene") & (usage["item"] != "unknown")]
    wide = genes.pivot_table(index="sample", columns="item", values="share_templates", aggfunc="first").fillna(0.0)
    top = wide.mean().sort_values(ascending=False, kind="stable").index[:top_genes]
    shares = 100 * wide.reindex(index=samples["sample"], columns=top).to_numpy()
    image = _draw_map(axes, shares, float(np.nanmax(shares)))
    axes.set_title(f"V genes, the {len(top)} most used")
    axes.set_xticks(range(len(top)), [gene.removeprefix("TRBV") for gene in top], rotation=90, fontsize=6.5)
    axes.set_xlabel("TRBV")
    axes.set_yticks([])
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.5, aspect=16, pad=0.02)
    bar.set_label("% of templates", fontsize=7)
    bar.outline.set_visible(False)


def _draw_map(axes: Axes, matrix: np.ndarray, top: float) -> Any:
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_facecolor("#D0D0D0")
    return axes.imshow(matrix, aspect="auto", cmap="Blues", vmin=0, vmax=top, interpolation="nearest")


def _draw_lengths(axes: Axes, usage: pd.DataFrame, samples: pd.DataFrame, study: Mapping[str, Any]) -> None:
    lengths = usage[usage["kind"] == "cdr3_length"].assign(length=lambda table: table["item"].astype(int))
    total = lengths.groupby("length")["share_templates"].sum()
    shown_lengths = total.index[total > 0.002 * total.sum()]
    reach = np.arange(shown_lengths.min(), shown_lengths.max() + 1)
    wide = lengths.pivot_table(index="sample", columns="length", values="share_templates", aggfunc="first")
    wide = 100 * wide.reindex(columns=reach).fillna(0.0)
    styles = group_styles(samples["response"])
    for group, style in styles.items():
        members = samples[samples["response"] == group]
        for sample in members["sample"]:
            line = wide.loc[sample]
            axes.plot(
                reach, line, style.linestyle, color=style.colour, alpha=0.4, linewidth=0.8, gid=f"sample:{sample}"
            )
        name = f"{shown(study, group)} n = {members['patient'].nunique()}"
        axes.plot([], [], style.linestyle, color=style.colour, label=name)
    axes.set_title("CDR3 length")
    axes.set_xlabel("Amino acids, with both ends")
    axes.set_ylabel("% of templates")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")


def _name_rows(axes: Axes, samples: pd.DataFrame, study: Mapping[str, Any], row: float) -> None:
    styles = group_styles(samples["response"])
    if len(samples) > _NAMED * 2:
        axes.set_yticks([])
        return
    names = [
        clip_text(f"{patient}  {shown(study, visit)}", 24)
        for patient, visit in zip(samples["patient"], samples["visit"], strict=True)
    ]
    axes.set_yticks(range(len(samples)), names, fontsize=min(7.5, row * 45))
    for tick, response in zip(axes.get_yticklabels(), samples["response"], strict=True):
        tick.set_color(styles[response].colour)
