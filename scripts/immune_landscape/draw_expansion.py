"""Repertoire metrics of each patient, at one depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import counted, ordered_visits, shown, shown_feature
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.layers import OF_SAMPLE
from immune_landscape.palette import GROUPS, group_styles
from immune_landscape.panels import label_groups, patient_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Clonal expansion and diversity"


@styled
def draw_expansion(
    metrics: pd.DataFrame,
    definition: str,
    study: Mapping[str, Any],
    *,
    shown_metrics: Sequence[str],
    columns: int,
) -> Figure:
    """Draw standardised metrics of every sample, one line per patient, over all visits.

    Parameters
    ----------
    metrics
        First table of `measure_expansion.measure_expansion`.
    definition
        As `define_clonotypes.definition_text` writes it; printed below.
    study
        Facts of the cohort.
    shown_metrics
        Metrics drawn, in this order.
    columns
        Panels per row.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per metric.
    """
    standardised = metrics[(metrics["scope"] == "all") & metrics["standardised"].astype(bool)]
    values = standardised[standardised["metric"].isin(list(shown_metrics)) & standardised["value"].notna()]
    if values.empty:
        reason = "No sample has enough receptor cells to be measured at one depth (measure_expansion.min_cells)."
        return empty_figure(TITLE, reason, study)
    wanted = [name for name in shown_metrics if name in set(values["metric"])]
    return _draw_overview(values, wanted, definition, study, columns)


def _depth(metrics: pd.DataFrame) -> str:
    return f"Every sample at {int(metrics['depth'].iloc[0]):,} receptor cells (the smallest sample measured)"


def _draw_overview(
    values: pd.DataFrame, wanted: list[str], definition: str, study: Mapping[str, Any], columns: int
) -> Figure:
    """All samples, one line per patient and tissue, visits in order."""
    rows = -(-len(wanted) // columns)
    samples, patients = values["sample"].nunique(), values["patient"].nunique()
    figure = new_figure(
        min(11.8, 2.85 * columns),
        2.0 * rows,
        study,
        title=TITLE,
        key=True,
        subtitle=f"{_depth(values)}. {counted(samples, 'sample')} of {counted(patients, 'patient')}.",
        footer=f"Bars: {OF_SAMPLE}. {definition}. Counted within a sample.",
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    visits = ordered_visits(values["visit"], study)
    for axes, metric in zip(panels, wanted, strict=False):
        _draw_visits(axes, values[values["metric"] == metric], visits, study)
        axes.set_title(shown_feature(study, "expansion", metric), fontsize=8.5)
    for axes in panels[len(wanted) :]:
        axes.set_axis_off()
    label_groups(panels[0], values, study)
    draw_key(figure, list(panels[:1]))
    return figure


def _draw_visits(axes: Axes, values: pd.DataFrame, visits: list[str], study: Mapping[str, Any]) -> None:
    responses = values["response"].fillna("").astype(str)
    styles = group_styles(group for group in GROUPS if (responses == group).any())
    place = {visit: at for at, visit in enumerate(visits)}
    shift = dict(zip(styles, np.linspace(-0.12, 0.12, len(styles)) if len(styles) > 1 else [0.0], strict=True))
    for (patient, _), table in values.groupby(["patient", "tissue"], sort=False):
        group = str(table["response"].fillna("").iloc[0])
        table = table.assign(at=table["visit"].map(place) + shift[group]).sort_values("at")
        style = styles[group]
        axes.vlines(table["at"], table["low"], table["high"], color=style.colour, linewidth=0.8, alpha=0.5)
        patient_line(axes, table["at"], table["value"], style, str(patient))
    axes.set_xticks(range(len(visits)), [shown(study, visit).replace(" ", "\n", 1)[:24] for visit in visits])
    axes.set_xlim(-0.5, len(visits) - 0.5)
    axes.grid(axis="y")
