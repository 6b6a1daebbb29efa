"""Sex genes of every sample, clones that samples share, and the share of donor cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.clone_sharing import FLAGGED
from immune_landscape.display_text import clip_text, counted, shown
from immune_landscape.donor_cells import BY_GENOTYPE, BY_SEX
from immune_landscape.figures import draw_key, empty_figure, new_figure, styled
from immune_landscape.palette import FAINT, INK, MUTED, WARNING, GroupStyle
from immune_landscape.sex_genes import FEMALE, MALE, UNDETERMINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Identity of samples: sex genes, shared clones, donor cells"
SEXES = {
    FEMALE: GroupStyle("#D55E00", "o", "-", "Female on the sheet"),
    MALE: GroupStyle("#0072B2", "s", "-", "Male on the sheet"),
    "unknown": GroupStyle("#6B6B6B", "D", "-", "Sex not on the sheet"),
}
METHODS = {
    BY_SEX: GroupStyle("#0072B2", "o", "-", "By sex genes"),
    BY_GENOTYPE: GroupStyle("#E69F00", "^", "-", "By genotypes"),
}
REGIONS = {FEMALE: "#FBEADD", MALE: "#DDEBF5", "mixed": "#EFEFEF"}
FLOORS = (0.01, 0.03)
"""Molecules per 10,000 at which none is drawn, as a logarithm has no place for it: XIST, Y genes."""
LOWEST_CEILINGS = (8.0, 30.0)
HEIGHT, ROW = 4.3, 0.2
"""Inches of the panels, and of a row of donor cells, of which many make the page longer."""


@styled
def draw_identity(
    samples: pd.DataFrame,
    clones: pd.DataFrame,
    donor_cells: pd.DataFrame,
    rules: Mapping[str, Any],
    study: Mapping[str, Any],
    *,
    names_up_to: int,
) -> Figure:
    """Draw the checks of identity.

    Parameters
    ----------
    samples, clones, donor_cells
        As `check_identity.check_identity` returns.
    rules
        Settings of `check_identity.check_identity`.
    study
        Facts of the cohort.
    names_up_to
        Patients up to which rows are named, and samples with donor cells that are drawn one by one.

    Returns
    -------
    matplotlib.figure.Figure
        Three axes and a colour bar.
    """
    if samples.empty:
        return empty_figure(TITLE, "No sample has gene expression or receptors.", study)
    samples = _ordered(samples, study)
    shares = _shares(donor_cells, samples, 2 * names_up_to)
    extra = max(0.0, ROW * shares["sample"].nunique() - HEIGHT + 0.8)
    figure = new_figure(
        12,
        HEIGHT + extra,
        study,
        title=TITLE,
        subtitle=_subtitle(samples),
        footer=_footer(rules),
        key=True,
    )
    heights = [HEIGHT, extra] if extra > 0.3 else [1]
    grid = figure.add_gridspec(len(heights), 3, width_ratios=[1.05, 1.15, 0.9], height_ratios=heights)
    left, middle, right = (figure.add_subplot(grid[place]) for place in ((0, 0), (0, 1), (slice(None), 2)))
    _draw_sexes(left, samples, rules)
    _draw_clones(middle, clones, samples, names_up_to)
    _draw_donors(right, shares, donor_cells, study)
    draw_key(figure, [left, right])
    return figure


def _subtitle(samples: pd.DataFrame) -> str:
    """Count samples by verdict; say so where sex genes have nothing to tell patients apart by."""
    flagged, undetermined = (int((samples["verdict"] == verdict).sum()) for verdict in (FLAGGED, UNDETERMINED))
    patients = samples["patient"].nunique()
    text = f"{counted(len(samples), 'sample')} of {counted(patients, 'patient')}: {flagged} flagged, {undetermined} "
    text += "that cannot be determined."
    sexes = set(samples["sex_by_genes"]) - {UNDETERMINED}
    if patients > 1 and len(sexes) == 1 and sexes <= {FEMALE, MALE}:
        text += f" All are {sexes.pop()}: sex genes cannot tell samples of two patients that are swapped."
    return text


def _footer(rules: Mapping[str, Any]) -> str:
    tolerated, foreign, level = (100 * rules[name] for name in ("tolerated", "max_foreign_share", "level"))
    return (
        f"Sex of cells other than NK: up to {tolerated:g} % of the other sex is put down to ambient RNA and doublets. "
        f"Two patients' samples are flagged (framed) from {rules['min_shared_clones']} shared clones on, when they are "
        f"{foreign:g} % of the smaller sample or more than it shares with its own patient. Donor cells: share of NK "
        f"cells with a {level:g} % interval over cells, which describes the sample and is no test."
    )


def _ordered(samples: pd.DataFrame, study: Mapping[str, Any]) -> pd.DataFrame:
    order = {visit: at for at, visit in enumerate(study["visits"])}
    at = samples["visit"].map(order).fillna(len(order))
    texts = {name: samples[name].fillna("").astype(str) for name in ("sample", "patient", "visit", "sex_on_sheet")}
    return samples.assign(order=at, **texts).sort_values(["patient", "order"], kind="stable").reset_index(drop=True)


def _shares(donor_cells: pd.DataFrame, samples: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return what was estimated, of the first samples, in their order."""
    known = donor_cells[donor_cells["share"].notna()]
    order = {name: at for at, name in enumerate(samples["sample"])}
    known = known.assign(at=known["sample"].astype(str).map(order)).sort_values("at", kind="stable")
    return known[known["at"].rank(method="dense") <= most].reset_index(drop=True)


def _say(axes: Axes, reason: str) -> None:
    axes.set_axis_off()
    # The heading goes with the axes, the reason stands where the data would.
    axes.text(0.5, 0.5, reason, ha="center", va="center", wrap=True, color=MUTED, transform=axes.transAxes)


def _draw_sexes(axes: Axes, samples: pd.DataFrame, rules: Mapping[str, Any]) -> None:
    axes.set_title("Sex genes per sample")
    known = samples[samples["female_per_10k"].notna() & samples["male_per_10k"].notna()]
    if known.empty:
        _say(axes, "Sex genes cannot be read:\nno gene expression, or the genes are not in it.")
        return
    places = np.column_stack(
        [known[name].clip(lower=floor) for name, floor in zip(("female_per_10k", "male_per_10k"), FLOORS, strict=True)]
    )
    known = known.assign(x=places[:, 0], y=places[:, 1])
    ceilings = np.maximum(LOWEST_CEILINGS, 2 * places.max(axis=0))
    _draw_regions(axes, rules, ceilings)
    for _, visits in known.groupby("patient", sort=False):
        axes.plot(visits["x"], visits["y"], color=FAINT, linewidth=0.9, zorder=2)
    for sex, style in SEXES.items():
        members = known[known["sex_on_sheet"] == sex]
        if len(members):
            called = np.where(members["sex_by_genes"] == UNDETERMINED, "white", style.colour)
            axes.scatter(
                members["x"],
                members["y"],
                s=26,
                marker=style.marker,
                facecolors=list(called),
                edgecolors=style.colour,
                linewidths=0.8,
                alpha=0.85,
                label=style.short,
                zorder=3,
            )
    _ring_flagged(axes, known[known["sex_verdict"] == FLAGGED])


def _draw_regions(axes: Axes, rules: Mapping[str, Any], ceilings: np.ndarray) -> None:
    """Shade where a sample is female, male or mixed, on logarithmic axes."""
    tolerated, ratio = rules["tolerated"], rules["male_per_female"]
    x = np.geomspace(FLOORS[0] * 0.6, ceilings[0], 400)
    lower = ratio * x * tolerated / max(1 - tolerated, 1e-9)
    upper = ratio * x * (1 - tolerated) / max(tolerated, 1e-9)
    bottom, top = FLOORS[1] * 0.6, ceilings[1]
    starts = np.where(x < rules["min_female"], rules["min_male"], bottom)
    bands = {
        FEMALE: (np.full_like(x, bottom), np.minimum(lower, top), x >= rules["min_female"]),
        MALE: (np.maximum(upper, rules["min_male"]), np.full_like(x, top), None),
        "mixed": (np.maximum(lower, starts), np.minimum(upper, top), None),
    }
    for name, (low, high, where) in bands.items():
        shown_part = (high > low) if where is None else (high > low) & where
        axes.fill_between(x, low, high, where=shown_part, color=REGIONS[name], linewidth=0, zorder=0)
    axes.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(bottom, top))
    _label_zero(axes)
    words = {"Male": (0.03, 0.56, "left", "bottom"), "Female": (0.97, 0.35, "right", "bottom")}
    words |= {"Mixed": (0.97, 0.97, "right", "top"), "Cannot be\ndetermined": (0.03, 0.35, "left", "bottom")}
    for word, (across, along, ha, va) in words.items():
        axes.text(across, along, word, ha=ha, va=va, color=MUTED, fontsize=7.5, transform=axes.transAxes, zorder=1)
    axes.set_xlabel(clip_text(f"{', '.join(rules['female_genes'])} per 10,000 molecules", 48))
    axes.set_ylabel("Y genes per 10,000 molecules")


def _label_zero(axes: Axes) -> None:
    """Name the decades, and none at the floor."""
    from matplotlib.ticker import NullFormatter, NullLocator

    for axis, floor, limits in zip((axes.xaxis, axes.yaxis), FLOORS, (axes.get_xlim(), axes.get_ylim()), strict=True):
        decades = [10.0**power for power in range(-1, 4) if 10.0**power < limits[1]]
        axis.set_ticks([floor, *decades], ["0", *(f"{place:g}" for place in decades)])
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _ring_flagged(axes: Axes, flagged: pd.DataFrame) -> None:
    if flagged.empty:
        return
    ring: dict[str, Any] = {"s": 95, "facecolors": "none", "edgecolors": WARNING, "linewidths": 1.4, "zorder": 4}
    axes.scatter(flagged["x"], flagged["y"], label="Flagged by sex", **ring)
    left = axes.get_xlim()[0] * 10
    for name, x, y in flagged.head(12)[["sample", "x", "y"]].itertuples(index=False, name=None):
        near = x < left
        axes.annotate(
            clip_text(str(name), 24),
            (x, y),
            xytext=(4 if near else -4, 6),
            textcoords="offset points",
            ha="left" if near else "right",
            va="bottom",
            fontsize=7,
            color=WARNING,
            zorder=5,
        )


def _draw_clones(axes: Axes, clones: pd.DataFrame, samples: pd.DataFrame, names_up_to: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title("Clones shared by two samples")
    names = [name for name in samples["sample"] if name in {*clones["sample_a"], *clones["sample_b"]}]
    if len(names) < 2:
        _say(axes, "Fewer than two samples with receptors:\nshared clones cannot be counted.")
        return
    at = {name: place for place, name in enumerate(names)}
    rows, columns = (clones[side].map(at).to_numpy() for side in ("sample_a", "sample_b"))
    matrix = np.full((len(names), len(names)), np.nan)
    matrix[rows, columns] = matrix[columns, rows] = 100 * clones["share"]
    image = axes.imshow(matrix, cmap=_blues(), norm=_square_root(matrix), interpolation="nearest", aspect="equal")
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.045, pad=0.02, aspect=32)
    bar.locator = MaxNLocator(5)
    bar.update_ticks()
    bar.set_label("% of the smaller sample's clones")
    bar.outline.set_visible(False)
    _mark_flagged(axes, clones[clones["verdict"] == FLAGGED], at)
    _name_patients(axes, samples.set_index("sample").loc[names, "patient"], names_up_to)


def _blues() -> Any:
    from matplotlib import colormaps

    return colormaps["Blues"].with_extremes(bad="#EDEDED")


def _square_root(matrix: np.ndarray) -> Any:
    """Scale that keeps a share of one in a thousand apart from none."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=max(5.0, float(np.nanmax(matrix))))


def _mark_flagged(axes: Axes, flagged: pd.DataFrame, at: Mapping[str, int]) -> None:
    from matplotlib.patches import Rectangle

    for a, b in zip(flagged["sample_a"].map(at), flagged["sample_b"].map(at), strict=True):
        for across, along in ((a, b), (b, a)):
            frame = Rectangle((across - 0.5, along - 0.5), 1, 1, fill=False, edgecolor=WARNING, linewidth=1.4)
            frame.set_gid("flagged")
            axes.add_patch(frame)


def _name_patients(axes: Axes, patients: pd.Series, names_up_to: int) -> None:
    """Write each patient once beside the samples, with a line between patients."""
    ends = pd.Series(range(len(patients))).groupby(patients.to_numpy(), sort=False).agg(["min", "max"])
    named = len(ends) <= names_up_to
    middles = list((ends["min"] + ends["max"]) / 2) if named else []
    words = [clip_text(str(name), 10) for name in ends.index] if named else []
    size = min(7.5, 230 / len(ends))
    axes.set_yticks(middles, words, fontsize=size)
    axes.set_xticks(middles, words, fontsize=size, rotation=90)
    axes.tick_params(length=0)
    for end in ends["max"].iloc[:-1] + 0.5:
        axes.axhline(end, color=FAINT, linewidth=0.4)
        axes.axvline(end, color=FAINT, linewidth=0.4)
    if not named:
        axes.set_ylabel(f"{counted(len(patients), 'sample')} of {counted(len(ends), 'patient')}")


def _draw_donors(axes: Axes, shares: pd.DataFrame, donor_cells: pd.DataFrame, study: Mapping[str, Any]) -> None:
    axes.set_title("Donor cells among NK cells")
    if shares.empty:
        reasons = donor_cells["note"].fillna("").astype(str).value_counts()
        told = [f"{clip_text(str(why), 44)} ({counted(int(n), 'sample')})" for why, n in reasons.items() if why]
        _say(axes, "\n".join(["Cannot be determined or no donor:", *told[:6]]))
        return
    rows = {name: place for place, name in enumerate(dict.fromkeys(shares["sample"]))}
    both = shares["sample"].duplicated(keep=False)
    for method, style in METHODS.items():
        part = shares[shares["method"] == method]
        if part.empty:
            continue
        lift = np.where(both[part.index], -0.17 if method == BY_SEX else 0.17, 0.0)
        heights = part["sample"].map(rows).to_numpy() + lift
        axes.hlines(heights, 100 * part["ci_low"], 100 * part["ci_high"], color=style.colour, linewidth=1.6)
        axes.plot(100 * part["share"], heights, style.marker, color=style.colour, markersize=4.5, label=style.short)
    first = shares.drop_duplicates("sample")
    pairs = zip(first["patient"], first["visit"], strict=True)
    words = [clip_text(f"{patient}  {shown(study, str(visit))}", 24) for patient, visit in pairs]
    words = [f"{word}  ({cells:,})" for word, cells in zip(words, first["nk_cells"].astype(int), strict=True)]
    axes.set_yticks(range(len(words)), words, fontsize=7)
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.set_xlim(left=-1)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_xlabel("% of NK cells, which are counted in brackets")
    axes.grid(axis="x")
