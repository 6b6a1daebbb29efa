"""Which chains each sample's receptors have, and how expanded its clonotypes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.figures import empty_figure, new_figure, styled
from immune_landscape.palette import CHAINS, MUTED, SIZE_CLASSES, group_rank, group_styles
from immune_landscape.panels import stacked_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "T-cell receptors: chains and clonal expansion"
EDGES = (0, 1, 2, 5, 20, float("inf"))
"""Upper ends of the size classes 1, 2, 3-5, 6-20 and more than 20 cells of a clonotype in a sample."""


@styled
def draw_clonotypes(
    chain_qc: pd.DataFrame,
    clonotypes: pd.DataFrame,
    labels: pd.DataFrame | None,
    design: pd.DataFrame,
    definition: str,
    study: Mapping[str, Any],
    *,
    min_subset_cells: int,
) -> Figure:
    """Draw chain categories and clonotype sizes per sample, and sizes per subset.

    Parameters
    ----------
    chain_qc, clonotypes
        As `define_clonotypes.define_clonotypes` returns; the latter indexed by cell.
    labels
        As `define_labels.define_labels` returns, indexed by cell; None without gene expression.
    design
        One row per sample: sample, response.
    definition
        As `define_clonotypes.definition_text` writes it; printed below.
    study
        Facts of the cohort.
    min_subset_cells
        Receptor cells that a subset needs to be drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes that share their rows, and one for subsets where there are labels.
    """
    if chain_qc.empty:
        return empty_figure(TITLE, "No sample has a receptor.", study)
    samples = _order_samples(chain_qc, design, study)
    row = min(0.24, 13 / len(samples))
    by_subset = _subset_shares(clonotypes, labels, min_subset_cells)
    columns = 3 if len(by_subset) else 2
    usable = int(clonotypes["has_receptor"].astype(bool).sum())
    note = "Bars of subsets pool the cells of all samples and describe only. " if columns == 3 else ""
    figure = new_figure(
        11.5,
        max(row * len(samples), 0.2 * len(by_subset), 0.6) + 1.35,
        study,
        title=TITLE,
        subtitle=f"{counted(len(samples), 'sample')}, {usable:,} cells with a usable receptor.",
        footer=f"{definition}. Sizes are counted within a sample. {note}",
    )
    grid = figure.add_gridspec(1, columns, width_ratios=[1, 1, 0.8][:columns])
    left = figure.add_subplot(grid[0])
    middle = figure.add_subplot(grid[1], sharey=left)
    _draw_chains(left, chain_qc, samples)
    _draw_sizes(middle, _sizes(clonotypes, "sample").reindex(samples["sample"]))
    middle.tick_params(labelleft=False)
    _draw_rows(left, samples, study, row)
    if columns == 3:
        _draw_subsets(figure.add_subplot(grid[2]), by_subset, study, row * len(samples))
    return figure


def _order_samples(chain_qc: pd.DataFrame, design: pd.DataFrame, study: Mapping[str, Any]) -> pd.DataFrame:
    """Samples by response, patient, then visit."""
    samples = chain_qc.drop_duplicates("sample")[["sample", "patient", "visit"]].astype(str)
    response = design.drop_duplicates("sample").set_index("sample")["response"].fillna("").astype(str)
    visits = {name: at for at, name in enumerate(study.get("visits") or [])}
    samples["response"] = samples["sample"].map(response).fillna("")
    samples["group"] = samples["response"].map(group_rank)
    samples["order"] = samples["visit"].map(visits).fillna(len(visits))
    return samples.sort_values(["group", "patient", "order"], kind="stable").reset_index(drop=True)


def _sizes(clonotypes: pd.DataFrame, by: str) -> pd.DataFrame:
    """Percent of receptor cells in each size class, with their number in ``cells``."""
    cells = clonotypes[clonotypes["has_receptor"].astype(bool)]
    classes = pd.cut(cells["clonotype_size_sample"].astype(float), EDGES, labels=list(SIZE_CLASSES))
    counts = pd.crosstab(cells[by].astype(str).to_numpy(), classes.astype(str).to_numpy())
    counts = counts.reindex(columns=list(SIZE_CLASSES), fill_value=0)
    total = counts.sum(axis=1)
    return (100 * counts.div(total, axis=0)).assign(cells=total)


def _subset_shares(clonotypes: pd.DataFrame, labels: pd.DataFrame | None, least: int) -> pd.DataFrame:
    if labels is None or labels.empty:
        return pd.DataFrame()
    joined = clonotypes.join(labels[["subset"]], how="inner")
    if not joined["has_receptor"].astype(bool).any():
        return pd.DataFrame()
    shares = _sizes(joined, "subset")
    return shares[shares["cells"] >= least].sort_values("1")


def _draw_chains(axes: Axes, chain_qc: pd.DataFrame, samples: pd.DataFrame) -> None:
    shares = 100 * chain_qc.pivot_table(
        index="sample", columns="chain_pairing", values="proportion", aggfunc="first", observed=True
    )
    shown_parts = [name for name in CHAINS if name in shares and shares[name].fillna(0).max() > 0]
    stacked_rows(axes, shares.reindex(index=samples["sample"], columns=shown_parts), CHAINS)
    total = chain_qc.drop_duplicates("sample").set_index("sample")["total"]
    _draw_totals(axes, [int(total[name]) for name in samples["sample"]])
    axes.set_title("Chains per barcode")
    axes.set_xlabel("% of barcodes")
    _key(axes, 3)


def _draw_sizes(axes: Axes, shares: pd.DataFrame) -> None:
    stacked_rows(axes, shares[list(SIZE_CLASSES)], SIZE_CLASSES)
    _draw_totals(axes, [int(count) if count == count else 0 for count in shares["cells"]])
    axes.set_title("Cells by size of their clonotype")
    axes.set_xlabel("% of receptor cells")
    _key(axes, 5)


def _key(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=_below(axes),
        ncols=columns,
        handlelength=0.9,
        columnspacing=0.9,
        handletextpad=0.4,
    )


def _below(axes: Axes) -> Any:
    """Return axes coordinates moved down by a fixed distance, whatever the height of the axes."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, -0.36, axes.figure.dpi_scale_trans)


def _draw_totals(axes: Axes, totals: list[int]) -> None:
    if len(totals) <= 75:
        for height, total in enumerate(totals):
            axes.text(101, height, f"{total:,}", fontsize=6, va="center", color=MUTED)


def _draw_rows(axes: Axes, samples: pd.DataFrame, study: Mapping[str, Any], row: float) -> None:
    styles = group_styles(samples["response"])
    if row >= 0.11:
        names = [
            clip_text(f"{patient}  {shown(study, visit)}", 28)
            for patient, visit in zip(samples["patient"], samples["visit"], strict=True)
        ]
        axes.set_yticks(range(len(samples)), names, fontsize=min(7.5, row * 42))
        for tick, response in zip(axes.get_yticklabels(), samples["response"], strict=True):
            tick.set_color(styles[response].colour)
    else:
        axes.set_yticks([])
    axes.tick_params(axis="y", pad=7)
    for response, members in samples.groupby("response", sort=False):
        ends = [members.index.min() - 0.4, members.index.max() + 0.4]
        style = styles[str(response)]
        axes.plot([-1.2] * 2, ends, color=style.colour, linewidth=3, solid_capstyle="butt", clip_on=False)
    counts = samples.groupby("response", sort=False)["patient"].nunique()
    text = "\n".join(f"{shown(study, str(name))} n = {count}" for name, count in counts.items())
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-8, 4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7,
        color=MUTED,
    )


def _draw_subsets(axes: Axes, shares: pd.DataFrame, study: Mapping[str, Any], height: float) -> None:
    stacked_rows(axes, shares[list(SIZE_CLASSES)], SIZE_CLASSES)
    names = [f"{clip_text(shown(study, str(name)), 20)} ({int(count):,})" for name, count in shares["cells"].items()]
    axes.set_yticks(range(len(shares)), names)
    # Rows of subsets stay as thin as those of samples where there are few of them.
    axes.set_ylim(max(len(shares), height / 0.24) - 0.5, -0.5)
    axes.set_title("By subset (cells)")
    axes.set_xlabel("% of receptor cells")
