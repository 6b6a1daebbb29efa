"""Clonotypes alike to receptors of known antigen, as multiples of what chance gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.antigen_snapshots import species_names
from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import INK, group_rank, group_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Predicted antigens of T-cell clones"
BACKGROUNDS = {
    "generated": "against generated receptors",
    "other_antigens": "against other species",
    "cohort": "against other patients",
}
ANY = "Any antigen"
_REACH = (1 / 32, 64.0)


@styled
def draw_antigens(background: pd.DataFrame, study: Mapping[str, Any], *, species: int) -> Figure:
    """Draw the ratio of observed to expected matches of each sample, by species and background.

    Parameters
    ----------
    background
        Table of `match_antigens.match_antigens`.
    study
        Facts of the cohort.
    species
        Species drawn, those with most matches.

    Returns
    -------
    matplotlib.figure.Figure
        One row of panels per source, one panel per background; a point per sample.
    """
    rows = background[background["measured"].astype(bool) & background["level"].isin(["all", "species"])]
    rows = rows[rows["ratio"].notna()].reset_index(drop=True)
    rows["response"] = rows["response"].fillna("").astype(str)
    if rows.empty:
        return empty_figure(TITLE, "No sample has enough clonotypes (match_antigens.min_clonotypes).", study)
    names = _ordered(rows, species)
    sources = [name for name in ("tcr", "bulk_tcr") if name in set(rows["source"])]
    figure = new_figure(
        11.0,
        len(sources) * (0.24 * len(names) + 0.75),
        study,
        title=TITLE,
        key=True,
        subtitle=f"{counted(rows['sample'].nunique(), 'sample')} of {counted(rows['patient'].nunique(), 'patient')}: "
        "clonotypes with a beta chain alike to one of known antigen, as multiples of the number expected by chance at "
        "the same number of clonotypes.",
        footer="Predictions from the beta chain alone. Filled: the 95 % interval over draws from the background lies "
        "off 1. At the left edge: no match. Blood exceeds generated receptors for all species alike, as these saw no "
        "thymus; what sets a species apart stands in the other panels. Intervals are of receptors, not of patients.",
    )
    grid = figure.subplots(len(sources), len(BACKGROUNDS), squeeze=False, sharey=True, sharex="row")
    for line, source in zip(grid, sources, strict=True):
        own = rows[(rows["source"] == source) & rows["predicted_species"].isin(names)]
        reach = _reach(own["ratio"])
        for axes, name in zip(line, BACKGROUNDS, strict=True):
            _draw_panel(axes, own[own["background"] == name], names, reach)
            axes.set_title(f"{shown(study, source)}: {BACKGROUNDS[name]}", fontsize=8)
        line[0].set_yticks(range(len(names)), [_named(name) for name in names])
        line[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in grid[-1]:
        axes.set_xlabel("Observed / expected")
    _label(grid[0][0], rows, study)
    draw_key(figure, [grid[0][0]])
    return figure


def _ordered(rows: pd.DataFrame, species: int) -> list[str]:
    """Order species by their matches; a match of any antigen comes first."""
    told = rows[(rows["level"] == "species") & (rows["background"] == "generated")]
    total = told.groupby("predicted_species")["predicted"].sum().sort_index()
    total = total.sort_values(ascending=False, kind="stable")
    return ["", *(str(name) for name in total.index[:species])]


def _named(species: str) -> str:
    return clip_text(species_names().get(species, species), 26) if species else ANY


def _reach(ratio: pd.Series) -> tuple[float, float]:
    """Return powers of two around the ratios; no match at all is drawn at the lower one."""
    seen = np.log2(ratio[ratio > 0].clip(*_REACH))
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 0.0)
    return 2.0 ** min(-2, np.floor(low - 0.3)), 2.0 ** max(2, np.ceil(high + 0.1))


def _draw_panel(axes: Axes, rows: pd.DataFrame, names: list[str], reach: tuple[float, float]) -> None:
    styles = group_styles(sorted(set(rows["response"]), key=group_rank))
    place = {name: at for at, name in enumerate(names)}
    axes.set_xscale("log", base=2)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.grid(axis="x")
    for at, (group, style) in enumerate(styles.items()):
        own = rows[rows["response"] == group].reset_index(drop=True)
        shift = (at - (len(styles) - 1) / 2) * 0.26
        height = own["predicted_species"].map(place) + shift + 0.1 * ((np.arange(len(own)) * 0.618) % 1 - 0.5)
        across = own["ratio"].clip(*reach)
        apart = (own["ratio_low"] > 1) | (own["ratio_high"] < 1)
        for mask, face in ((apart, style.colour), (~apart, "white")):
            axes.scatter(
                across[mask],
                height[mask],
                s=13,
                marker=style.marker,
                facecolor=face,
                edgecolor=style.colour,
                linewidth=0.7,
                alpha=0.85,
                gid=f"group:{group}",
            )
    axes.set_xlim(reach[0] * 0.8, reach[1] * 1.2)
    low, high = (round(np.log2(end)) for end in reach)
    axes.set_xticks([2.0**power for power in range(low, high + 1, 1 if high - low < 7 else 2)])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:.0f}")
    axes.minorticks_off()


def _label(axes: Axes, rows: pd.DataFrame, study: Mapping[str, Any]) -> None:
    """Name the groups in the key, with their patients."""
    for group, style in group_styles(sorted(set(rows["response"]), key=group_rank)).items():
        count = rows.loc[rows["response"] == group, "patient"].nunique()
        axes.scatter([], [], s=15, marker=style.marker, color=style.colour, label=f"{shown(study, group)} n = {count}")
