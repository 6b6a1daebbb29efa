"""Who was sampled when, and which layers of data each sample has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.designs import RESPONSE_GROUPS, group_column, group_names
from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, LAYERS, MUTED, group_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Cohort: patients, visits and layers of data"


@styled
def draw_cohort(design: pd.DataFrame, study: Mapping[str, Any], *, label_patients_up_to: int) -> Figure:
    """Draw one tile per patient and visit, patients grouped as the contrasts compare them.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, tissue, response, and where known gex, tcr, bulk_tcr,
        best_response, arm, and the column that a contrast names for its groups.
    study
        Facts of the cohort: visits, tissues, labels, simulated, contrasts. The first contrast whose group column is
        filled tells the groups; without one it is the response.
    label_patients_up_to
        Patients up to which each row bears its id.

    Returns
    -------
    matplotlib.figure.Figure
        One axes.
    """
    if design.empty:
        return empty_figure(TITLE, "The design table has no sample.", study)
    column, order = _grouping(design, study)
    patients = _order_patients(design, column, order)
    columns = _columns(design, study)
    layers = [name for name in LAYERS if name in design and _filled(design[name]).any()]
    labelled = len(patients) <= label_patients_up_to
    row = min(0.24, max(0.15, 6 / len(patients)), 13 / len(patients))
    width = min(11.5, max(6.5, 3.4 + 1.35 * len(columns)))
    subtitle = f"{counted(len(patients), 'patient')}, {counted(len(design), 'sample')}. "
    subtitle += "Rows are patients; each tile is a sample, its parts are layers of data."
    figure = new_figure(
        width,
        row * (len(patients) + 1.5 * _group_count(patients)) + 1.1,
        study,
        title=TITLE,
        subtitle=subtitle,
        footer="A line across a tile's place means: no sample of this patient at this visit.",
    )
    axes = figure.add_subplot()
    rows = _rows(patients)
    _draw_tiles(axes, design, rows, columns, layers)
    _draw_groups(axes, patients, rows, {name: _group_name(study, column, name) for name in patients["group"]})
    if labelled:
        _draw_ids(axes, patients, rows, len(columns))
    _finish(axes, design, rows, columns, layers, study)
    return figure


def _grouping(design: pd.DataFrame, study: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the column that groups the patients, and its groups in the order in which they are compared."""
    for contrast in study.get("contrasts") or []:
        column = group_column(contrast)
        if column in design and _filled(design[column]).any():
            return column, group_names(contrast, design[column].fillna("").astype(str))
    return "response", list(RESPONSE_GROUPS)


def _group_name(study: Mapping[str, Any], column: str, group: str) -> str:
    """Return the heading of a group; patients without one are said to be so."""
    return shown(study, group) if group or column == "response" else f"{shown(study, column)} not recorded"


def _order_patients(design: pd.DataFrame, column: str, order: list[str]) -> pd.DataFrame:
    """One row per patient: group (of the first sample), best response and arm, groups in the order given."""
    table = design.drop_duplicates("patient").set_index("patient")
    names = [name for name in dict.fromkeys((column, "best_response", "arm")) if name in table]
    table = table[names].fillna("").astype(str)
    table["group"] = table.get(column, "")
    places = [*order, *sorted(set(table["group"]) - {*order, ""}), ""]
    return table.sort_values("group", key=lambda groups: groups.map(places.index), kind="stable")


def _group_count(patients: pd.DataFrame) -> int:
    return int(patients["group"].nunique())


def _columns(design: pd.DataFrame, study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of tissue and visit that any sample has, in the study's order."""
    present = set(zip(design["tissue"].astype(str), design["visit"].astype(str), strict=True))
    tissues, visits = list(study.get("tissues") or []), list(study.get("visits") or [])
    ordered = [(tissue, visit) for tissue in tissues for visit in visits if (tissue, visit) in present]
    return ordered + sorted(present - set(ordered))


def _rows(patients: pd.DataFrame) -> dict[str, float]:
    """Height of each patient's row, with room for a heading above each group."""
    heights, at, last = {}, 0.0, None
    for patient, group in patients["group"].items():
        at += 1.5 if group != last else 0
        heights[str(patient)] = at
        at, last = at + 1, group
    return heights


def _filled(column: pd.Series) -> pd.Series:
    return column.fillna("").astype(str) != ""


def _draw_tiles(
    axes: Axes,
    design: pd.DataFrame,
    rows: dict[str, float],
    columns: list[tuple[str, str]],
    layers: list[str],
) -> None:
    samples: dict[tuple[str, str, str], list[dict[Any, Any]]] = {}
    for sample in design.to_dict("records"):
        samples.setdefault((str(sample["patient"]), str(sample["tissue"]), str(sample["visit"])), []).append(sample)
    for patient, height in rows.items():
        for place, (tissue, visit) in enumerate(columns):
            here = samples.get((patient, tissue, visit))
            if here is None:
                axes.plot([place - 0.18, place + 0.18], [height, height], color=FAINT, linewidth=1, gid="missing")
            else:
                _draw_tile(axes, place, height, here, layers)


def _draw_tile(axes: Axes, place: int, height: float, samples: list[dict[Any, Any]], layers: list[str]) -> None:
    parts = layers or ["sample"]
    width = 0.8 / len(parts)
    for at, layer in enumerate(parts):
        held = any(str(sample.get(layer) or "") not in ("", "nan") for sample in samples)
        axes.barh(
            height,
            width - 0.02,
            left=place - 0.4 + at * width,
            height=0.74,
            linewidth=0.6,
            gid="tile",
            color=LAYERS.get(layer, MUTED) if held else "white",
            edgecolor=LAYERS.get(layer, MUTED) if held else FAINT,
        )


def _draw_groups(axes: Axes, patients: pd.DataFrame, rows: dict[str, float], names: Mapping[str, str]) -> None:
    styles = group_styles(patients["group"])
    for group, members in patients.groupby("group", sort=False):
        heights = [rows[str(patient)] for patient in members.index]
        style = styles[str(group)]
        text = f"{names[str(group)]}  n = {len(members)}"
        axes.text(-0.62, heights[0] - 0.72, text, fontsize=8.5, fontweight="bold", color=style.colour, va="bottom")
        axes.plot(
            [-0.56] * 2,
            [heights[0] - 0.4, heights[-1] + 0.4],
            color=style.colour,
            linewidth=3,
            solid_capstyle="butt",
        )


def _draw_ids(axes: Axes, patients: pd.DataFrame, rows: dict[str, float], columns: int) -> None:
    size = 7.5 if len(rows) <= 45 else 6
    axes.set_yticks(list(rows.values()), [clip_text(name, 22) for name in rows], fontsize=size)
    for at, name in enumerate(("best_response", "arm")):
        if name in patients and (patients[name] != "").any():
            place = columns - 0.42 + at * 0.5
            axes.text(place, 0.75, name.replace("_", " "), fontsize=7, color=MUTED, va="bottom")
            for patient, value in patients[name].items():
                axes.text(place, rows[str(patient)], clip_text(value, 14), fontsize=size, va="center")


def _finish(
    axes: Axes,
    design: pd.DataFrame,
    rows: dict[str, float],
    columns: list[tuple[str, str]],
    layers: list[str],
    study: Mapping[str, Any],
) -> None:
    counts = design.groupby([design["tissue"].astype(str), design["visit"].astype(str)])["patient"].nunique()
    several = len({tissue for tissue, _ in columns}) > 1
    names = [
        "\n".join(
            ([shown(study, tissue)] if several else [])
            + [clip_text(shown(study, visit), 18), f"n = {counts[tissue, visit]}"]
        )
        for tissue, visit in columns
    ]
    axes.set_xticks(range(len(columns)), names, fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.65, len(columns) + 0.6)
    axes.set_ylim(max(rows.values()) + 0.8, 0.3)
    if len(rows) > len(axes.get_yticklabels()) or not axes.get_yticks().size:
        axes.set_yticks([])
    handles = [axes.barh(-99, 0, color=LAYERS[layer], label=shown(study, layer)) for layer in layers]
    if handles:
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
