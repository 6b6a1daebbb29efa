"""V genes and CDR3 lengths of groups of patients, one point per sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import counted, ordered_visits, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import GroupStyle, group_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Bulk repertoires: V genes and CDR3 lengths by response"
LEAST = 0.01
"""Share of the clonotypes, on average, that a length needs to be drawn."""


@styled
def usage_by_group(usage: pd.DataFrame, samples: pd.DataFrame, study: Mapping[str, Any], *, top_genes: int) -> Figure:
    """Draw the share of the clonotypes by V gene and by CDR3 length, a row of panels per visit.

    Parameters
    ----------
    usage
        First table of `measure_usage.measure_usage`.
    samples
        One row per sample in display order: sample, patient, visit, response.
    study
        Facts of the cohort.
    top_genes
        V genes drawn, those used most.

    Returns
    -------
    matplotlib.figure.Figure
        A point per sample, a line at the median of each group.
    """
    if usage.empty:
        return empty_figure(TITLE, "No bulk repertoire has enough templates (measure_usage.min_templates).", study)
    visits = ordered_visits(samples["visit"], study)
    figure = new_figure(
        11.8,
        2.35 * len(visits),
        study,
        title=TITLE,
        key=True,
        subtitle=f"{counted(len(samples), 'sample')} of {counted(samples['patient'].nunique(), 'patient')}. Shares of "
        f"the clonotypes expected at {int(usage['depth'].iloc[0]):,} productive templates.",
        footer="One point per sample; a line marks the median of the group. A clonotype counts once, however large it "
        "is. Tests between patients are in the contrasts.",
    )
    grid = figure.add_gridspec(len(visits), 2, width_ratios=[2.1, 1])
    genes, lengths = _shares(usage, "v_gene"), _shares(usage, "cdr3_length")
    top = genes.drop(columns="unknown", errors="ignore").mean().sort_values(ascending=False, kind="stable")
    genes, lengths = genes[top.index[:top_genes]], lengths.loc[:, lengths.mean() > 100 * LEAST]
    styles = group_styles(samples["response"])
    for at, visit in enumerate(visits):
        members = samples[samples["visit"] == visit]
        left, right = (figure.add_subplot(grid[at, column]) for column in (0, 1))
        _draw_points(left, genes, members, styles)
        _draw_points(right, lengths, members, styles)
        left.set_title(f"V genes, {shown(study, visit)}")
        right.set_title(f"CDR3 length, {shown(study, visit)}")
        left.set_ylabel("% of clonotypes")
        names = [gene.removeprefix("TRBV") for gene in genes.columns]
        left.set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
        right.set_xticks(range(lengths.shape[1]), [str(int(length)) for length in lengths.columns])
    left.set_xlabel("TRBV, the most used first")
    right.set_xlabel("Amino acids, with both ends")
    _draw_groups(figure, left, samples, styles, study)
    return figure


def _draw_groups(
    figure: Figure, axes: Axes, samples: pd.DataFrame, styles: Mapping[str, GroupStyle], study: Mapping[str, Any]
) -> None:
    for group, style in styles.items():
        many = samples.loc[samples["response"] == group, "patient"].nunique()
        axes.plot([], [], style.marker, color=style.colour, markersize=4, label=f"{shown(study, group)} n = {many}")
    draw_key(figure, [axes])


def _shares(usage: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return samples x items, in percent of the clonotypes."""
    rows = usage[usage["kind"] == kind]
    wide = rows.pivot_table(index="sample", columns="item", values="share_clonotypes", aggfunc="first")
    return 100 * wide.fillna(0.0)


def _draw_points(axes: Axes, shares: pd.DataFrame, members: pd.DataFrame, styles: Mapping[str, GroupStyle]) -> None:
    places = np.arange(shares.shape[1])
    width = 0.76 / len(styles)
    for at, (group, style) in enumerate(styles.items()):
        found = shares.loc[members.loc[members["response"] == group, "sample"]].to_numpy()
        middle = places + (at - (len(styles) - 1) / 2) * width
        # A fixed pattern keeps points of one place apart, and equal tables give equal figures.
        shift = ((np.arange(len(found)) * 0.618) % 1 - 0.5) * 0.7 * width
        axes.plot(
            (middle + shift[:, None]).ravel(),
            found.ravel(),
            style.marker,
            color=style.colour,
            markersize=2.6,
            alpha=0.65,
            markeredgewidth=0,
            clip_on=False,
            gid=f"group:{group}",
        )
        if len(found):
            axes.hlines(np.median(found, axis=0), middle - width / 2, middle + width / 2, color=style.colour, lw=1.4)
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
