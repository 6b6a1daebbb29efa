"""Signature scores between groups of patients: a forest with what random sets show, and the patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import (
    ADJUSTED,
    facts_of,
    format_p,
    groups_of,
    interval_name,
    levels_of,
    reach_of,
    sentence,
    shown,
    shown_feature,
    shown_parent,
)
from immune_landscape.draw_contrasts import direction_of, question_of
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, group_styles
from immune_landscape.panels import draw_interval, forest_columns, paired_patients, panel_heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Signatures"
EFFECT_LABEL = "difference of mean scores (natural log of expression)"
BAND = "#DADADA"
CIRCULAR = " †"
ADJUSTED_ROW = "composition-adjusted"
UPRIGHT_ROWS = 5
"""Rows of a block whose name, turned, is not longer than the block."""


@styled
def draw_signatures(
    contrasts: pd.DataFrame,
    differences: pd.DataFrame,
    nulls: pd.DataFrame,
    overlap: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    scopes: Sequence[str],
    panels: int,
    columns: int,
) -> dict[str, Figure]:
    """Draw, per contrast, the effects on signatures beside those of random sets, and single patients' scores.

    Parameters
    ----------
    contrasts, differences
        As `compare_values.compare_values` returns for signatures.
    nulls
        As `judge_signatures.judge_signatures` returns.
    overlap
        From `score_signatures.score_signatures`; rows with a warning get a mark.
    study
        Facts of the cohort.
    scopes
        Scopes drawn, in this order; an adjusted scope is put below its plain one.
    panels
        Signatures whose patients are drawn, those with the smallest p first.
    columns
        Panels per row.

    Returns
    -------
    dict
        ``<contrast>`` and ``<contrast>.patients`` -> figure.
    """
    keys = ["contrast", "parent", "feature"]
    random = nulls[[*keys, "null_low", "null_high", "null_p"]]
    circular = set(overlap.loc[overlap["warning"].astype(bool), ["parent", "signature"]].itertuples(index=False))
    drawn = {}
    for name, rows in contrasts.groupby("contrast", sort=False):
        table = _in_order(rows[rows["parent"].isin(list(scopes))], scopes).merge(random, on=keys, how="left")
        table["mark"] = [
            CIRCULAR if key in circular else "" for key in zip(table["parent"], table["feature"], strict=True)
        ]
        chosen = differences[differences["contrast"] == name]
        drawn[str(name)] = _draw_forest(str(name), table, study)
        drawn[f"{name}.patients"] = _draw_patients(str(name), table, chosen, study, panels, columns)
    return drawn


def _in_order(rows: pd.DataFrame, scopes: Sequence[str]) -> pd.DataFrame:
    """Sort rows by branch or subset, then signature, then plain before adjusted."""
    bases = list(dict.fromkeys(scope.removesuffix(ADJUSTED) for scope in scopes))
    features = list(dict.fromkeys(rows["feature"]))
    place = [
        (bases.index(parent.removesuffix(ADJUSTED)), features.index(feature), list(scopes).index(parent))
        for parent, feature in zip(rows["parent"], rows["feature"], strict=True)
    ]
    order = sorted(range(len(rows)), key=place.__getitem__)
    return rows.iloc[order].reset_index(drop=True)


def _draw_forest(contrast: str, table: pd.DataFrame, study: Mapping[str, Any]) -> Figure:
    title = f"{TITLE}: {shown(study, contrast)}"
    if table.empty:
        return empty_figure(title, "No signature was scored in the scopes that are drawn.", study)
    interval = interval_name(study)
    figure = new_figure(
        11.8,
        0.21 * len(table) + 0.9,
        study,
        title=title,
        subtitle=f"{sentence(question_of(table, study))}. {_counted(table)}",
        footer=_footnote(table, interval),
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[4.2, 5.4])
    _draw_rows(left, table, float(study.get("alpha", 0.05)))
    forest_columns(right, table, interval)
    _add_null_column(right, table)
    _name_rows(left, table, study)
    low, high = direction_of(table, study)
    left.set_xlabel(f"← {low}   |   {high} →\n{EFFECT_LABEL}", fontsize=7.5)
    return figure


def _draw_rows(axes: Axes, table: pd.DataFrame, alpha: float) -> None:
    """Draw band of random sets, interval and effect of each row from the top."""
    tested = table["status"] == "tested"
    usual = table.loc[tested, ["effect", "null_low", "null_high"]].abs().max().max()
    bounds = pd.concat([table.loc[tested, name] for name in ("ci_low", "ci_high")])
    limit = 1.12 * reach_of(0.0 if pd.isna(usual) else float(usual), bounds, most=3) or 1.0
    for height, row in enumerate(table.to_dict("records")):
        if np.isfinite(row["null_low"]):
            width = row["null_high"] - row["null_low"]
            axes.barh(height, width, left=row["null_low"], height=0.8, color=BAND, zorder=0, gid="null")
        if not np.isfinite(row["effect"]):
            continue
        colour = INK if row["status"] == "tested" else FAINT
        draw_interval(axes, height, row, limit, colour, width=1.4)
        filled = row["status"] == "tested" and row["p_maxt"] < alpha
        face: dict[str, Any] = {
            "markerfacecolor": colour if filled else "white",
            "markeredgewidth": 1.2,
            "markersize": 5.4,
        }
        place = float(np.clip(row["effect"], -limit, limit))
        axes.plot(place, height, marker="o", color=colour, zorder=3, gid="effect", **face)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(axis="x")


def _add_null_column(axes: Axes, table: pd.DataFrame) -> None:
    place = 1.0
    axes.text(place, -0.62, "p random sets", fontsize=7.5, fontweight="bold", va="bottom", color=MUTED)
    for height, row in enumerate(table.to_dict("records")):
        if row["status"] == "tested":
            axes.text(place, height, format_p(row["null_p"]), va="center", fontsize=7.5, color=INK)
    axes.set_xlim(0, 1.2)


def _name_rows(axes: Axes, table: pd.DataFrame, study: Mapping[str, Any]) -> None:
    """Name each signature once, with its adjusted score below it, and each block of cells at the right."""
    bases = [str(parent).removesuffix(ADJUSTED) for parent in table["parent"]]
    keys = list(zip(bases, table["feature"], strict=True))
    again = [at > 0 and keys[at] == keys[at - 1] for at in range(len(keys))]
    named = [shown_feature(study, "signatures", str(key[1])) for key in keys]
    names = [ADJUSTED_ROW if second else name for second, name in zip(again, named, strict=True)]
    axes.set_yticks(range(len(table)), [name + mark for name, mark in zip(names, table["mark"], strict=True)])
    for tick, second, status in zip(axes.get_yticklabels(), again, table["status"], strict=True):
        tick.set_color(MUTED if second or status != "tested" else INK)
    for base in dict.fromkeys(bases):
        rows = [at for at, name in enumerate(bases) if name == base]
        style: dict[str, Any] = {"rotation": 270} if len(rows) >= UPRIGHT_ROWS else {}
        style |= {"fontsize": 7.5, "color": MUTED, "ha": "left", "va": "center", "fontweight": "bold"}
        axes.text(1.01, float(np.mean(rows)), shown_parent(study, base), transform=axes.get_yaxis_transform(), **style)
        if rows[0]:
            axes.axhline(rows[0] - 0.5, color=MUTED, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _counted(table: pd.DataFrame) -> str:
    tested = int((table["status"] == "tested").sum())
    family = int((table["p_maxt"].notna() & (table["status"] == "tested")).sum())
    return f"{tested} of {len(table)} rows tested, {family} of them in the family that p maxT corrects for."


def _footnote(table: pd.DataFrame, interval: str) -> str:
    text = (
        f"Point: effect with {interval}, filled where p maxT is below the level. Grey band: 95 % of random gene sets "
    )
    text += (
        "of like expression, which have no share in the test. Composition-adjusted: subsets weighted alike in every "
    )
    text += (
        "sample. p: permutation of patients. p random sets: is the signature special among genes; not a test of the "
    )
    text += "effect."
    return text + (f"{CIRCULAR} genes of the signature also define the cells." if (table["mark"] != "").any() else "")


def _draw_patients(
    contrast: str,
    table: pd.DataFrame,
    differences: pd.DataFrame,
    study: Mapping[str, Any],
    panels: int,
    columns: int,
) -> Figure:
    title = f"{TITLE} of each patient: {shown(study, contrast)}"
    rows = _top(table, panels)
    if rows.empty:
        return empty_figure(title, "No signature was tested in the scopes that are drawn.", study)
    count = -(-len(rows) // columns)
    figure = new_figure(
        min(11.8, 2.95 * columns),
        2.35 * count,
        study,
        title=title,
        subtitle=f"{sentence(question_of(rows, study))}. The {len(rows)} signatures with the smallest p.",
        footer=f"Mean score of a patient's cells at a visit. Effect in units of the score [{interval_name(study)}]; p "
        "by permutation of patients. Panels were chosen by p: it is the forest that shows all.",
    )
    drawn = figure.subplots(count, columns, squeeze=False).ravel()
    levels = levels_of(facts_of(study, contrast))
    styles = group_styles(groups_of(rows.iloc[0].to_dict()))
    for axes, row in zip(drawn, rows.to_dict("records"), strict=False):
        own = (differences["parent"] == row["parent"]) & (differences["feature"] == row["feature"])
        paired_patients(axes, differences[own], styles, levels, study)
        signature = shown_feature(study, "signatures", str(row["feature"]))
        name = f"{signature}{row['mark']}\n{shown_parent(study, row['parent'])}"
        panel_heading(axes, name, row)
    for axes in drawn[len(rows) :]:
        axes.set_axis_off()
    return figure


def _top(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the rows with the smallest p, the plain or the adjusted score of a signature but not both."""
    tested = table[(table["status"] == "tested") & table["p"].notna()].sort_values("p", kind="stable")
    base = tested["parent"].str.removesuffix(ADJUSTED)
    return tested[~pd.DataFrame({"base": base, "feature": tested["feature"]}).duplicated()].head(count)
