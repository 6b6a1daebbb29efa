"""Forest plots of the contrasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import facts_of, interval_name, sentence, shown, shown_parent
from immune_landscape.figures import new_figure, styled
from immune_landscape.palette import INK, MUTED
from immune_landscape.panels import forest_columns, forest_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EFFECT_LABEL = "difference of centred log ratios (natural log)"
DIRECTIONS = {
    "baseline": ("less in {a}", "more in {a}"),
    "change": ("falls", "rises"),
    "response_by_visit": ("rises less, or falls more, in {a}", "rises more, or falls less, in {a}"),
    "arm_by_visit": ("rises less, or falls more, in {a}", "rises more, or falls less, in {a}"),
}
QUESTIONS = {
    "baseline": "{a} against {b} at {reference}",
    "change": "{target} against {reference} in all patients",
    "response_by_visit": "change from {reference} to {target}: {a} against {b}",
    "arm_by_visit": "change from {reference} to {target}: {a} against {b}",
}


@styled
def draw_contrasts(contrasts: pd.DataFrame, study: Mapping[str, Any], *, show_mde: bool) -> dict[str, Figure]:
    """Draw one forest per contrast: effect in centred log ratio units, interval, n, p, and rows not tested.

    Parameters
    ----------
    contrasts
        First table of `compare_composition.compare_composition`.
    study
        Facts of the cohort; its contrasts name reference and target.
    show_mde
        Whether a band shows the effect that one test would detect.

    Returns
    -------
    dict
        Contrast -> figure.
    """
    return {
        str(name): _draw_forest(table.reset_index(drop=True), study, show_mde)
        for name, table in contrasts.groupby("contrast", sort=False)
    }


def question_of(table: pd.DataFrame, study: Mapping[str, Any]) -> str:
    """Write what a contrast asks, in display names.

    Parameters
    ----------
    table
        Rows of one contrast.
    study
        Facts of the cohort.

    Returns
    -------
    str
        Such as ``change from Baseline to On treatment: Responders against Non-responders``.
    """
    words = _words(table, study)
    return QUESTIONS[str(table["estimand"].iloc[0])].format(**words)


def direction_of(table: pd.DataFrame, study: Mapping[str, Any]) -> tuple[str, str]:
    """Write what effects below and above zero mean.

    Parameters
    ----------
    table
        Rows of one contrast.
    study
        Facts of the cohort.

    Returns
    -------
    tuple of str
        Below, above.
    """
    words = _words(table, study)
    low, high = DIRECTIONS[str(table["estimand"].iloc[0])]
    return low.format(**words), high.format(**words)


def _words(table: pd.DataFrame, study: Mapping[str, Any]) -> dict[str, str]:
    facts = facts_of(study, str(table["contrast"].iloc[0]))
    groups = table[table["group_a"].fillna("") != ""]
    words = {"a": "first group", "b": "second group"}
    if len(groups):
        words = {
            "a": shown(study, str(groups["group_a"].iloc[0])),
            "b": shown(study, str(groups["group_b"].iloc[0] or "")),
        }
    ends = {
        name: shown(study, str(facts.get(name) or "")) if facts.get(name) else name for name in ("reference", "target")
    }
    return words | ends


def _draw_forest(table: pd.DataFrame, study: Mapping[str, Any], show_mde: bool) -> Figure:
    interval = interval_name(study)
    figure = new_figure(
        11.5,
        0.25 * len(table) + 0.85,
        study,
        title=shown(study, str(table["contrast"].iloc[0])),
        subtitle=f"{sentence(question_of(table, study))}. {_counted(table)}",
        footer=_footnote(table, interval, show_mde),
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[4.6, 5])
    forest_rows(left, table, show_mde=show_mde)
    forest_columns(right, table, interval)
    names = [shown(study, str(name)) for name in table["subset"]]
    left.set_yticks(range(len(table)), names)
    for tick, status in zip(left.get_yticklabels(), table["status"], strict=True):
        tick.set_color(INK if status == "tested" else MUTED)
    _draw_parents(left, table, study)
    left.tick_params(axis="y", length=0)
    left.spines["left"].set_visible(False)
    low, high = direction_of(table, study)
    left.set_xlabel(f"← {low}   |   {high} →\n{EFFECT_LABEL}", fontsize=7.5)
    return figure


def _draw_parents(axes: Any, table: pd.DataFrame, study: Mapping[str, Any]) -> None:
    """Rule off the blocks of parents and name each at the right of its first row."""
    parents = table["parent"].fillna("").astype(str)
    for at in range(len(table)):
        if at == 0 or parents[at] != parents[at - 1]:
            if at:
                axes.axhline(at - 0.5, color=MUTED, linewidth=0.6, linestyle=(0, (2, 2)))
            if parents[at]:
                text = f"of {shown_parent(study, parents[at])}" if parents[at] not in ("all", "cells") else "of all"
                axes.text(
                    0.995,
                    at,
                    text,
                    fontsize=6.5,
                    color=MUTED,
                    ha="right",
                    va="center",
                    transform=axes.get_yaxis_transform(),
                )


def _counted(table: pd.DataFrame) -> str:
    tested = table[table["status"] == "tested"]
    text = f"{len(tested)} of {len(table)} rows tested, family: {table['family'].iloc[0]}."
    labelings = tested["labelings"].dropna()
    if len(labelings):
        every = tested["exact"].dropna().astype(str).eq("True").all()
        before, after = ("all ", "") if every else ("", "random ")
        text += f" Permutation test over {before}{int(labelings.max()):,} {after}labelings."
    return text


def _footnote(table: pd.DataFrame, interval: str, show_mde: bool) -> str:
    text = f"Point: effect, filled where the {interval} excludes 0; an arrow: it goes on, or has no bound. "
    text += "p maxT: corrected for all rows of the family (Westfall-Young). n: patients of the two groups. "
    if show_mde and (table["status"] == "tested").any():
        text += "Band: effects smaller than what one test would detect at the power set in the configuration. "
    return text + "A row that is not significant does not show that there is no difference."
