"""The genes that differ most in each subset, patient by patient, and what permuted labels would have shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import (
    clip_text,
    counted,
    format_number,
    format_p,
    groups_of,
    interval_name,
    reach_of,
    sentence,
    shown,
    shown_parent,
)
from immune_landscape.draw_contrasts import direction_of, question_of
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, WARNING, GroupStyle, group_styles
from immune_landscape.panels import draw_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNCALIBRATED = "////"
"""Hatching of what permuted labels give as well."""

NULL_COLOUR = "#9A9A9A"
WIDE_INTERVALS = 2.0
"""Multiple of the largest value up to which intervals stretch the axis."""


@styled
def draw_expression(
    genes: pd.DataFrame,
    subsets: pd.DataFrame,
    differences: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    top: int,
    max_subsets: int,
    columns: int,
) -> dict[str, Figure]:
    """Draw the first genes of each subset per contrast, and the calibration against permuted labels.

    Parameters
    ----------
    genes, subsets, differences
        As `compare_expression.compare_expression` returns.
    study
        Facts of the cohort.
    top
        Genes per subset, of those whose patients are listed.
    max_subsets
        Subsets drawn, those with most genes found first.
    columns
        Panels per row.

    Returns
    -------
    dict
        ``<contrast>.genes`` and ``<contrast>.calibration`` -> figure.
    """
    drawn: dict[str, Figure] = {}
    for name, rows in subsets.groupby("contrast", sort=False):
        own = genes[genes["contrast"] == name]
        patients = differences[differences["contrast"] == name]
        drawn[f"{name}.genes"] = _draw_genes(rows, own, patients, study, top, max_subsets, columns)
        drawn[f"{name}.calibration"] = _draw_calibration(rows, study)
    return drawn


def _draw_genes(
    rows: pd.DataFrame,
    genes: pd.DataFrame,
    patients: pd.DataFrame,
    study: Mapping[str, Any],
    top: int,
    max_subsets: int,
    columns: int,
) -> Figure:
    title = f"Expression: {shown(study, str(rows['contrast'].iloc[0]))}"
    listed = patients[["subset", "gene"]].drop_duplicates().groupby("subset", sort=False).head(top)
    chosen = _chosen_subsets(rows[rows["subset"].isin(listed["subset"])]).head(max_subsets)
    if chosen.empty:
        return empty_figure(title, "No subset has enough cells in the samples that this contrast compares.", study)
    count = -(-len(chosen) // columns)
    most = int(listed[listed["subset"].isin(chosen["subset"])].groupby("subset").size().max())
    figure = new_figure(
        min(11.8, 3.9 * columns),
        (0.25 * most + 0.75) * count + 0.3,
        study,
        title=title,
        subtitle=_genes_subtitle(rows, len(chosen), study),
        footer=_genes_footer(rows, study),
        key=True,
    )
    panels = figure.subplots(count, columns, squeeze=False).ravel()
    styles = group_styles(groups_of(rows.iloc[0].to_dict()))
    for axes, row in zip(panels, chosen.to_dict("records"), strict=False):
        names = listed.loc[listed["subset"] == row["subset"], "gene"]
        own = genes[genes["subset"] == row["subset"]].set_index("gene").loc[names].reset_index()
        points = patients[(patients["subset"] == row["subset"]) & patients["gene"].isin(names)]
        _draw_panel(axes, own, points, row, styles, study)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    for axes in panels[max(len(chosen) - columns, 0) : len(chosen)]:
        axes.set_xlabel(_axis_label(rows, study), fontsize=7.5)
    _label_artists(panels[0], rows, styles, study)
    draw_key(figure, list(panels[:1]))
    return figure


def _chosen_subsets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the subsets tested before the others, those with most genes found first."""
    tested = rows["status"] == "tested"
    order = pd.DataFrame({"tested": ~tested, "found": -rows["found"].astype(float).fillna(-1)}, index=rows.index)
    return rows.loc[order.sort_values(["tested", "found"], kind="stable").index]


def _draw_panel(
    axes: Axes,
    genes: pd.DataFrame,
    points: pd.DataFrame,
    row: Mapping[Any, Any],
    styles: Mapping[str, GroupStyle],
    study: Mapping[str, Any],
) -> None:
    """Draw one gene per line: patients as points, effect and interval, the rate of false discovery beside."""
    marked = _is_uncalibrated(row)
    tested = row["status"] == "tested"
    bounds = pd.concat([genes["ci_low"], genes["ci_high"]])
    limit = 1.08 * reach_of(float(points["relative"].abs().max()), bounds, most=WIDE_INTERVALS) or 1.0
    _draw_points(axes, points, genes["gene"], styles)
    for height, gene in enumerate(genes.to_dict("records")):
        colour = INK if tested and not marked else MUTED
        draw_interval(axes, height - 0.28, gene, limit, colour, width=1.3)
        filled = tested and gene["fdr"] <= row["fdr"] and not marked
        face = colour if filled else "white"
        axes.plot(gene["effect"], height - 0.28, "D", color=colour, markerfacecolor=face, markersize=4.2, gid="effect")
        _draw_rate(axes, height, gene)
    axes.axvline(0, color=MUTED, linewidth=0.7, zorder=0)
    axes.set_yticks(range(len(genes)), [clip_text(str(name), 14) for name in genes["gene"]])
    axes.set_ylim(len(genes) - 0.45, -0.75)
    axes.set_xlim(-limit, limit)
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    if marked:
        axes.patch.set(hatch=UNCALIBRATED, facecolor="#F4F4F4", edgecolor="#DDDDDD")
    elif not tested:
        axes.set_facecolor("#F4F4F4")
    _head_panel(axes, row, study, marked=marked)


def _draw_points(axes: Axes, points: pd.DataFrame, genes: pd.Series, styles: Mapping[str, GroupStyle]) -> None:
    """Draw each patient's values of all genes, groups one below the other, neighbours a little apart."""
    heights = {gene: at for at, gene in enumerate(genes)}
    for at, (group, style) in enumerate(styles.items()):
        members = points[points["group"] == group]
        for place, (patient, own) in enumerate(members.groupby("patient")):
            axes.plot(
                own["relative"],
                own["gene"].map(heights) + 0.05 + 0.24 * at + 0.08 * (place % 2),
                style.marker,
                color=style.colour,
                markersize=3.2,
                alpha=0.8,
                markeredgecolor="white",
                markeredgewidth=0.3,
                gid=f"patient:{patient}",
            )


def _draw_rate(axes: Axes, height: int, gene: Mapping[Any, Any]) -> None:
    """Write the false discovery rate at the right of a gene, or the effect where it was not tested."""
    tested = gene["status"] == "tested"
    text = format_p(gene["fdr"]) if tested else format_number(gene["effect"])
    carried = "*" if tested and str(gene["note"] or "").startswith("carried") else ""
    place = axes.get_yaxis_transform()
    axes.text(1.015, height, text + carried, transform=place, fontsize=6.5, color=MUTED, va="center", gid="rate")


def _head_panel(axes: Axes, row: Mapping[Any, Any], study: Mapping[str, Any], *, marked: bool) -> None:
    if row["status"] == "tested":
        found = f"{int(row['found'])} of {counted(int(row['genes']), 'gene')} at FDR {100 * row['fdr']:g} %"
        text = f"{found} · not calibrated" if marked else found
    else:
        text = f"{str(row['status']).replace('_', ' ')}: {clip_text(str(row['note']).split('; ')[-1], 48)}"
    patients = " / ".join(f"{row[name]:.0f}" for name in ("n_a", "n_b")[: len(groups_of(row))])
    label = "FDR" if row["status"] == "tested" else "effect"
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    name = clip_text(shown_parent(study, str(row["subset"])), 28)
    axes.annotate(f"{name}  n = {patients}", (0, 1), xytext=(0, 12), fontsize=8.5, fontweight="bold", **place)  # type: ignore[arg-type]
    axes.annotate(text, (0, 1), xytext=(0, 2), fontsize=6.8, color=WARNING if marked else MUTED, **place)  # type: ignore[arg-type]
    axes.annotate(label, (1.015, 1), xytext=(0, 2), fontsize=6.5, fontweight="bold", color=MUTED, **place)  # type: ignore[arg-type]


def _is_uncalibrated(row: Mapping[Any, Any]) -> bool:
    return row["status"] == "tested" and str(row["calibrated"]) == "False"


def _label_artists(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, GroupStyle], study: Mapping[str, Any]) -> None:
    """Add empty artists with labels, for the key."""
    sizes = [int(rows[name].max()) for name in ("n_a", "n_b")]
    for (group, style), size in zip(styles.items(), sizes, strict=False):
        label = f"{clip_text(shown(study, group), 24)} (up to {counted(size, 'patient')})"
        axes.plot([], [], style.marker, color=style.colour, markersize=4, label=label)
    axes.plot([], [], "-D", color=INK, markersize=4, label=f"effect, {interval_name(study)}; filled: found")


def _axis_label(rows: pd.DataFrame, study: Mapping[str, Any]) -> str:
    groups = groups_of(rows.iloc[0].to_dict())
    against = f"\nrelative to the mean of {clip_text(shown(study, groups[1]), 24)}" if len(groups) == 2 else ""
    what = "log2 counts per million" if rows["estimand"].iloc[0] == "baseline" else "log2 fold change"
    return what + against


def _genes_subtitle(rows: pd.DataFrame, drawn: int, study: Mapping[str, Any]) -> str:
    tested = int((rows["status"] == "tested").sum())
    low, high = direction_of(rows, study)
    return (
        f"{sentence(question_of(rows, study))}. One point per patient; left of 0: {low}, right: {high}. "
        f"{tested} of {counted(len(rows), 'subset')} tested, {drawn} drawn."
    )


def _genes_footer(rows: pd.DataFrame, study: Mapping[str, Any]) -> str:
    text = "Sums of counts per sample and subset; moderated t over patients. First genes by shrunken effect. "
    text += "* carried by one patient. "
    if any(_is_uncalibrated(row) for row in rows.to_dict("records")):
        text += "Hatched: not calibrated, permuted labels give as many genes. "
    if (rows["status"] != "tested").any():
        text += "Grey: too few patients to test. "
    text += "In a sum over several subsets, a change of their shares shows as a change of expression."
    return text


def _draw_calibration(rows: pd.DataFrame, study: Mapping[str, Any]) -> Figure:
    """Draw, per subset tested, the genes found and the inflation, beside those of permuted labels."""
    title = f"Expression, calibration: {shown(study, str(rows['contrast'].iloc[0]))}"
    tested = rows[(rows["status"] == "tested") & rows["null_runs"].notna()].reset_index(drop=True)
    if tested.empty:
        return empty_figure(title, "No subset has enough patients to be tested.", study)
    runs = int(tested["null_runs"].max())
    figure = new_figure(
        11.0,
        0.25 * len(tested) + 0.9,
        study,
        title=title,
        subtitle=f"{sentence(question_of(rows, study))}. Each subset's genes as observed, and with permuted labels "
        f"({runs:,} cohorts).",
        footer="Grey line: 95 % of permuted cohorts, tick: their mean (genes) or median (inflation). Hatched: not "
        "calibrated. Inflation: median squared statistic over that expected without any difference.",
    )
    left, right, words = figure.subplots(1, 3, sharey=True, width_ratios=[3.2, 2.6, 3.0])
    for height, row in enumerate(tested.to_dict("records")):
        _draw_found(left, height, row)
        _draw_inflation(right, height, row)
    left.set_yticks(range(len(tested)), [clip_text(shown_parent(study, str(name)), 28) for name in tested["subset"]])
    left.set_ylim(len(tested) - 0.5, -0.5)
    left.set_xscale("symlog", linthresh=1)
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlim(0, max(1.6 * float(tested[["found", "null_high_found"]].max().max()), 3))
    left.set_xlabel(f"genes found at FDR {100 * rows['fdr'].iloc[0]:g} %")
    right.axvline(1, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
    right.set_xlabel("inflation of the statistics")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
    _write_counts(words, tested)
    return figure


def _draw_found(axes: Axes, height: int, row: Mapping[Any, Any]) -> None:
    marked = _is_uncalibrated(row)
    colour, hatch = (FAINT, UNCALIBRATED) if marked else ("#0072B2", "")
    axes.barh(height, row["found"], height=0.55, color=colour, hatch=hatch, edgecolor="white", gid="found")
    axes.hlines(height, 0, row["null_high_found"], color=NULL_COLOUR, linewidth=2.2, gid="null")
    axes.plot(row["null_mean_found"], height, "|", color=INK, markersize=9, markeredgewidth=1.4, gid="null mean")


def _draw_inflation(axes: Axes, height: int, row: Mapping[Any, Any]) -> None:
    axes.hlines(height, row["null_inflation_low"], row["null_inflation_high"], color=NULL_COLOUR, linewidth=2.2)
    axes.plot(row["null_inflation"], height, "|", color=INK, markersize=9, markeredgewidth=1.4)
    axes.plot(row["inflation"], height, "o", color="#0072B2", markersize=5, gid="inflation")


def _write_counts(axes: Axes, tested: pd.DataFrame) -> None:
    places = {"n": 0.02, "found": 0.2, "null mean": 0.38, "null, any": 0.6, "verdict": 0.8}
    for name, place in places.items():
        axes.text(place, -0.62, name, fontsize=7, fontweight="bold", va="bottom", color=MUTED)
    for height, row in enumerate(tested.to_dict("records")):
        patients = "/".join(f"{row[name]:.0f}" for name in ("n_a", "n_b")[: len(groups_of(row))])
        verdict = "not calibrated" if _is_uncalibrated(row) else "calibrated"
        null = [f"{row['null_mean_found']:.2g}", f"{100 * row['null_share_any']:.2g} %"]
        texts = [patients, f"{int(row['found'])}", *null, verdict]
        for text, place in zip(texts, places.values(), strict=True):
            axes.text(place, height, text, fontsize=7, va="center", color=WARNING if text == "not calibrated" else INK)
    axes.set_xlim(0, 1)
    axes.set_axis_off()
