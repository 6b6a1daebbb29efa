"""Immune cells of tissue by tissue and visit, patients as lines and their regions as points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, ordered_visits, shown, shown_feature, shown_parent
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import GROUPS, MUTED, group_styles
from immune_landscape.panels import label_groups, patient_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Immune microenvironment of tissue"
LAYER = "microenvironment"


@styled
def draw_microenvironment(
    patients: pd.DataFrame, samples: pd.DataFrame, study: Mapping[str, Any], *, columns: int
) -> Figure:
    """Draw a panel per feature, with a line per patient from visit to visit.

    Parameters
    ----------
    patients, samples
        As from `measure_microenvironment`.
    study
        Facts of the cohort.
    columns
        Panels per row.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per feature.
    """
    if patients.empty:
        return empty_figure(TITLE, "No tissue sample has cells enough.", study)
    features = patients.drop_duplicates(["parent", "feature"])[["parent", "feature"]]
    rows = -(-len(features) // columns)
    levels = _levels(patients, study)
    regional = bool((samples["region"].fillna("").astype(str) != "").any())
    figure = new_figure(
        max(6.5, 0.4 + 2.55 * min(columns, len(features))),
        2.1 * rows,
        study,
        title=TITLE,
        subtitle=f"{counted(samples['sample'].nunique(), 'sample')} of "
        f"{counted(patients['patient'].nunique(), 'patient')}; lines are patients"
        + (", the mean of their regions; grey points are regions." if regional else "."),
        footer="The immune share is of cells with a name, platelets and red cells left out; other shares are of immune "
        "cells. Not all kinds of cells survive the dissociation of a biopsy equally well.",
        key=True,
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (parent, feature) in zip(panels, features.itertuples(index=False), strict=False):
        own, parts = (
            table[(table["parent"] == parent) & (table["feature"] == feature)] for table in (patients, samples)
        )
        _draw_panel(axes, own, parts, levels, study, regional=regional)
        of = "" if parent == "all" else f" in {shown_parent(study, parent)}"
        unit = "%" if own["share"].notna().any() else str(own["unit"].iloc[0])
        axes.set_title(clip_text(shown_feature(study, LAYER, feature), 30), fontsize=8)
        axes.set_ylabel(clip_text(f"{unit}{of}", 26), fontsize=7.5)
    for axes in panels[len(features) :]:
        axes.set_axis_off()
    label_groups(panels[0], patients, study)
    draw_key(figure, [panels[0]])
    return figure


def _levels(patients: pd.DataFrame, study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the tissues and visits in the order in which they stand side by side."""
    present = set(zip(patients["tissue"].astype(str), patients["visit"].astype(str), strict=True))
    tissues = [name for name in study.get("tissues") or [] if name in {tissue for tissue, _ in present}]
    tissues += sorted({tissue for tissue, _ in present} - set(tissues))
    visits = ordered_visits(patients["visit"].astype(str), study)
    return [(tissue, visit) for tissue in tissues for visit in visits if (tissue, visit) in present]


def _heights(table: pd.DataFrame) -> pd.Series:
    """Return what is drawn: shares in percent, other numbers as they are compared."""
    return 100 * table["share"] if table["share"].notna().any() else table["value"]


def _draw_panel(
    axes: Axes,
    patients: pd.DataFrame,
    samples: pd.DataFrame,
    levels: list[tuple[str, str]],
    study: Mapping[str, Any],
    *,
    regional: bool,
) -> None:
    responses = patients["response"].fillna("").astype(str)
    styles = group_styles(group for group in GROUPS if (responses == group).any())
    shift = dict(zip(styles, np.linspace(-0.12, 0.12, len(styles)) if len(styles) > 1 else [0.0], strict=True))
    place = {level: at for at, level in enumerate(levels)}

    def places(table: pd.DataFrame, group: str) -> list[float]:
        """Return where the rows of a patient stand."""
        return [place[level] + shift[group] for level in zip(table["tissue"], table["visit"], strict=True)]

    for (patient, tissue), table in patients.groupby(["patient", "tissue"], sort=False):
        group = str(table["response"].fillna("").iloc[0])
        ordered = table.assign(at=places(table, group), height=_heights(table)).sort_values("at")
        if regional:
            own = samples[(samples["patient"] == patient) & (samples["tissue"] == tissue)]
            at = places(own, group)
            axes.plot(at, _heights(own), ".", color=MUTED, markersize=3, alpha=0.6, zorder=1, gid="regions")
        patient_line(axes, ordered["at"], ordered["height"], styles[group], str(patient))
    held = patients.groupby(["tissue", "visit"])["patient"].nunique()
    names = [f"{_level_name(level, levels, study)}\nn = {held.get(level, 0)}" for level in levels]
    axes.set_xticks(range(len(levels)), names, fontsize=7)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.grid(axis="y")


def _level_name(level: tuple[str, str], levels: list[tuple[str, str]], study: Mapping[str, Any]) -> str:
    """Name what tells the levels apart: the tissue, the visit, or both."""
    several = [len({each[part] for each in levels}) > 1 for part in (0, 1)]
    parts = [shown(study, name) for name, apart in zip(level, several, strict=True) if apart]
    return "\n".join(clip_text(part, 12) for part in parts or [shown(study, level[1])])
