"""Responses of single patients: waterfall and spider of tumour size, swimmer of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import clip_text, counted
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, GroupStyle
from immune_landscape.patient_outcomes import DAYS, texts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESPONSES = {
    "CR": GroupStyle("#0B2545", "*", "-", "Complete response"),
    "PR": GroupStyle("#0072B2", "o", "-", "Partial response"),
    "SD": GroupStyle("#E69F00", "s", "--", "Stable disease"),
    "PD": GroupStyle("#CC3311", "X", ":", "Progressive disease"),
    "NE": GroupStyle("#8A8A8A", "D", "-.", "Not evaluable"),
    "": GroupStyle("#BDBDBD", "D", "-.", "Not recorded"),
}
WATERFALL, SPIDER = "Best change in tumour size", "Tumour size over time"
SWIMMER = "Course of every patient"
PARTIAL, GROWTH = -30, 20
"""Change in percent from which the sum may be a partial response, or a progression over a nadir at baseline."""

TOP = 100
"""Percent beyond which a bar is cut; its value stands above it."""


@styled
def draw_responses(
    outcomes: pd.DataFrame,
    points: pd.DataFrame | None,
    responses: pd.DataFrame | None,
    study: Mapping[str, Any],
    *,
    label_patients_up_to: int,
) -> dict[str, Figure]:
    """Draw waterfall and spider where tumours were assessed, and swimmer where times are known.

    Parameters
    ----------
    outcomes
        One row per patient: ``patient``, ``best_response``, times and events where known.
    points, responses
        As from `derive_responses`; None without assessments.
    study
        Facts of the cohort; ``time_unit``.
    label_patients_up_to
        Patients up to which each bar bears its id.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        ``waterfall``, ``spider``, ``swimmer``.
    """
    best = dict(zip(outcomes["patient"], texts_of(outcomes, "best_response"), strict=True))
    return {
        "waterfall": _draw_waterfall(responses, best, study, label_patients_up_to),
        "spider": _draw_spider(points, best, study),
        "swimmer": _draw_swimmer(outcomes, points, study, label_patients_up_to),
    }


def _draw_waterfall(
    responses: pd.DataFrame | None, best: Mapping[str, str], study: Mapping[str, Any], most: int
) -> Figure:
    known = pd.DataFrame() if responses is None else responses.dropna(subset="best_change")
    if known.empty:
        return empty_figure(WATERFALL, "No patient has a sum of target lesions after baseline.", study)
    known = known.sort_values("best_change", ascending=False, kind="stable", ignore_index=True)
    width = min(12.0, max(6.5, 2.5 + 0.22 * len(known)))
    without = len(best) - len(known)
    figure = new_figure(
        width,
        3.7,
        study,
        title=WATERFALL,
        subtitle=f"{counted(len(known), 'patient')} with target lesions followed; {without} of the cohort without.",
        footer="Smallest sum of diameters up to the first progression, in percent of baseline. Lines at "
        f"{PARTIAL} % (partial response) and {GROWTH:+d} %. Colours are best overall "
        "responses, which new and non-target lesions decide as well.",
        key=True,
    )
    axes = figure.add_subplot()
    for at, (patient, change) in enumerate(zip(known["patient"], known["best_change"], strict=True)):
        style = RESPONSES.get(best.get(str(patient), ""), RESPONSES[""])
        axes.bar(at, min(change, TOP), width=0.82, color=style.colour, gid="bar")
        if change > TOP:
            axes.text(at, TOP, f"{change:.0f}", ha="center", va="bottom", fontsize=6.5)
        if abs(change) < 0.5:
            axes.plot(at, 0, marker="_", color=style.colour, markersize=6)
    for line in (PARTIAL, GROWTH):
        axes.axhline(line, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    _name_bars(axes, known["patient"].astype(str).tolist(), most)
    axes.set_xlim(-0.7, len(known) - 0.3)
    axes.set_ylim(-105, min(max(float(known["best_change"].max()), GROWTH) + 10, TOP + 12))
    axes.set_ylabel("Change from baseline (%)")
    axes.grid(axis="y")
    _add_key(figure, axes, [best.get(str(patient), "") for patient in known["patient"]], marks=False)
    return figure


def _name_bars(axes: Axes, patients: list[str], most: int) -> None:
    if len(patients) <= most:
        axes.set_xticks(range(len(patients)), [clip_text(name, 10) for name in patients], rotation=90, fontsize=6.5)
    else:
        axes.set_xticks([])
        axes.set_xlabel("Patients")


def _add_key(figure: Figure, axes: Axes, held: list[str], *, marks: bool) -> None:
    """Name the responses that are there, by colour, and by marker where there is one."""
    for name, style in RESPONSES.items():
        if name in held:
            if marks:
                axes.plot([], [], color=style.colour, marker=style.marker, linestyle="none", label=style.short)
            else:
                axes.bar(0, 0, color=style.colour, label=style.short)
    draw_key(figure, [axes])


def _draw_spider(points: pd.DataFrame | None, best: Mapping[str, str], study: Mapping[str, Any]) -> Figure:
    known = pd.DataFrame() if points is None else points[points["baseline_sum"].notna()]
    if known.empty:
        return empty_figure(SPIDER, "No patient has a sum of target lesions.", study)
    unit = study["time_unit"]
    figure = new_figure(
        7.5,
        4.0,
        study,
        title=SPIDER,
        subtitle=f"{counted(known['patient'].nunique(), 'patient')} with target lesions, from baseline on.",
        footer="Sum of diameters in percent of baseline; colours and markers are best overall responses. A ring is an "
        "assessment with progression; lines end at the last sum measured.",
        key=True,
    )
    axes = figure.add_subplot()
    for patient, rows in known.groupby("patient", sort=False):
        style = RESPONSES.get(best.get(str(patient), ""), RESPONSES[""])
        rows = rows.assign(change=rows["change"].astype(float).where(rows["response"].fillna("") != "", 0.0))
        rows = rows.dropna(subset="change")
        times = rows["day"].clip(lower=0) / DAYS[unit]
        heights = rows["change"].clip(upper=TOP)
        axes.plot(
            times, heights, color=style.colour, linestyle=style.linestyle, marker=style.marker, markersize=4,
            linewidth=1, alpha=0.85, markeredgecolor="white", markeredgewidth=0.4, gid=f"patient:{patient}",
        )  # fmt: skip
        ends = (rows["response"] == "PD").to_numpy()
        axes.plot(
            times[ends], heights[ends], linestyle="none", marker="o", markersize=8, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=0.8, gid="progression",
        )  # fmt: skip
    for line in (PARTIAL, GROWTH):
        axes.axhline(line, color=MUTED, linewidth=0.8, linestyle="--", zorder=0)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=0)
    axes.set_ylim(-105, TOP + 8)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"Time ({unit})")
    axes.set_ylabel("Change from baseline (%)")
    axes.grid(axis="y")
    _add_key(figure, axes, [best.get(str(patient), "") for patient in known["patient"].unique()], marks=True)
    return figure


def _draw_swimmer(outcomes: pd.DataFrame, points: pd.DataFrame | None, study: Mapping[str, Any], most: int) -> Figure:
    table = _lengths(outcomes)
    if table.empty:
        return empty_figure(SWIMMER, "No patient has a time.", study)
    row = min(0.22, max(0.1, 8 / len(table)))
    figure = new_figure(
        8.5,
        1.1 + row * len(table),
        study,
        title=SWIMMER,
        subtitle=f"{counted(len(table), 'patient')}, the longest followed above. Bars end at death or last contact"
        + ("; the dark part is time on treatment." if table["treatment_time"].notna().any() else "."),
        footer="Colours are best overall responses.",
        key=True,
    )
    axes = figure.add_subplot()
    responses = texts_of(table, "best_response")
    for height, (patient, response) in enumerate(zip(table.to_dict("records"), responses, strict=True)):
        style = RESPONSES.get(response, RESPONSES[""])
        axes.barh(height, patient["length"], height=0.74, color=style.colour, alpha=0.45, linewidth=0, gid="lane")
        if patient["treatment_time"] > 0:
            axes.barh(height, patient["treatment_time"], height=0.74, color=style.colour, linewidth=0, gid="treatment")
        _draw_ends(axes, height, patient)
    _draw_assessed(axes, table, points, study)
    _finish_swimmer(axes, table, study, most)
    _add_key(figure, axes, responses.tolist(), marks=False)
    return figure


def _lengths(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the patients with a time, the length of their lanes, longest first."""
    names = ["pfs_time", "pfs_event", "os_time", "os_event", "treatment_time", "last_contact"]
    numbers = outcomes.reindex(columns=names).apply(pd.to_numeric, errors="coerce")
    table = outcomes.assign(**{name: numbers[name] for name in names})
    length = numbers[["pfs_time", "os_time", "treatment_time", "last_contact"]].max(axis=1)
    table = table.assign(length=length).dropna(subset="length")
    return table.sort_values("length", ascending=False, kind="stable", ignore_index=True)


def _draw_ends(axes: Axes, height: int, patient: Any) -> None:
    """Mark progression, death, and that a patient lives on."""
    dead = patient["os_event"] == 1
    if patient["pfs_event"] == 1 and not (dead and patient["pfs_time"] == patient["os_time"]):
        axes.plot(patient["pfs_time"], height, marker="X", color=INK, markersize=5, linestyle="none", gid="progression")
    if dead:
        axes.plot(patient["os_time"], height, marker="s", color=INK, markersize=4, linestyle="none", gid="death")
    elif pd.notna(patient["os_event"]):
        axes.plot(patient["length"], height, marker=">", color=INK, markersize=4.5, linestyle="none", gid="alive")


def _draw_assessed(axes: Axes, table: pd.DataFrame, points: pd.DataFrame | None, study: Mapping[str, Any]) -> None:
    """Mark the first complete or partial response of each patient where assessments tell it."""
    if points is None or points.empty:
        return
    heights = {patient: height for height, patient in enumerate(table["patient"])}
    ordered = points.sort_values("day", kind="stable")
    before = ~(ordered["response"] == "PD").groupby(ordered["patient"]).cummax()
    first = ordered[ordered["response"].isin(["CR", "PR"]) & before].drop_duplicates("patient")
    for patient, day in zip(first["patient"], first["day"], strict=True):
        if patient in heights:
            place = day / DAYS[study["time_unit"]]
            axes.plot(
                place, heights[patient], marker="o", color="white", markeredgecolor=INK, markersize=4.5,
                linestyle="none", gid="response",
            )  # fmt: skip


def _finish_swimmer(axes: Axes, table: pd.DataFrame, study: Mapping[str, Any], most: int) -> None:
    if len(table) <= most:
        size = 7 if len(table) <= 50 else 5
        axes.set_yticks(range(len(table)), [clip_text(str(name), 14) for name in table["patient"]], fontsize=size)
    else:
        axes.set_yticks([])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0, float(table["length"].max()) * 1.04 or 1.0)
    axes.set_xlabel(f"Time ({study['time_unit']})")
    axes.grid(axis="x", color=FAINT)
    marks = {"X": "Progression", "s": "Death", ">": "Alive"}
    held = {artist.get_gid() for artist in axes.lines}
    for marker, name in marks.items():
        if name.lower() in held:
            axes.plot([], [], marker=marker, color=INK, linestyle="none", markersize=5, label=name)
    if "response" in held:
        axes.plot([], [], marker="o", color="white", markeredgecolor=INK, linestyle="none", label="First response")
