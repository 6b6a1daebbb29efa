"""What each headline effect becomes under other analysis choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.display_text import (
    counted,
    format_effect,
    format_p,
    interval_name,
    patients_of,
    reach_of,
    sentence,
    shown,
    shown_parent,
)
from immune_landscape.draw_contrasts import direction_of, question_of
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import INK, MUTED, WARNING
from immune_landscape.panels import draw_interval
from immune_landscape.sweep_definitions import DECLARED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRIMARY, BAND = "#0072B2", "#DCEBF5"
CHOICES = {
    "primary": "Primary: CLR, permutation",
    "ancova": "Adjusted for reference value",
    "change_score": "Plain change",
    "references": "Steady references",
    "loo": "Without one patient",
    "labels": "Other cell labels",
    "definitions": "Other responder definitions",
    "binomial": "Quasi-binomial (log odds)",
    "propeller_logit": "propeller, logit",
}
"""Rows in natural log units, from the top."""

APART = {"propeller_asin": "propeller, arcsine √"}
"""Rows on a scale of their own."""

WIDTHS = {"primary": 2.2, "loo": 4.0}
COLUMNS = 3
ROW = 0.175


class Choice(NamedTuple):
    """One analysis choice of one subset.

    Attributes
    ----------
    effects
        Effects under the alternatives; one for a single alternative, two for the ends of a range.
    low, high
        Interval of a single alternative, or ends of a range; NaN for neither.
    told
        How many of them have the primary effect's sign, in words.
    """

    effects: Sequence[float]
    low: float
    high: float
    told: str


@styled
def draw_robustness(
    contrasts: pd.DataFrame,
    references: pd.DataFrame,
    models: pd.DataFrame,
    labels: pd.DataFrame,
    stability: pd.DataFrame,
    definitions: pd.DataFrame | None,
    study: Mapping[str, Any],
    *,
    max_subsets: int,
) -> dict[str, Figure]:
    """Draw one page per contrast: the headline subsets, each under every analysis choice.

    Parameters
    ----------
    contrasts, references
        Tables of `compare_composition`.
    models
        Table of `model_composition`.
    labels, stability
        Tables of `sweep_labels`; empty where labels were not swept.
    definitions
        Table of `sweep_definitions`, none where responders were not swept.
    study
        Facts of the cohort.
    max_subsets
        Subsets on a page at most; of a larger family those with the smallest p.

    Returns
    -------
    dict
        Contrast -> figure.
    """
    pages = {}
    for name, table in contrasts.groupby("contrast", sort=False):
        rows = _headline(table, max_subsets)
        found = [
            _choices_of(row, references, models, labels, stability, definitions) for row in rows.to_dict("records")
        ]
        title = f"{shown(study, str(name))}: do other analysis choices agree?"
        reason = "No subset of the family was tested in this contrast, so there is no effect to hold against others."
        pages[str(name)] = _draw_page(title, rows, found, table, study) if found else empty_figure(title, reason, study)
    return pages


def _headline(table: pd.DataFrame, max_subsets: int) -> pd.DataFrame:
    """Return the tested members of the family, or all tested rows where it has none, in the table's order."""
    tested = table[table["status"] == "tested"]
    family = tested[tested["p_maxt"].notna()] if tested["p_maxt"].notna().any() else tested
    chosen = family.sort_values("p", kind="stable").index[:max_subsets]
    return family.loc[family.index.isin(chosen)]


def _choices_of(
    row: Mapping[Any, Any],
    references: pd.DataFrame,
    models: pd.DataFrame,
    labels: pd.DataFrame,
    stability: pd.DataFrame,
    definitions: pd.DataFrame | None,
) -> dict[str, Choice]:
    """Collect what the tables say of one subset."""
    found = {"primary": Choice([row["effect"]], row["ci_low"], row["ci_high"], "same sign")}
    own = _rows_of(references, row)
    others = own[(own["reference"] != "clr") & own["steady"].astype(bool)]
    if len(others):
        found["references"] = _many(others)
    if pd.notna(row.get("loo_low", np.nan)):
        found["loo"] = _leave_one_out(row)
    swept, stable = _rows_of(labels, row), _rows_of(stability, row)
    if len(stable):
        found["labels"] = _swept(swept, stable.iloc[0])
    if definitions is not None:
        chosen = definitions[(definitions["layer"] == "composition") & (definitions["definition"] != DECLARED)]
        again = _rows_of(chosen.rename(columns={"feature": "subset"}), row)
        found |= {"definitions": _many(again)} if len(again) else {}
    for model in _rows_of(models, row).to_dict("records"):
        if model["role"] != "primary":
            found[model["model"]] = _model(model)
    return found


def _rows_of(table: pd.DataFrame, row: Mapping[Any, Any]) -> pd.DataFrame:
    same = (table["subset"] == row["subset"]) & (table["parent"] == row["parent"])
    return table[same & (table["contrast"] == row["contrast"])]


def _many(table: pd.DataFrame) -> Choice:
    same = int(_truth(table["same_sign"]).sum())
    return Choice(table["effect"].tolist(), np.nan, np.nan, f"{same} of {len(table)}")


def _leave_one_out(row: Mapping[Any, Any]) -> Choice:
    ends = [row["loo_low"], row["loo_high"]]
    told = "all" if np.prod(np.sign(ends)) > 0 and np.sign(ends[0]) == np.sign(row["effect"]) else "not all"
    flips = row.get("loo_flips", np.nan)
    if pd.notna(flips) and flips > 0:
        told += f"; p moved by {flips:.0f}"
    return Choice(ends, ends[0], ends[1], told)


def _swept(swept: pd.DataFrame, stable: pd.Series) -> Choice:
    present = round(stable["share_present"] * stable["runs"])
    told = f"{_truth(swept['same_sign']).sum():.0f} of {present}"
    absent = stable["runs"] - present
    return Choice(swept["effect"].tolist(), np.nan, np.nan, f"{told}; {absent:.0f} without" if absent else told)


def _model(model: Mapping[Any, Any]) -> Choice:
    if pd.isna(model["effect"]):
        return Choice([], np.nan, np.nan, "no estimate")
    told = "yes" if str(model["same_sign"]) == "True" else "no"
    return Choice([model["effect"]], model["ci_low"], model["ci_high"], told)


def _truth(column: pd.Series) -> pd.Series:
    """Read a column of truth values that may have been read as text."""
    return column.astype(str) == "True"


def _draw_page(
    title: str, rows: pd.DataFrame, found: list[dict[str, Choice]], table: pd.DataFrame, study: Mapping[str, Any]
) -> Figure:
    joint = [name for name in CHOICES if any(name in choices for choices in found)]
    apart = [name for name in APART if any(name in choices for choices in found)]
    across = min(COLUMNS, len(found))
    down = -(-len(found) // across)
    heights = [ROW * len(joint) + 0.2, *([ROW * len(apart) + 0.12] if apart else [])]
    figure = new_figure(
        1.9 + 3.2 * across,
        down * (sum(heights) + 0.62 + 0.25 * len(heights)) + 0.3,
        study,
        title=title,
        subtitle=f"{sentence(question_of(rows, study))}; right of 0: {direction_of(rows, study)[1]}. "
        + _counted(rows, table, study),
        footer=_footnote(rows, found, study),
    )
    grid = figure.subplots(down * len(heights), across, squeeze=False, height_ratios=heights * down)
    limits = [_limit(found, joint), _limit(found, apart)]
    for at in range(down * across):
        pair = grid[(at // across) * len(heights) : (at // across + 1) * len(heights), at % across]
        if at >= len(found):
            for axes in pair:
                axes.set_visible(False)
            continue
        for axes, names, limit in zip(pair, (joint, apart), limits, strict=False):
            _draw_choices(axes, names, found[at], limit, label=at % across == 0)
        _head(pair[0], rows.iloc[at].to_dict(), study)
        for axes, name in zip(pair, ("natural log units", "radians"), strict=False):
            axes.set_xlabel(name if at + across >= len(found) else "", fontsize=6.8, labelpad=1)
    return figure


def _draw_choices(axes: Axes, names: Sequence[str], found: Mapping[str, Choice], limit: float, *, label: bool) -> None:
    """Draw one row per choice; what has not the primary effect's sign stands out."""
    sign = np.sign(found["primary"].effects[0])
    primary = found["primary"]
    if "primary" in names and not np.isnan(primary.low):
        low, high = max(primary.low, -limit), min(primary.high, limit)
        axes.axvspan(low, high, color=BAND, zorder=0, linewidth=0, gid="primary_interval")
    for height, name in enumerate(names):
        if name in found:
            _draw_choice(axes, height, name, found[name], limit, sign)
        _write_beside(axes, height, found[name].told if name in found else "–", heading=name == "primary")
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.locator_params(axis="x", nbins=5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    texts = [(CHOICES | APART)[name] for name in names]
    axes.set_yticks(range(len(names)), texts if label else [""] * len(names))
    if label and "primary" in names:
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_choice(axes: Axes, height: int, name: str, choice: Choice, limit: float, sign: float) -> None:
    colour = PRIMARY if name == "primary" else INK
    if not np.isnan(choice.low):
        bounds = {"ci_low": choice.low, "ci_high": choice.high}
        draw_interval(axes, height, bounds, limit, colour, width=WIDTHS.get(name, 1.1))
    if name == "loo":
        return
    many = name in ("references", "labels", "definitions")
    effects = np.clip(np.asarray(choice.effects, dtype=float), -limit, limit)
    heights = height + (_spread(len(effects)) if many else np.zeros(len(effects)))
    filled = many or name == "primary"
    for same, marker, shade in ((True, "o", colour), (False, "X", WARNING)):
        chosen = (np.sign(effects) == sign) == same
        axes.plot(
            effects[chosen],
            heights[chosen],
            linestyle="none",
            marker=marker,
            markersize=6.5 if name == "primary" else 3 if many else 4.5,
            color=shade,
            markerfacecolor=shade if filled or not same else "white",
            markeredgewidth=0.0 if filled else 1.1,
            alpha=0.45 if many and same else 1.0,
            zorder=3,
            gid=f"choice:{name}",
        )


def _write_beside(axes: Axes, height: int, text: str, *, heading: bool) -> None:
    colour = WARNING if text.startswith("no") else MUTED
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    weight = "bold" if heading else "normal"
    axes.annotate(text, (1.0, height), xytext=(4, 0), fontsize=6.6, color=colour, fontweight=weight, **place)


def _spread(count: int) -> np.ndarray:
    """Shift points up and down by a fixed pattern, so that equal tables give equal figures."""
    return ((np.arange(count) * 0.618) % 1 - 0.5) * 0.5


def _limit(found: Sequence[Mapping[str, Choice]], names: Sequence[str]) -> float:
    chosen = [choices[name] for choices in found for name in names if name in choices]
    effects = [abs(effect) for choice in chosen for effect in choice.effects]
    bounds = pd.Series([bound for choice in chosen for bound in (choice.low, choice.high)], dtype=float)
    reach = reach_of(max(effects, default=0.0), bounds.dropna(), most=2)
    return 1.08 * reach if reach > 0 else 1.0


def _head(axes: Axes, row: Mapping[Any, Any], study: Mapping[str, Any]) -> None:
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    kind, p = ("p", row["p"]) if pd.isna(row["p_maxt"]) else ("p maxT", row["p_maxt"])
    parent = shown_parent(study, str(row["parent"])).replace("All cells", "all cells")
    told = f"of {parent}; n {patients_of(row)}; {format_effect(row)}; {kind} {format_p(p)}"
    axes.annotate(told, (0, 1), xytext=(0, 3), fontsize=6.8, color=MUTED, **place)
    axes.annotate(shown(study, str(row["subset"])), (0, 1), xytext=(0, 13), fontsize=8.5, fontweight="bold", **place)


def _counted(rows: pd.DataFrame, table: pd.DataFrame, study: Mapping[str, Any]) -> str:
    family = table[table["p_maxt"].notna()]
    text = f"{counted(len(rows), 'subset')} of the {rows['family'].iloc[0]} family"
    if len(family) > len(rows):
        text += f", those with the smallest p of {len(family)} tested"
    lost = table[(table["family"] == rows["family"].iloc[0]) & (table["status"] != "tested")]
    names = [shown(study, str(name)) for name in lost["subset"].drop_duplicates()]
    return (
        f"{text}. Not tested: {', '.join(names[:6])}{' and others' if len(names) > 6 else ''}." if names else f"{text}."
    )


def _footnote(rows: pd.DataFrame, found: Sequence[Mapping[str, Choice]], study: Mapping[str, Any]) -> str:
    names = {name for choices in found for name in choices}
    text = f"Blue point and band: the primary effect and its {interval_name(study)}. Open points: other models, with "
    text += f"{interval_name(study)}. Small points: one for each alternative; a cross has the opposite sign. "
    if "loo" in names:
        text += "Thick line: range when each patient in turn is left out; p moved by: patients without whom p crosses "
        text += "the level. "
    text += "Without: labellings in which the subset is missing or too sparse. " if "labels" in names else ""
    text += (
        "CLR and ALR compare a subset with the mean of its parent's subsets or with one of them, log odds and logit "
    )
    text += "with all other cells of the parent: signs can be compared, sizes only roughly. "
    return text + "Only the primary row is a test; the others show whether it hangs on a choice."
