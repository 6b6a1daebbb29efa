"""How clones of single cells and of bulk repertoires agree, and which subsets carry the bulk repertoire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.bridge_measures import NOT_SEEN, SIZES
from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import INK, MUTED, WARNING, colours_of, group_rank, group_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FREQUENCIES, SUBSETS = "frequencies", "subsets"
TITLES = {
    FREQUENCIES: "Clones in single cells and in bulk repertoires",
    SUBSETS: "Bulk repertoires by the subset of their clones",
}
OTHERS = "#CFCFCF"
Limits = Mapping[str, tuple[float, float]]
_NAMED = 46


@styled
def draw_bridge(
    subsets: pd.DataFrame,
    agreement: pd.DataFrame,
    capture: pd.DataFrame,
    clones: pd.DataFrame,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    columns: int,
    named_subsets: int,
) -> dict[str, Figure]:
    """Draw the bridge between single cells and bulk repertoires.

    Parameters
    ----------
    subsets, agreement, capture, clones
        As `bridge_repertoires.bridge_repertoires` returns.
    design
        One row per sample: sample, patient, visit, response.
    study
        Facts of the cohort.
    columns
        Panels per row.
    named_subsets
        Subsets with a colour of their own, those that carry most.

    Returns
    -------
    dict
        `FREQUENCIES`: one panel per sample, a point per clone found in both. `SUBSETS`: one bar per sample, and the
        share of clones found by their size.
    """
    bridged = agreement[agreement["matched_clones"].fillna(0).astype(int) > 0] if len(agreement) else agreement
    if bridged.empty:
        reason = "No sample has clones in single cells and in a bulk repertoire of the same patient, visit and tissue."
        return {name: empty_figure(title, reason, study) for name, title in TITLES.items()}
    samples = _ordered(bridged, design, study)
    colours = _colours(subsets, named_subsets)
    return {
        FREQUENCIES: _frequencies(clones, samples, colours, study, columns),
        SUBSETS: _subsets(subsets, capture, samples, colours, study),
    }


def _ordered(bridged: pd.DataFrame, design: pd.DataFrame, study: Mapping[str, Any]) -> pd.DataFrame:
    """Order samples by response, patient, then visit."""
    response = design.set_index("sample")["response"].fillna("").astype(str)
    visits = {name: at for at, name in enumerate(study.get("visits") or [])}
    samples = bridged.assign(response=bridged["sample"].map(response).fillna(""))
    samples["rank"] = samples["response"].map(group_rank)
    samples["order"] = samples["visit"].map(visits).fillna(len(visits))
    return samples.sort_values(["rank", "patient", "order", "sample"], kind="stable").reset_index(drop=True)


def _colours(subsets: pd.DataFrame, named: int) -> dict[str, str]:
    """Give the subsets that carry most a colour, in their order, and all others one grey."""
    seen = subsets[subsets["subset"] != NOT_SEEN]
    carried = seen.groupby("subset")["bulk_share"].sum().sort_values(ascending=False, kind="stable")
    names = [str(name) for name in carried.index[carried > 0]]
    own = colours_of(names)
    return {name: own[name] if at < named else OTHERS for at, name in enumerate(names)}


def _key_names(colours: Mapping[str, str], study: Mapping[str, Any]) -> dict[str, str]:
    """Return colour -> label, the grey of small subsets once and last."""
    named = {colour: clip_text(shown(study, name), 26) for name, colour in colours.items() if colour != OTHERS}
    return named | ({OTHERS: "Smaller subsets"} if OTHERS in colours.values() else {})


def _frequencies(
    clones: pd.DataFrame, samples: pd.DataFrame, colours: Mapping[str, str], study: Mapping[str, Any], columns: int
) -> Figure:
    columns = min(columns, len(samples))
    rows = -(-len(samples) // columns)
    figure = new_figure(
        min(11.8, max(7.0, 0.9 + 1.35 * columns)),
        1.5 * rows + 0.5,
        study,
        title=TITLES[FREQUENCIES],
        key=True,
        subtitle=f"{counted(int(samples['matched_clones'].sum()), 'clone')} found in both, matched by beta chain, of "
        f"{counted(len(samples), 'sample')} of {counted(samples['patient'].nunique(), 'patient')}; a point is a clone, "
        "coloured by the subset of most of its cells.",
        footer="Dashed: equal shares. Clones of one cell lie in the lowest row of a panel; those that the bulk "
        "repertoire lacks are not drawn. ρ is the rank correlation of the clones drawn. Ringed: several alpha chains "
        "share the beta chain.",
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    limits = {name: _limits(100 * clones[name].astype(float)) for name in ("bulk_share", "cell_share")}
    styles = group_styles(samples["response"])
    for each, row in zip(axes, samples.to_dict("records"), strict=False):
        own = clones[clones["sample"] == row["sample"]]
        _draw_sample(each, own, row, colours, limits)
        name = clip_text(f"{row['patient']}  {shown(study, row['visit'])}", 19)
        each.set_title(name, fontsize=7.2, color=styles[row["response"]].colour, pad=2.5)
    for each in axes[len(samples) :]:
        each.set_axis_off()
    for each in axes[::columns]:
        each.set_ylabel("% of cells")
    for each in axes[max(0, len(samples) - columns) : len(samples)]:
        each.set_xlabel("% of bulk")
        each.tick_params(axis="x", labelbottom=True)
    _label(axes[0], _key_names(colours, study))
    draw_key(figure, [axes[0]])
    return figure


def _draw_sample(
    axes: Axes, own: pd.DataFrame, row: Mapping[Any, Any], colours: Mapping[str, str], limits: Limits
) -> None:
    ends = [
        min(limits["bulk_share"][0], limits["cell_share"][0]),
        max(limits["bulk_share"][1], limits["cell_share"][1]),
    ]
    axes.plot(ends, ends, "--", color="#A8A8A8", linewidth=0.8, zorder=1)
    own = own.assign(x=100 * own["bulk_share"].astype(float), y=100 * own["cell_share"].astype(float))
    filled = [colours.get(str(name), OTHERS) for name in own["subset"]]
    axes.scatter(own["x"], own["y"], s=9, c=filled, linewidths=0, alpha=0.8, zorder=2, gid=f"sample:{row['sample']}")
    several = own[own["alphas"].astype(int) > 1]
    axes.scatter(several["x"], several["y"], s=17, facecolors="none", edgecolors=INK, linewidths=0.6, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=limits["bulk_share"], ylim=limits["cell_share"])
    _label_decades(axes)
    rho = "" if pd.isna(row["spearman"]) else f"ρ {row['spearman']:.2f}".replace("-", "−")
    words = f"{rho}\nn {row['matched_clones']:,}"
    colour = WARNING if row["verdict"] == "flagged" else MUTED
    axes.text(0.04, 0.96, words.strip(), ha="left", va="top", fontsize=6.8, color=colour, transform=axes.transAxes)


def _limits(percent: pd.Series) -> tuple[float, float]:
    return 0.7 * float(percent.min()), 1.8 * float(percent.max())


def _label_decades(axes: Axes) -> None:
    from matplotlib.ticker import NullFormatter

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        decades = [10.0**power for power in range(-5, 3) if low <= 10.0**power <= high]
        axis.set_ticks(decades, [f"{place:g}" for place in decades])
        axis.set_minor_formatter(NullFormatter())


def _label(axes: Axes, names: Mapping[str, str]) -> None:
    for colour, name in names.items():
        axes.scatter([], [], s=22, c=colour, label=name, marker="s")


def _subsets(
    subsets: pd.DataFrame,
    capture: pd.DataFrame,
    samples: pd.DataFrame,
    colours: Mapping[str, str],
    study: Mapping[str, Any],
) -> Figure:
    row = float(np.clip(8 / len(samples), 0.11, 0.24))
    figure = new_figure(
        11.0,
        max(row * len(samples) + 0.9, 3.4),
        study,
        title=TITLES[SUBSETS],
        key=True,
        subtitle=f"{counted(len(samples), 'sample')} of {counted(samples['patient'].nunique(), 'patient')}. Left: "
        "share of the templates whose clone was seen in cells of a subset. Right: share of the single-cell clones "
        "found in bulk.",
        footer="A clone in several subsets is divided as its cells are. The share that was seen grows with the number "
        "of cells, so that bars of samples compare by their parts; patients are compared at one number of cells. "
        "Expected: what a second sample of the same blood would show at the depth of the bulk repertoire.",
    )
    grid = figure.add_gridspec(1, 2, width_ratios=[1.45, 1])
    left, right = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _draw_bars(left, subsets, samples, colours, study)
    _draw_capture(right, capture[capture["sample"].isin(set(samples["sample"]))])
    _label(left, _key_names(colours, study))
    draw_key(figure, [left])
    return figure


def _draw_bars(
    axes: Axes, subsets: pd.DataFrame, samples: pd.DataFrame, colours: Mapping[str, str], study: Mapping[str, Any]
) -> None:
    wide = subsets.pivot_table(index="sample", columns="subset", values="bulk_share", aggfunc="first")
    wide = 100 * wide.reindex(index=samples["sample"], columns=list(colours)).fillna(0.0)
    start = np.zeros(len(wide))
    for name in wide.columns:
        width = wide[name].to_numpy(dtype=float)
        axes.barh(range(len(wide)), width, left=start, height=0.86, color=colours[str(name)], gid=f"subset:{name}")
        start += width
    axes.set_ylim(len(wide) - 0.5, -0.5)
    axes.set_title("Bulk mass of clones seen in single cells")
    axes.set_xlabel("% of bulk templates")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    if len(samples) > 2 * _NAMED:
        axes.set_yticks([])
        return
    pairs = zip(samples["patient"], samples["visit"], samples["cells"], strict=True)
    names = [f"{clip_text(f'{patient}  {shown(study, visit)}', 24)}  {cells:,}" for patient, visit, cells in pairs]
    axes.set_yticks(range(len(names)), names, fontsize=6.8)
    styles = group_styles(samples["response"])
    for tick, response in zip(axes.get_yticklabels(), samples["response"], strict=True):
        tick.set_color(styles[response].colour)
    axes.set_ylabel("Patient, visit, cells")


def _draw_capture(axes: Axes, capture: pd.DataFrame) -> None:
    """Draw every sample twice per size: what was found, and beside it what was expected."""
    names = list(SIZES)
    place = capture["size"].map({name: at for at, name in enumerate(names)}).to_numpy(dtype=float)
    order = capture.groupby("size").cumcount().to_numpy()
    spread = (order * 0.618) % 1 * 0.26 - 0.13
    looks = {"share": (-0.19, "#0072B2", "o", "Found"), "expected": (0.19, "#8A8A8A", "D", "Expected")}
    has_clones = (capture["clones"].astype(int) > 0).to_numpy()
    for column, (shift, colour, marker, label) in looks.items():
        axes.plot(
            (place + shift + spread)[has_clones],
            100 * capture[column].to_numpy(dtype=float)[has_clones],
            marker,
            color=colour,
            markersize=3.2,
            markeredgecolor="white",
            markeredgewidth=0.3,
            alpha=0.8,
            label=label,
            linestyle="none",
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(-3, 103)
    axes.set_title("Single-cell clones found in bulk")
    axes.set_xlabel("Cells of the clone")
    axes.set_ylabel("% of clones of a sample")
    axes.grid(axis="y")
    axes.legend(loc="lower right", handletextpad=0.2)
