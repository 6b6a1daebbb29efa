"""Which subsets hold the expanded clones of each patient, and which subsets share clones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.clone_cells import is_closed
from immune_landscape.display_text import clip_text, counted, ordered_visits, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import GROUPS, MUTED, WARNING, group_styles, text_on
from immune_landscape.panels import label_groups, patient_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUBSETS, TRANSITIONS = "Expanded clones by subset", "Clones that subsets share"
STAR = " ★"
"""Behind the name of a subset whose receptor cells are mostly MAIT or iNKT cells."""

MARKED = (
    f"{STAR.strip()} Mostly MAIT or iNKT receptors, which are alike without a common antigen: no sign of a response."
)
FRAMED = "Framed: CD4 against CD8. No clone is both, so this is what wrong labels make."
MOSTLY = 0.5
NUMBER = "expanded_share_at_depth"


@styled
def draw_links(
    subsets: pd.DataFrame,
    summary: pd.DataFrame,
    definition: str,
    study: Mapping[str, Any],
    *,
    columns: int,
    min_patients: int,
) -> dict[str, Figure]:
    """Draw the expanded share of each subset, patient by patient, and the transitions between subsets.

    Parameters
    ----------
    subsets
        First table of `link_clones.link_clones`.
    summary
        Second table of `measure_transitions.measure_transitions`.
    definition
        As `define_clonotypes.definition_text` writes it; printed below.
    study
        Facts of the cohort.
    columns
        Panels per row.
    min_patients
        Patients that a subset, or a pair of subsets, needs to be drawn.

    Returns
    -------
    dict
        ``subsets``, one panel per subset, and ``transitions``, two maps.
    """
    return {
        "subsets": _draw_subsets(subsets, definition, study, columns, min_patients),
        "transitions": _draw_transitions(summary, definition, study, min_patients),
    }


def _draw_subsets(
    subsets: pd.DataFrame, definition: str, study: Mapping[str, Any], columns: int, min_patients: int
) -> Figure:
    known = subsets[subsets[NUMBER].notna() & subsets["subset"].map(is_closed).astype(bool)]
    patients = known.groupby("subset")["patient"].nunique()
    wanted = _by_share(known, list(patients.index[patients >= min_patients]))
    if not wanted:
        return empty_figure(SUBSETS, "Too few samples have enough T cells with a receptor (link_clones).", study)
    columns = min(columns, len(wanted))
    rows = -(-len(wanted) // columns)
    values = known[known["subset"].isin(wanted)]
    figure = new_figure(
        max(8.0, min(11.8, 2.9 * columns)),
        1.85 * rows,
        study,
        title=SUBSETS,
        key=True,
        subtitle="Share of the subset's T cells whose clonotype is expanded in the sample, expected at "
        f"{int(values['depth'].min()):,} T cells with a receptor of every sample. "
        f"{counted(values['sample'].nunique(), 'sample')} of {counted(values['patient'].nunique(), 'patient')}.",
        footer=f"{definition}. {_mark_note(values.groupby('subset')['invariant_share'].mean())}",
    )
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    levels = _levels(values, study)
    for axes, subset in zip(panels, wanted, strict=False):
        _draw_panel(axes, values[values["subset"] == subset], levels, study)
    for axes in panels[len(wanted) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("% expanded")
    panels[0].set_ylim(bottom=0)
    label_groups(panels[0], values, study)
    draw_key(figure, [panels[0]])
    return figure


def _by_share(values: pd.DataFrame, names: list[str]) -> list[str]:
    """Put the subset with the highest shares first."""
    middle = values.groupby("subset")[NUMBER].median().loc[names]
    return [str(name) for name in middle.sort_values(ascending=False, kind="stable").index]


def _mark_note(shares: pd.Series) -> str:
    return MARKED if (shares > MOSTLY).any() else ""


def _levels(values: pd.DataFrame, study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the tissues and visits in the order in which they stand side by side."""
    present = set(zip(values["tissue"], values["visit"], strict=True))
    tissues = [name for name in study.get("tissues") or [] if name in set(values["tissue"])]
    tissues += sorted(set(values["tissue"]) - set(tissues))
    visits = ordered_visits(values["visit"], study)
    return [(tissue, visit) for tissue in tissues for visit in visits if (tissue, visit) in present]


def _draw_panel(axes: Axes, values: pd.DataFrame, levels: list[tuple[str, str]], study: Mapping[str, Any]) -> None:
    responses = values["response"].fillna("").astype(str)
    styles = group_styles(group for group in GROUPS if (responses == group).any())
    shift = dict(zip(styles, np.linspace(-0.1, 0.1, len(styles)) if len(styles) > 1 else [0.0], strict=True))
    place = {level: at for at, level in enumerate(levels)}
    for patient, table in values.groupby("patient", sort=False):
        group = str(table["response"].fillna("").iloc[0])
        at = [place[level] + shift[group] for level in zip(table["tissue"], table["visit"], strict=True)]
        ordered = table.assign(at=at).sort_values("at")
        style = styles[group]
        patient_line(axes, ordered["at"], 100 * ordered[NUMBER], style, str(patient))
    subset, invariant = str(values["subset"].iloc[0]), float(values["invariant_share"].mean())
    axes.set_title(_marked(study, subset, invariant), fontsize=8.5)
    axes.set_xticks(range(len(levels)), [_level_name(level, levels, study) for level in levels])
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.grid(axis="y")
    note = f"n = {values['patient'].nunique()}"
    note += f", {invariant:.0%} MAIT or iNKT" if invariant >= 0.05 else ""
    axes.annotate(
        note, (1, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", ha="right", va="bottom",
        fontsize=6.8, color=MUTED,
    )  # fmt: skip


def _marked(study: Mapping[str, Any], subset: str, invariant: float) -> str:
    return shown(study, subset) + (STAR if invariant > MOSTLY else "")


def _level_name(level: tuple[str, str], levels: list[tuple[str, str]], study: Mapping[str, Any]) -> str:
    """Name what tells the levels apart: the visit, the tissue, or both."""
    several = [len({each[part] for each in levels}) > 1 for part in (0, 1)]
    parts = [shown(study, name) for name, apart in zip(level, several, strict=True) if apart]
    return "\n".join(clip_text(part, 13) for part in parts or [shown(study, level[1])])


def _draw_transitions(summary: pd.DataFrame, definition: str, study: Mapping[str, Any], min_patients: int) -> Figure:
    rows = summary[(summary["measure"] == "transition") & summary["standardised"].astype(bool)]
    pairs = rows[(rows["second"].fillna("") != "") & (rows["patients"] >= min_patients)]
    if pairs.empty:
        return empty_figure(TRANSITIONS, "Too few patients have two subsets to compare (measure_transitions).", study)
    names = _similar_side_by_side(pairs)
    own = rows[rows["second"].fillna("") == ""].set_index("first")["invariant_share"]
    size = min(5.2, 0.9 + 0.42 * len(names))
    figure = new_figure(
        max(8.5, 2 * size + 1.4),
        size,
        study,
        title=TRANSITIONS,
        subtitle="STARTRAC transition index of two subsets, at "
        f"{int(pairs['depth'].min()):,} T cells of every patient. Above the diagonal the median over patients, below "
        "it the number of patients.",
        footer=f"{definition}. Chance: subsets exchanged among the cells of a sample. "
        f"{FRAMED if pairs['across_sides'].astype(bool).any() else ''} {_mark_note(own.reindex(names))}",
    )
    labels = [clip_text(_marked(study, name, float(own.get(name, 0.0))), 18) for name in names]
    axes = figure.subplots(1, 2)
    _draw_map(axes[0], pairs, names, "median", "Index (bits)")
    _draw_map(axes[1], pairs, names, "median_relative", "Index over chance")
    for each in axes:
        each.set_xticks(range(len(names)), labels, rotation=90)
        each.set_yticks(range(len(names)), labels)
    return figure


def _similar_side_by_side(pairs: pd.DataFrame) -> list[str]:
    """Order subsets by name, which puts those of one lineage together."""
    return sorted(set(pairs["first"]) | set(pairs["second"]))


def _draw_map(axes: Axes, pairs: pd.DataFrame, names: list[str], column: str, title: str) -> None:
    """Draw values above the diagonal, written into their squares, and numbers of patients below it."""
    from matplotlib.colors import to_hex
    from matplotlib.patches import Rectangle

    place = {name: at for at, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    written = []
    for row in pairs.to_dict("records"):
        first, second = sorted((place[row["first"]], place[row["second"]]))
        matrix[first, second] = row[column]
        written.append((second, first, f"{row['patients']:.0f}", MUTED))
        if row["across_sides"]:
            corner = (second - 0.46, first - 0.46)
            frame = Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=WARNING, linewidth=0.8, gid="across_sides")
            axes.add_patch(frame)
    top = max(float(np.nanmax(matrix)), 1e-9) if np.isfinite(matrix).any() else 1.0
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=top, interpolation="nearest")
    for first, second in zip(*np.nonzero(np.isfinite(matrix)), strict=True):
        value = matrix[first, second]
        colour = text_on(to_hex(tuple(image.to_rgba(value))))
        written.append((first, second, _short(value), colour))
    for down, across, text, colour in written:
        axes.text(across, down, text, ha="center", va="center", fontsize=6.3, color=colour)
    axes.set_title(title)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _short(value: float) -> str:
    """Write a number in a small square."""
    return "0" if value < 0.005 else f"{value:.2f}".lstrip("0") if value < 1 else f"{value:.1f}"
