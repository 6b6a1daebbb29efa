"""The largest clones of each patient from visit to visit, and which of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.display_text import clip_text, counted, ordered_visits, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import MUTED, group_rank, group_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "T-cell clones from visit to visit"
COUNTED = {"bulk_tcr": "templates", "tcr": "receptor cells"}
COLOURS = {"expanded": "#D55E00", "contracted": "#0072B2", "stable": "#9A9A9A", "untested": "#DDDDDD"}
"""Change of a clone -> colour of its band."""

WORDS = {
    "expanded": "Expanded",
    "contracted": "Contracted",
    "stable": "Tested, no change beyond noise",
    "untested": "Too small to be tested",
}
_CURVE = 24
_BAR = 0.07
_KEYS = ["patient", "tissue"]


@styled
def draw_tracks(
    clones: pd.DataFrame,
    pairs: pd.DataFrame,
    source: str,
    study: Mapping[str, Any],
    *,
    top_clones: int,
    columns: int,
) -> Figure:
    """Draw the largest clones of each patient as bands over the visits.

    Parameters
    ----------
    clones, pairs
        Tables of `track_clones.track_clones`.
    source
        ``bulk_tcr`` or ``tcr``.
    study
        Facts of the cohort; ``definition``, as `define_clonotypes.definition_text` writes it, is printed below clones
        from cells.
    top_clones
        Clones drawn per patient, those with the largest share at any visit.
    columns
        Panels per row.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per patient and tissue, responders first.
    """
    if clones.empty:
        return empty_figure(TITLE, "No patient has receptors at two visits.", study)
    panels = _panels(pairs)
    rows = -(-len(panels) // columns)
    noise = pairs["overdispersion"].astype(float)
    figure = new_figure(
        min(11.8, max(8.0, 0.7 + 1.85 * columns)),
        1.75 * rows + 0.25,
        study,
        title=TITLE,
        key=True,
        subtitle=f"{shown(study, source)}: the {top_clones} largest clones of {counted(len(panels), 'patient')}, "
        f"as shares of each sample's productive {COUNTED[source]}; changes against {_references(pairs, study)}.",
        footer="Below each panel: clones that changed beyond sampling noise, of those tested, at the last visit; false "
        f"discoveries are held within each pair of samples. Noise between samples: correlation "
        f"{_range(noise)}. Clones of one patient are no replicates: patients are compared elsewhere."
        + (f" {study['definition']}." if source == "tcr" and "definition" in study else ""),
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for each, (keys, group) in zip(axes, panels.items(), strict=False):
        _draw_patient(each, clones, pairs, keys, group, study, top_clones)
    for each in axes[len(panels) :]:
        each.set_axis_off()
    for each in axes[::columns]:
        each.set_ylabel("% of repertoire")
    axes[0].set_ylim(bottom=0)
    _label(axes[0])
    draw_key(figure, [axes[0]])
    return figure


def _panels(pairs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Order patients by response and name; each tissue has its panel."""
    table = pairs.assign(response=pairs["response"].fillna("").astype(str)).drop_duplicates(_KEYS)
    table["rank"] = table["response"].map(group_rank)
    ordered = table.sort_values(["rank", *_KEYS], kind="stable")
    return {(row["patient"], row["tissue"]): row["response"] for row in ordered.to_dict("records")}


def _references(pairs: pd.DataFrame, study: Mapping[str, Any]) -> str:
    names = ordered_visits(pairs["reference_visit"], study)
    return shown(study, names[0]).lower() if len(names) == 1 else "the visit before"


def _range(noise: pd.Series) -> str:
    low, high = f"{noise.min():.2g}", f"{noise.max():.2g}"
    return low if low == high else f"{low} to {high}"


def _draw_patient(
    axes: Axes,
    clones: pd.DataFrame,
    pairs: pd.DataFrame,
    keys: tuple[str, str],
    group: str,
    study: Mapping[str, Any],
    top_clones: int,
) -> None:
    own = clones[(clones["patient"] == keys[0]) & (clones["tissue"] == keys[1])]
    own_pairs = pairs[(pairs["patient"] == keys[0]) & (pairs["tissue"] == keys[1])]
    visits = ordered_visits([*own_pairs["reference_visit"], *own_pairs["visit"]], study)
    shares = _shares(own, visits)
    # The largest lie at the bottom, so that bands keep their order and never cross.
    top = shares.max(axis=1).sort_values(ascending=False, kind="stable").index[:top_clones]
    changes = own.pivot_table(index="clonotype", columns="visit", values="change", aggfunc="first")
    _draw_bands(axes, 100 * shares.loc[top, visits], changes)
    tissues = pairs.groupby("patient")["tissue"].nunique()
    name = f"{keys[0]} {shown(study, keys[1]).lower()}" if tissues[keys[0]] > 1 else keys[0]
    style = group_styles([group])[group]
    axes.set_title(clip_text(f"{name}  {style.short}", 26), fontsize=8, color=style.colour, pad=3)
    axes.set_xticks(range(len(visits)), _visit_names(visits, study))
    if len(visits) > 3:
        axes.tick_params(axis="x", labelrotation=90, labelsize=6.5)
    axes.set_xlim(-0.12, len(visits) - 0.88)
    axes.set_xlabel(_result(own[own["visit"] == visits[-1]]), fontsize=6.8, color=MUTED)


def _visit_names(visits: list[str], study: Mapping[str, Any]) -> list[str]:
    names = [shown(study, visit) for visit in visits]
    return [clip_text(name, 12) for name in names]


def _shares(own: pd.DataFrame, visits: list[str]) -> pd.DataFrame:
    """Return clones x visits; a clone that is not listed at a visit was among neither its largest nor those tested."""
    later = own.pivot_table(index="clonotype", columns="visit", values="share_after", aggfunc="first")
    first = own.pivot_table(index="clonotype", columns="reference_visit", values="share_before", aggfunc="first")
    return later.combine_first(first).reindex(columns=visits).fillna(0.0)


def _draw_bands(axes: Axes, shares: pd.DataFrame, changes: pd.DataFrame) -> None:
    tops = shares.cumsum()
    curve = (1 - np.cos(np.linspace(0, np.pi, _CURVE))) / 2
    for clone in shares.index:
        upper, lower = tops.loc[clone].to_numpy(), (tops.loc[clone] - shares.loc[clone]).to_numpy()
        for place, visit in enumerate(shares.columns[1:], start=1):
            found = changes.loc[clone].get(visit) if clone in changes.index else None
            colour = COLOURS[found if isinstance(found, str) else "untested"]
            across = place - 1 + _BAR + (1 - 2 * _BAR) * np.linspace(0, 1, _CURVE)
            ends = [low[place - 1] + curve * (low[place] - low[place - 1]) for low in (lower, upper)]
            axes.fill_between(across, *ends, color=colour, linewidth=0.25, edgecolor="white", gid=f"clone:{clone}")
        shown_at = np.arange(len(shares.columns))
        axes.bar(shown_at, upper - lower, 2 * _BAR, lower, color="#5A5A5A", edgecolor="white", linewidth=0.25)


def _result(last: pd.DataFrame) -> str:
    number = last["change"].value_counts()
    tested = int(number.drop("untested", errors="ignore").sum())
    return f"{number.get('expanded', 0)} up, {number.get('contracted', 0)} down of {tested:,} tested"


def _label(axes: Axes) -> None:
    for name, words in WORDS.items():
        axes.fill_between([], [], [], color=COLOURS[name], label=words)
