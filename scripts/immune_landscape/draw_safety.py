"""Adverse events: patients with each term by worst grade, group beside group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import MUTED
from immune_landscape.patient_outcomes import EVERYBODY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Adverse events by worst grade"
GRADES = {"1-2": ("#9DC3DE", ""), "3-4": ("#E69F00", "///"), "5": ("#882255", "xxx")}
"""Group of grades -> colour and hatching."""

MOST_GROUPS = 5


@styled
def draw_safety(
    events: pd.DataFrame, study: Mapping[str, Any], level: float, *, by: str, relation: str, most: int
) -> Figure:
    """Draw a bar for each term, in parts by worst grade, one panel per group.

    Parameters
    ----------
    events
        As from `measure_safety`.
    study
        Facts of the cohort.
    level
        Confidence level of the table.
    by
        Column whose groups are drawn; all patients together where it has no groups or too many.
    relation
        ``any`` or ``related``.
    most
        Terms at most, the commonest first.

    Returns
    -------
    matplotlib.figure.Figure
        One axes per group.
    """
    own = events[events["relation"] == relation]
    wanted = own[own["by"] == by]
    chosen = wanted if 1 < wanted["group"].nunique() <= MOST_GROUPS else own[own["by"] == EVERYBODY]
    rows = chosen.drop_duplicates(["kind", "term"])[["kind", "term"]].reset_index(drop=True)
    if rows.empty:
        return empty_figure(TITLE, "No adverse event is recorded.", study)
    left_out = max(0, len(rows) - most)
    rows = rows.head(most)
    groups = list(dict.fromkeys(chosen["group"]))
    what = "Events of any relation" if relation == "any" else "Events whose relation to treatment is not excluded"
    figure = new_figure(
        3.2 + 2.3 * max(len(groups), 2),
        0.9 + 0.27 * len(rows),
        study,
        title=TITLE,
        subtitle=f"{what}; each patient counts once, at the worst grade of a term.",
        footer=f"Numbers are patients [exact {100 * level:g} % interval in percent] with any grade."
        + (f" {counted(left_out, 'further term')} in the table." if left_out else ""),
        key=True,
    )
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, group in zip(axes, groups, strict=True):
        _draw_group(panel, chosen[chosen["group"] == group], rows, _name(study, chosen, group))
    _name_rows(axes[0], rows)
    for name, (colour, hatch) in GRADES.items():
        axes[0].bar(0, 0, color=colour, hatch=hatch, edgecolor="white", label=f"Grade {name}")
    draw_key(figure, [axes[0]])
    return figure


def _name(study: Mapping[str, Any], chosen: pd.DataFrame, group: str) -> str:
    column = str(chosen["by"].iloc[0])
    return shown(study, group) if column in (EVERYBODY, "arm") else f"{shown(study, column)} {group}"


def _draw_group(axes: Axes, table: pd.DataFrame, rows: pd.DataFrame, name: str) -> None:
    found = {(row["kind"], row["term"], row["grades"]): row for row in table.to_dict("records")}
    n = int(table["n"].iloc[0])
    for height, (kind, term) in enumerate(rows.itertuples(index=False)):
        start = 0.0
        for grades, (colour, hatch) in GRADES.items():
            width = 100 * int(found[kind, term, grades]["patients"]) / n if n else 0.0
            axes.barh(
                height, width, left=start, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4,
                gid="grades",
            )  # fmt: skip
            start += width
        total = found[kind, term, "any"]
        text = f"{int(total['patients'])}"
        if n:
            text += f" [{100 * total['low']:.0f}–{100 * total['high']:.0f}]"
        axes.text(start + 2, height, text, va="center", fontsize=7, color=MUTED)
    axes.set_title(f"{clip_text(name, 26)}, n = {n}")
    axes.set_xlim(0, 135)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_xlabel("Patients (%)")
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _name_rows(axes: Axes, rows: pd.DataFrame) -> None:
    names = [clip_text(str(term)[:1].upper() + str(term)[1:], 34) for term in rows["term"]]
    axes.set_yticks(range(len(rows)), names)
    for label, kind in zip(axes.get_yticklabels(), rows["kind"], strict=True):
        label.set_fontweight("normal" if kind == "term" else "bold")
