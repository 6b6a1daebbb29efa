"""Dose-limiting toxicities by dose level, with exact bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.measure_doses import ESCALATE, EXPAND, INSUFFICIENT, STOP, TOLERATED
from immune_landscape.palette import FAINT, INK, MUTED, GroupStyle
from immune_landscape.patient_outcomes import EVERYBODY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Dose-limiting toxicity by dose level"
READINGS = {
    ESCALATE: GroupStyle("#0072B2", "o", "-", "Tolerated"),
    EXPAND: GroupStyle("#E69F00", "D", "-", "Expand the cohort"),
    STOP: GroupStyle("#CC3311", "X", "-", "Exceeds the maximum tolerated dose"),
    INSUFFICIENT: GroupStyle("#8A8A8A", "s", "-", "Too few patients to read"),
    "": GroupStyle("#222222", "P", "-", "All levels"),
}


@styled
def draw_doses(
    doses: pd.DataFrame, mtd: pd.DataFrame, study: Mapping[str, Any], level: float, *, height: float
) -> Figure:
    """Draw the share of patients with a dose-limiting toxicity at each level.

    Parameters
    ----------
    doses, mtd
        As from `measure_doses`.
    study
        Facts of the cohort.
    level
        Confidence level of the tables.
    height
        Inches of the panel.

    Returns
    -------
    matplotlib.figure.Figure
        One axes.
    """
    known = doses[doses["patients"] > 0].reset_index(drop=True)
    if known.empty:
        return empty_figure(TITLE, "No patient has a dose level.", study)
    figure = new_figure(
        max(6.5, 2.2 + 0.95 * len(known)),
        height,
        study,
        title=TITLE,
        subtitle=_summary(mtd.iloc[0]),
        footer=f"Bars are exact {100 * level:g} % intervals (Clopper-Pearson). Readings by 3+3 rules for cohorts "
        "of any size. The unit of the levels is that of the cohort's description.",
        key=True,
    )
    axes = figure.add_subplot()
    for place, row in enumerate(known.to_dict("records")):
        _draw_level(axes, place, row)
    axes.axhline(100 * TOLERATED, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    names = ["All" if name == EVERYBODY else str(name) for name in known["dose_level"]]
    counts = [f"{int(toxic)}/{int(n)}" for toxic, n in zip(known["dlt"], known["evaluable"], strict=True)]
    axes.set_xticks(range(len(known)), [f"{name}\n{count}" for name, count in zip(names, counts, strict=True)])
    axes.set_xlim(-0.6, len(known) - 0.4)
    axes.set_ylim(-4, 104)
    axes.set_xlabel("Dose level, patients with a toxicity / evaluable")
    axes.set_ylabel("Patients with a toxicity (%)")
    axes.grid(axis="y", color=FAINT)
    for reading, style in READINGS.items():
        if reading in set(known["reading"].fillna("")):
            axes.plot([], [], color=style.colour, marker=style.marker, linestyle="none", label=style.short)
    draw_key(figure, [axes])
    return figure


def _summary(row: pd.Series) -> str:
    told = f" ({row['note']})" if row["note"] else ""
    if row["status"] == "reached":
        return f"Maximum tolerated dose: {row['mtd']}{told}."
    top = f" Maximum administered dose: {row['maximum_administered']}." if row["maximum_administered"] != "" else ""
    return f"Maximum tolerated dose {row['status']}{told}.{top}"


def _draw_level(axes: Axes, place: int, row: Mapping[Any, Any]) -> None:
    style = READINGS[str(row["reading"]) if isinstance(row["reading"], str) else ""]
    if pd.isna(row["share"]):
        axes.text(place, 2, "none evaluable", ha="center", va="bottom", fontsize=7, color=MUTED, rotation=90)
        return
    axes.vlines(place, 100 * row["low"], 100 * row["high"], color=style.colour, linewidth=2.2, gid="interval")
    axes.plot(place, 100 * row["share"], marker=style.marker, color=style.colour, markersize=8, gid="share", zorder=3)
    axes.text(place + 0.09, 100 * row["high"], f"{100 * row['high']:.1f}", fontsize=7, color=INK, va="center")
