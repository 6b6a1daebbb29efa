"""Colours that survive colour-blindness, with a marker and a line style as second channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from immune_landscape.cell_types import read_cell_types

INK = "#222222"
MUTED = "#6B6B6B"
FAINT = "#C9C9C9"
WARNING = "#B03A00"

LAYERS = {"gex": "#0072B2", "tcr": "#E69F00", "bulk_tcr": "#009E73"}
STEPS = {"loaded": "#D5DCE4", "passed_quality": "#8FB1CE", "kept": "#0F4C81"}
SIZE_CLASSES = {"1": "#DCE3EA", "2": "#9DC3DE", "3-5": "#4E93C4", "6-20": "#1D5A96", ">20": "#0B2545"}
CHAINS = {
    "single pair": "#0072B2",
    "extra VJ": "#56B4E9",
    "extra VDJ": "#009E73",
    "two full chains": "#7FC8AE",
    "orphan VJ": "#F0E442",
    "orphan VDJ": "#E69F00",
    "multichain": "#D55E00",
    "ambiguous": "#CC79A7",
    "no IR": "#BFBFBF",
}
VERDICTS = {
    "recovered": "#0072B2",
    "rightly not found": "#8A8A8A",
    "explained by closure": "#009E73",
    "right direction, not significant": "#E69F00",
    "not found": "#EE8866",
    "wrong direction": "#CC3311",
    "false positive": "#CC79A7",
    "not tested": "#BDBDBD",
}

CLAIM_VERDICTS = {
    "replicates": "#0072B2",
    "same direction but underpowered": "#E69F00",
    "inconclusive": "#8A8A8A",
    "not supported": "#EE8866",
    "contradicted": "#CC3311",
    "not testable here": "#BDBDBD",
}

CYCLE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#332288",
    "#999933",
    "#882255",
)
"""Okabe and Ito's colours without black, then three of Tol's."""


@dataclass(frozen=True)
class GroupStyle:
    """How one group of patients is drawn.

    Attributes
    ----------
    colour
        Hex colour.
    marker, linestyle
        Second channel, for print in grey.
    short
        Abbreviation for crowded places.
    """

    colour: str
    marker: str
    linestyle: str
    short: str


RESPONSE = {
    "responder": GroupStyle("#0072B2", "o", "-", "R"),
    "non_responder": GroupStyle("#D55E00", "s", "--", "NR"),
    "all": GroupStyle("#444444", "o", "-", "all"),
    "": GroupStyle("#7A7A7A", "D", ":", "?"),
}


GROUPS = ("responder", "non_responder", "")
"""Groups of the response in display order; last those whose response is not recorded."""


def group_rank(group: str) -> int:
    """Return the place of a group of the response in display order; unknown groups come last."""
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def group_styles(groups: Iterable[str]) -> dict[str, GroupStyle]:
    """Return a style for each group; unknown names, such as arms, take the next free one.

    Parameters
    ----------
    groups
        Values of the response or the arm, in display order.

    Returns
    -------
    dict
        Group -> `GroupStyle`.
    """
    names = list(dict.fromkeys(groups))
    markers, lines = ("o", "s", "^", "v", "P", "X"), ("-", "--", "-.", ":")
    others = [name for name in names if name not in RESPONSE]
    made = {
        name: GroupStyle(CYCLE[at % len(CYCLE)], markers[at % len(markers)], lines[at % len(lines)], name)
        for at, name in enumerate(others)
    }
    return {name: RESPONSE.get(name) or made[name] for name in names}


def colours_of(slugs: Iterable[str]) -> dict[str, str]:
    """Return the colour of each cell type; types outside the table cycle.

    Parameters
    ----------
    slugs
        Lineages or subsets.

    Returns
    -------
    dict
        Slug -> hex colour.
    """
    known = read_cell_types()["colour"].to_dict()
    names = list(dict.fromkeys(slugs))
    strangers = [name for name in names if name not in known]
    made = dict(zip(strangers, categorical(len(strangers)), strict=True))
    return {name: known.get(name) or made[name] for name in names}


def categorical(count: int) -> list[str]:
    """Return colours for unordered categories.

    Parameters
    ----------
    count
        How many; beyond ten, hues are sampled and neighbours look alike.

    Returns
    -------
    list of str
        Hex colours.
    """
    return list(CYCLE[:count]) if count <= len(CYCLE) else _sampled("turbo", count)


def text_on(colour: str) -> str:
    """Return black or white, whichever reads better on a background.

    Parameters
    ----------
    colour
        Hex colour of the background.

    Returns
    -------
    str
        Hex colour of the text.

    References
    ----------
    WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance.
    """
    # Black and white give equal contrast at this luminance: (L + 0.05)^2 = 0.05 * 1.05.
    return "#000000" if luminance(colour) > 0.179 else "#FFFFFF"


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour.

    Parameters
    ----------
    colour
        Hex colour.

    Returns
    -------
    float
        0 (black) to 1 (white).
    """
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _sampled(name: str, count: int) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    # The ends of a map are too pale or too dark to be told from paper or ink.
    places = [0.85 - 0.75 * at / max(count - 1, 1) for at in range(count)]
    return [to_hex(colormaps[name](place)) for place in places]
