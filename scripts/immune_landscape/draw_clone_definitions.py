"""What other definitions of a clonotype make of expansion and of its comparison."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, format_p, sentence, shown, shown_feature, shown_parent
from immune_landscape.draw_contrasts import direction_of, question_of
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.measure_expansion import UNITS
from immune_landscape.palette import INK, MUTED, WARNING
from immune_landscape.repertoire_metrics import LOG_HILL_2

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Other definitions of a clonotype"
SUMMARY = "definitions"
COMPARED_UNITS = UNITS | {"gini_simpson": LOG_HILL_2}
PRIMARY = "#0072B2"
COUNTS = {"cells": "Receptor cells", "clonotypes": "Clonotypes", "largest": "Cells of\nlargest clone"}
METRICS = ("expanded_share", "clonality", "gini_simpson")
SEQUENCES = {"nt": "nucleotides", "aa": "amino acids"}
CHAINS = {
    "all": "VJ and VDJ where present",
    "paired": "VJ and VDJ, paired cells",
    "any": "VJ or VDJ",
    "VJ": "VJ alone",
    "VDJ": "VDJ alone",
}
DUAL = {"primary_only": "primary chains", "any": "any chain", "all": "all chains"}
ROW = 0.19


@styled
def draw_clone_definitions(
    definitions: pd.DataFrame,
    samples: pd.DataFrame,
    contrasts: pd.DataFrame,
    definition: str,
    study: Mapping[str, Any],
    *,
    max_features: int,
) -> dict[str, Figure]:
    """Draw repertoires under every definition, and one page per contrast with its effects.

    Parameters
    ----------
    definitions, samples, contrasts
        Tables of `sweep_clonotypes.sweep_clonotypes`.
    definition
        As `define_clonotypes.definition_text` writes it; printed below.
    study
        Facts of the cohort.
    max_features
        Features on a page at most.

    Returns
    -------
    dict
        ``definitions`` and each contrast -> figure. Definitions that put the same cells together share a row.
    """
    rows = _rows_of(definitions)
    note = f"{definition}: declared, in bold and blue."
    pages = {SUMMARY: _draw_summary(rows, samples, note, study)}
    for facts in study["contrasts"]:
        name = str(facts["name"])
        own = contrasts[(contrasts["contrast"] == name) & contrasts["definition"].isin(rows["definition"])]
        pages[name] = _draw_contrast(rows, own, name, note, study, max_features)
    return pages


def _rows_of(definitions: pd.DataFrame) -> pd.DataFrame:
    """Return the definitions that differ, in table order, with their names and how many others are the same."""
    same = definitions["same_as"].fillna("").astype(str)
    rows = definitions[same == ""].reset_index(drop=True)
    alike = rows["definition"].map(same.value_counts()).fillna(0).astype(int)
    names = [_name(row) for row in rows.to_dict("records")]
    texts = [f"{name} (+ {count})" if count else name for name, count in zip(names, alike, strict=True)]
    return rows.assign(text=texts, declared=rows["declared"].astype(str) == "True")


def _name(row: Mapping[Any, Any]) -> str:
    chains = CHAINS.get(str(row["chains"]), str(row["chains"]))
    v_gene = "same V" if str(row["same_v_gene"]) == "True" else "any V"
    return f"{SEQUENCES[str(row['sequence'])]}, {chains}, {DUAL[str(row['dual_ir'])]}, {v_gene}"


def _draw_summary(rows: pd.DataFrame, samples: pd.DataFrame, note: str, study: Mapping[str, Any]) -> Figure:
    metrics = [name for name in METRICS if rows[name].notna().any()]
    figure = new_figure(
        11.8,
        ROW * len(rows) + 0.65,
        study,
        title=TITLE,
        subtitle=f"{_counted(rows)} Large points: medians over samples at the depth of the smallest usable sample; "
        "lines: samples.",
        footer=f"{note} Each definition has its own depth, so metrics of different rows compare only roughly.",
    )
    panels = _panels(figure, rows, len(COUNTS) + len(metrics))
    for axes, (name, text) in zip(panels, COUNTS.items(), strict=False):
        _draw_points(axes, rows, rows[name].to_numpy(dtype=float))
        axes.set_xlim(0, 1.12 * max(1.0, float(rows[name].max())))
        axes.set_title(text, fontsize=8)
    for axes, name in zip(panels[len(COUNTS) :], metrics, strict=True):
        own = samples[samples["definition"].isin(rows["definition"])]
        heights = own["definition"].map({text: at for at, text in enumerate(rows["definition"])}).to_numpy(dtype=float)
        axes.plot(own[name], heights, "|", color=MUTED, markersize=5, alpha=0.35, zorder=1)
        _draw_points(axes, rows, rows[name].to_numpy(dtype=float))
        axes.set_title("\n".join(textwrap.wrap(shown_feature(study, "expansion", name), 16)[:2]), fontsize=8)
    return figure


def _draw_contrast(
    rows: pd.DataFrame, own: pd.DataFrame, name: str, note: str, study: Mapping[str, Any], most: int
) -> Figure:
    title = f"{shown(study, name)}: do other definitions of a clonotype agree?"
    if own.empty:
        return empty_figure(title, "No feature of single-cell receptors was tested in this contrast.", study)
    keys = list(own[["parent", "feature"]].drop_duplicates().itertuples(index=False, name=None))[:most]
    figure = new_figure(
        max(7.6, min(11.8, 4.2 + 2.3 * len(keys))),
        ROW * len(rows) + 0.95,
        study,
        title=title,
        subtitle=f"{_question(own, study)} {_counted(rows)} At the right p of each definition.",
        footer=f"{note} An orange cross has the opposite sign. Only the declared row is the result; the others show "
        "whether it hangs on the definition, and their p values are neither corrected nor counted.",
    )
    panels = _panels(figure, rows, len(keys))
    for axes, (parent, feature) in zip(panels, keys, strict=True):
        of_key = own[(own["parent"] == parent) & (own["feature"] == feature)].set_index("definition")
        _draw_effects(axes, rows, of_key.reindex(rows["definition"]))
        of = "" if parent == "all" else f"\nin {clip_text(shown_parent(study, parent), 22)}"
        axes.set_title(f"{clip_text(shown_feature(study, 'expansion', feature), 24)}{of}", fontsize=8.5)
        axes.set_xlabel(f"effect ({COMPARED_UNITS[feature]})", fontsize=7.5)
    return figure


def _draw_effects(axes: Axes, rows: pd.DataFrame, table: pd.DataFrame) -> None:
    """Draw the effect of one feature under each definition, with p at the right."""
    effects = table["effect"].to_numpy(dtype=float)
    _draw_points(axes, rows, effects, same=table["same_sign"].astype(str).to_numpy() != "False")
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=0)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    for height, p in enumerate(table["p"].astype(float)):
        axes.annotate(format_p(p), (1, height), xytext=(3, 0), fontsize=6.5, color=MUTED, **place)
    low, high = min(0.0, float(np.nanmin(effects))), max(0.0, float(np.nanmax(effects)))
    room = 0.12 * (high - low) or 1.0
    axes.set_xlim(low - room, high + room)


def _question(facts: pd.DataFrame, study: Mapping[str, Any]) -> str:
    return f"{sentence(question_of(facts, study))}; right of 0: {direction_of(facts, study)[1]}."


def _counted(rows: pd.DataFrame) -> str:
    return f"{counted(len(rows), 'definition')} that put cells together differently; (+ n): others that equal a row."


def _panels(figure: Figure, rows: pd.DataFrame, count: int) -> list[Axes]:
    """Return panels that share their rows, named at the left."""
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False).ravel())
    first = panels[0]
    first.set_yticks(range(len(rows)), rows["text"], fontsize=7)
    first.set_ylim(len(rows) - 0.4, -0.6)
    for tick, declared in zip(first.get_yticklabels(), rows["declared"], strict=True):
        tick.set_fontweight("bold" if declared else "normal")
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=3)
        axes.grid(axis="x")
    return panels


def _draw_points(axes: Axes, rows: pd.DataFrame, values: np.ndarray, same: np.ndarray | None = None) -> None:
    agree = np.ones(len(rows), dtype=bool) if same is None else same
    for at, (value, declared, holds) in enumerate(zip(values, rows["declared"], agree, strict=True)):
        colour = PRIMARY if declared else INK if holds else WARNING
        axes.plot(
            [value],
            [at],
            "o" if holds else "X",
            color=colour,
            markersize=6 if declared else 4,
            zorder=3,
            gid="declared" if declared else "definition",
        )
