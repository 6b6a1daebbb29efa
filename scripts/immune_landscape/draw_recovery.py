"""Planted against found effects of a simulated cohort."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import counted, format_effect, format_p, interval_name, reach_of, shown
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import INK, MUTED, VERDICTS
from immune_landscape.panels import draw_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Were the planted effects found?"
UNTESTED = "not tested"
"""Verdict that says nothing of a subset without a planted effect."""


@styled
def draw_recovery(recovery: pd.DataFrame, study: Mapping[str, Any], *, only_planted: bool) -> Figure:
    """Draw planted and found effect of each subset, with the verdict.

    Parameters
    ----------
    recovery
        As `judge_recovery.judge_recovery` returns: subset, planted, effect, ci_low, ci_high, p, p_maxt,
        verdict, and where present expected and reason.
    study
        Facts of the cohort.
    only_planted
        Whether subsets without a planted effect are left out.

    Returns
    -------
    matplotlib.figure.Figure
        Forest with a diamond for the planted effect.
    """
    told = (recovery["planted"] != 0) | (recovery["verdict"] != UNTESTED)
    table = recovery[recovery["planted"] != 0] if only_planted else recovery[told]
    if table.empty:
        return empty_figure(TITLE, "No effect was planted in this cohort.", study)
    table = (
        table.assign(size=table["planted"].abs())
        .sort_values("size", ascending=False, kind="stable")
        .reset_index(drop=True)
    )
    planted = table[table["planted"] != 0]
    found = int((planted["verdict"] == "recovered").sum())
    figure = new_figure(
        11.5,
        0.25 * len(table) + 0.8,
        study,
        title=TITLE,
        subtitle=f"{found} of {counted(len(planted), 'planted effect')} recovered; "
        f"{counted(len(table) - len(planted), 'subset')} without one"
        + (
            "."
            if only_planted or told.all()
            else f"; {(~told).sum()} more without one were not tested and are left out."
        ),
        footer=f"Point and line: effect found with its {interval_name(study)}. Diamond: effect planted. "
        "Tick: effect expected in centred log ratios, as all parts of a parent move when one does (closure). "
        + _missed(planted, study),
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[5, 4.6])
    _draw_effects(left, table)
    left.set_yticks(range(len(table)), _names(table, study))
    left.tick_params(axis="y", length=0)
    left.set_xlabel("effect: difference of centred log ratios (natural log)", fontsize=7.5)
    _draw_words(right, table)
    return figure


def _names(table: pd.DataFrame, study: Mapping[str, Any]) -> list[str]:
    """Name the rows, with their contrast where there are several."""
    names = [shown(study, str(name)) for name in table["subset"]]
    if "contrast" not in table or table["contrast"].nunique() < 2:
        return names
    return [f"{name}, {shown(study, str(of))}" for name, of in zip(names, table["contrast"], strict=True)]


def _missed(planted: pd.DataFrame, study: Mapping[str, Any]) -> str:
    """Write why planted effects were missed."""
    reasons = planted["reason"].fillna("") if "reason" in planted else pd.Series("", index=planted.index)
    told = [f"{shown(study, str(name))}: {why}" for name, why in zip(planted["subset"], reasons, strict=True) if why]
    return f"Missed: {'; '.join(told)}." if told else ""


def _draw_effects(axes: Axes, table: pd.DataFrame) -> None:
    limit = _limit(table)
    for height, row in enumerate(table.to_dict("records")):
        colour = VERDICTS.get(str(row["verdict"]), MUTED)
        if np.isfinite(row["effect"]):
            _draw_found(axes, height, row, limit, colour)
        if row["planted"] != 0:
            axes.plot(row["planted"], height, "D", color=INK, markerfacecolor="none", markersize=8, gid="planted")
        if np.isfinite(row.get("expected", np.nan)):
            axes.plot(row["expected"], height, "|", color=INK, markersize=9, gid="expected")
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_found(axes: Axes, height: int, row: Mapping[Any, Any], limit: float, colour: str) -> None:
    draw_interval(axes, height, row, limit, colour, width=1.8)
    axes.plot(np.clip(row["effect"], -limit, limit), height, "o", color=colour, markersize=6, zorder=3, gid="effect")


def _limit(table: pd.DataFrame) -> float:
    points = pd.concat([table["effect"], table["planted"]]).abs().max()
    usual = 0.0 if pd.isna(points) else float(points)
    return 1.12 * reach_of(usual, pd.concat([table["ci_low"], table["ci_high"]]), most=3) or 1.0


def _draw_words(axes: Axes, table: pd.DataFrame) -> None:
    places = {"verdict": 0.02, "effect found": 0.46, "p": 0.8, "p maxT": 0.92}
    for name, place in places.items():
        axes.text(place, -0.62, name, fontsize=7.5, fontweight="bold", va="bottom", color=MUTED)
    for height, row in enumerate(table.to_dict("records")):
        verdict = str(row["verdict"])
        texts = [verdict, format_effect(row), format_p(row["p"]), format_p(row["p_maxt"])]
        for place, text in zip(places.values(), texts, strict=True):
            axes.text(place + (0.03 if place == 0.02 else 0), height, text, fontsize=7.5, va="center")
        axes.plot(0.025, height, "s", color=VERDICTS.get(verdict, MUTED), markersize=6)
    axes.set_xlim(0, 1.02)
    axes.set_axis_off()
