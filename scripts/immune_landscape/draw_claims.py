"""The claims ledger on one page: estimate, interval, detectable effect and verdict of each prior claim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.claim_rules import CLAIM_VERDICTS, NOT_TESTABLE, UNDERPOWERED
from immune_landscape.display_text import (
    clip_text,
    counted,
    format_number,
    format_p,
    interval_name,
    reach_of,
    shown,
    shown_parent,
)
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import CLAIM_VERDICTS as COLOURS
from immune_landscape.palette import INK, MUTED, text_on
from immune_landscape.panels import draw_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Prior claims, held against this cohort"
WIDTH = 11.6
"""Inches: a page of A4 across."""

ROW = 0.29
"""Inches that a row takes."""

SHORT = {UNDERPOWERED: "underpowered", NOT_TESTABLE: "not testable"}
PLACES = {"verdict": 0.0, "n": 0.16, "estimate": 0.245, "p": 0.49, "corrected": 0.59, "same sign": 0.8}
"""Column -> where it begins, as a share of the panel's width."""

BAND = "#ECE7DA"
REASON_LENGTH = 125
LINE = 0.22
"""Distance of the two lines of a row from its middle."""


@styled
def draw_claims(ledger: pd.DataFrame, study: Mapping[str, Any], *, show_reasons: bool) -> Figure:
    """Draw the claims ledger: effects in standard deviations, endpoints in their units, verdicts in words.

    Parameters
    ----------
    ledger
        Table of `judge_claims.judge_claims`.
    study
        Facts of the cohort.
    show_reasons
        Whether the sentence that names the deciding number stands below each row.

    Returns
    -------
    matplotlib.figure.Figure
        One page: a panel of effects, and one for each unit of endpoints.
    """
    if ledger.empty:
        return empty_figure(TITLE, "No prior claim is declared for this cohort.", study)
    panels = _panels_of(ledger)
    heights = [len(rows) + (0.9 if at == 0 else 0.35) for at, rows in enumerate(panels)]
    figure = new_figure(
        WIDTH,
        ROW * sum(heights) + 0.42 * len(panels),
        study,
        title=TITLE,
        subtitle=_summary(ledger),
        footer=_footnote(study, panels),
    )
    axes = figure.subplots(len(panels), 2, squeeze=False, width_ratios=[3.7, 6], height_ratios=heights)
    for at, rows in enumerate(panels):
        draw = _draw_endpoints if rows["layer"].eq("endpoints").all() else _draw_effects
        draw(axes[at, 0], rows)
        _name_rows(axes[at, 0], rows, study)
        _draw_words(axes[at, 1], rows, interval_name(study), show_reasons=show_reasons, heading=at == 0)
    return figure


def _panels_of(ledger: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the effects, then the endpoints by unit; an endpoint that was not given stands with its like."""
    is_endpoint = ledger["layer"] == "endpoints"
    effects, endpoints = ledger[~is_endpoint], ledger[is_endpoint]
    is_share = endpoints["feature"].isin(["orr", "dcr"])
    panels = [effects, endpoints[is_share], endpoints[~is_share]]
    return [rows.reset_index(drop=True) for rows in panels if len(rows)]


def _summary(ledger: pd.DataFrame) -> str:
    counts = ledger["verdict"].value_counts()
    told = [f"{counts[verdict]} {verdict}" for verdict in CLAIM_VERDICTS if verdict in counts]
    cited = "; ".join(dict.fromkeys(ledger["citation"].astype(str)))
    return f"{counted(len(ledger), 'claim')} of {clip_text(cited, 120)}: {', '.join(told)}."


def _footnote(study: Mapping[str, Any], panels: list[pd.DataFrame]) -> str:
    power = f" at {100 * float(study['power']):g} % power" if study.get("power") else ""
    text = f"Point and line: estimate and {interval_name(study)} in standard deviations between patients, filled where "
    text += (
        f"the interval excludes 0. Band: smaller than what one test detects{power}. Triangle: direction claimed, at "
    )
    text += "the size claimed where one was published. Same sign: smallest share over left-out patients, references, "
    text += "label runs and responder definitions. "
    if any(rows["layer"].eq("endpoints").all() for rows in panels):
        text += "Diamond: value claimed for an endpoint. "
    return text + "A claim that is not supported or not testable here is not thereby false."


def _draw_effects(axes: Axes, rows: pd.DataFrame) -> None:
    limit = _limit(rows)
    for height, row in enumerate(rows.to_dict("records")):
        if np.isfinite(row["mde_d"]) and np.isfinite(row["d"]):
            reach = min(row["mde_d"], limit)
            axes.barh(height, 2 * reach, left=-reach, height=0.8, color=BAND, zorder=0, gid="mde")
        if np.isfinite(row["d"]):
            _draw_effect(axes, height, row, limit)
        _draw_direction(axes, height, row, limit)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_xlabel("effect in standard deviations between patients (d)", fontsize=7.5)


def _draw_effect(axes: Axes, height: int, row: Mapping[Any, Any], limit: float) -> None:
    bounds = {"ci_low": row["d_low"], "ci_high": row["d_high"]}
    draw_interval(axes, height, bounds, limit, INK, width=1.5)
    face = INK if row["d_low"] > 0 or row["d_high"] < 0 else "white"
    place = float(np.clip(row["d"], -limit, limit))
    axes.plot(place, height, "o", color=INK, markerfacecolor=face, markersize=6, zorder=3, gid="effect")


def _draw_direction(axes: Axes, height: int, row: Mapping[Any, Any], limit: float) -> None:
    """Mark the claimed direction at the edge, or at the size claimed."""
    sign = {"up": 1, "down": -1}.get(str(row["direction"]))
    if sign is None:
        return
    known = np.isfinite(row["claimed_d"])
    place = sign * min(row["claimed_d"] if known else math.inf, 0.95 * limit)
    axes.plot(
        place,
        height,
        marker=">" if sign > 0 else "<",
        color=MUTED,
        markerfacecolor=MUTED if known else "none",
        markersize=6,
        zorder=2,
        gid="claimed",
    )


def _limit(rows: pd.DataFrame) -> float:
    points = pd.concat([rows["d"], rows["claimed_d"], rows.loc[rows["d"].notna(), "mde_d"]]).abs().max()
    usual = 0.0 if pd.isna(points) else float(points)
    return 1.15 * reach_of(usual, pd.concat([rows["d_low"], rows["d_high"]]), most=2) or 1.0


def _draw_endpoints(axes: Axes, rows: pd.DataFrame) -> None:
    scale = 100.0 if _in_shares(rows) else 1.0
    limit = _end_of(rows) * scale
    for height, row in enumerate(rows.to_dict("records")):
        bounds = {"ci_low": scale * row["ci_low"], "ci_high": scale * row["ci_high"]}
        draw_interval(axes, height, bounds, limit, INK, width=1.5)
        if np.isfinite(row["estimate"]):
            axes.plot(scale * row["estimate"], height, "o", color=INK, markersize=6, zorder=3, gid="endpoint")
        if np.isfinite(row["claimed"]):
            face: dict[str, Any] = {"color": INK, "markerfacecolor": "none", "markersize": 8}
            axes.plot(scale * row["claimed"], height, "D", zorder=4, gid="claimed_value", **face)
    axes.set_xlim(0, limit)
    axes.set_xlabel("% of patients" if scale > 1 else f"median, {rows['unit'].max() or 'time'}", fontsize=7.5)


def _in_shares(rows: pd.DataFrame) -> bool:
    return bool(rows["feature"].isin(["orr", "dcr"]).all())


def _end_of(rows: pd.DataFrame) -> float:
    """Return where the axis of endpoints ends: at one for shares, beyond every finite number for times."""
    if _in_shares(rows):
        return 1.0
    numbers = rows[["estimate", "ci_low", "ci_high", "claimed"]].to_numpy(dtype=float)
    finite = numbers[np.isfinite(numbers)]
    return 1.1 * float(finite.max()) if len(finite) else 1.0


def _name_rows(axes: Axes, rows: pd.DataFrame, study: Mapping[str, Any]) -> None:
    """Write each claim's name, and below it what answers it."""
    axes.set_yticks(np.arange(len(rows)) - LINE, [str(name) for name in rows["label"]])
    for tick, row in zip(axes.get_yticklabels(), rows.to_dict("records"), strict=True):
        tick.set_color(MUTED if row["verdict"] == NOT_TESTABLE else INK)
    for height, row in enumerate(rows.to_dict("records")):
        place: dict[str, Any] = {
            "xycoords": axes.get_yaxis_transform(),
            "textcoords": "offset points",
            "ha": "right",
            "va": "center",
        }
        text = _origin_of(row, study)
        axes.annotate(text, (0, height + LINE), xytext=(-3.5, 0), fontsize=6.3, color=MUTED, **place)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _origin_of(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    """Return the denominator or scope, and the contrast."""
    layer, parent = str(row["layer"]), str(row["parent"])
    if layer == "endpoints":
        return f"{parent.replace('_', ' ')} patients".replace("all treated", "all")
    scope = shown_parent(study, parent).replace("All cells", "all cells")
    if layer in ("expansion", "repertoires") and parent == "all":
        scope = "whole repertoire"
    text = f"of {scope}" if layer == "composition" else f"{layer}, {scope}"
    return f"{text}; {shown(study, str(row['contrast']))}" if row["contrast"] else text


def _draw_words(axes: Axes, rows: pd.DataFrame, interval: str, *, show_reasons: bool, heading: bool) -> None:
    names = {"estimate": f"d [{interval}]", "corrected": "corrected p"}
    for column, place in PLACES.items() if heading else ():
        axes.text(place, -0.62, names.get(column, column), fontsize=7.5, fontweight="bold", va="bottom", color=MUTED)
    for height, row in enumerate(rows.to_dict("records")):
        middle = height - LINE if show_reasons else float(height)
        _draw_badge(axes, middle, str(row["verdict"]))
        for column, text in _texts_of(row).items():
            axes.text(PLACES[column], middle, text, fontsize=7.5, va="center")
        if show_reasons:
            reason = clip_text(str(row["reason"]), REASON_LENGTH)
            axes.text(0, height + LINE, reason, fontsize=6.5, va="center", color=MUTED, gid="reason")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_axis_off()


def _draw_badge(axes: Axes, height: float, verdict: str) -> None:
    colour = COLOURS[verdict]
    box = {"boxstyle": "round,pad=0.22", "facecolor": colour, "edgecolor": MUTED, "linewidth": 0.5}
    words = SHORT.get(verdict, verdict)
    axes.text(0.008, height, words, fontsize=7, va="center", color=text_on(colour), bbox=box, gid="badge")


def _texts_of(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return what stands in the columns of a row; nothing where nothing was estimated."""
    if pd.isna(row["estimate"]):
        return {}
    counts = [f"{row[name]:.0f}" for name in ("n_a", "n_b") if not pd.isna(row[name]) and row[name] > 0]
    texts = {"n": " / ".join(counts)}
    if row["layer"] == "endpoints":
        return texts | {"estimate": _endpoint_text(row)}
    numbers = [format_number(row[name]) for name in ("d", "d_low", "d_high")]
    texts["estimate"] = f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
    texts["p"] = format_p(row["p"])
    texts["corrected"] = format_p(row["p_corrected"])
    if not pd.isna(row["p_corrected"]):
        texts["corrected"] += f" ({str(row['correction']).removeprefix('p ')})"
    stable = row["stable_share"]
    texts["same sign"] = "–" if pd.isna(stable) else f"{100 * stable:.3g} %"
    return texts


def _endpoint_text(row: Mapping[Any, Any]) -> str:
    share = row["unit"] == "share"
    numbers = ["∞" if math.isinf(row[name]) else row[name] for name in ("estimate", "ci_low", "ci_high")]
    words = [text if isinstance(text, str) else f"{100 * text if share else text:.1f}" for text in numbers]
    return f"{words[0]} [{words[1]}, {words[2]}] {'%' if share else row['unit']}"
