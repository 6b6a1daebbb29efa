"""What single cells and bulk repertoire of one sample tell of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from immune_landscape.proportions import exact_share

NOT_SEEN = "not_seen"
"""In place of a subset: bulk clones that no single cell had."""

SIZES = {"1": (1, 1), "2": (2, 2), "3-5": (3, 5), "6-20": (6, 20), ">20": (21, None)}
"""Class of a clone in single cells -> fewest and most cells."""


@dataclass(frozen=True)
class Bridge:
    """Cells and templates of one sample.

    Attributes
    ----------
    cells
        One row per cell: ``beta`` and ``clone`` (numbers; clone -1 is not in the bulk repertoire), ``label`` (of the
        beta chain), ``subset``, ``alpha`` (junction of the other chain, empty where it was not seen).
    templates
        (clones,) templates of the clones found in both.
    counts
        (clonotypes,) templates of the whole bulk repertoire: first the clones found in both, then all others.
    """

    cells: pd.DataFrame
    templates: np.ndarray
    counts: np.ndarray

    @property
    def total(self) -> int:
        """Templates of the bulk repertoire."""
        return int(self.counts.sum())

    @property
    def matched(self) -> pd.DataFrame:
        """Cells whose clone is in the bulk repertoire."""
        return self.cells[self.cells["clone"] >= 0]


def list_clones(bridge: Bridge) -> pd.DataFrame:
    """List the clones found in both.

    Parameters
    ----------
    bridge
        A sample.

    Returns
    -------
    pandas.DataFrame
        One row per clone, by number: label, cells, cell_share (of all cells), templates, bulk_share, subset (with most
        of its cells), subsets (number), alphas (different alpha chains).
    """
    groups = bridge.matched.groupby("clone", sort=True)
    cells = groups.size()
    alphas = bridge.matched[bridge.matched["alpha"] != ""].groupby("clone")["alpha"].nunique()
    counts = bridge.matched.groupby(["clone", "subset"]).size().rename("n").reset_index()
    most = counts.sort_values(["clone", "n", "subset"], ascending=[True, False, True]).drop_duplicates("clone")
    templates = bridge.templates[cells.index.to_numpy(dtype=int)]
    return pd.DataFrame(
        {
            "label": groups["label"].first(),
            "cells": cells,
            "cell_share": cells / max(len(bridge.cells), 1),
            "templates": templates,
            "bulk_share": templates / max(bridge.total, 1),
            "subset": most.set_index("clone")["subset"],
            "subsets": groups["subset"].nunique(),
            "alphas": alphas.reindex(cells.index, fill_value=0),
        }
    ).rename_axis("clone")


def share_by_subset(bridge: Bridge, subsets: list[str], level: float) -> pd.DataFrame:
    """Divide the bulk repertoire by the subset in which its clones were seen.

    Parameters
    ----------
    bridge
        A sample.
    subsets
        In the order wanted.
    level
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        One row per subset, and one for `NOT_SEEN`: subset, cells, cell_share, clones (with a cell in it),
        clones_in_bulk, clones_elsewhere (of these, with a cell in another subset too), templates, bulk_share, low,
        high.

    Notes
    -----
    The templates of a clone are divided as its cells are. The interval is that of a share of independent templates
    (Wilson), with the effective number of them that divided clones leave; it holds for the clones that were seen.
    """
    cells, matched, total = bridge.cells, bridge.matched, bridge.total
    parts = _divide(bridge, subsets)
    seen = matched.groupby("subset")["clone"].agg(set).to_dict()
    in_subsets = matched.groupby("clone")["subset"].nunique()
    several = set(in_subsets.index[in_subsets > 1])
    held = cells.groupby("subset")["beta"].agg(["size", "nunique"]).reindex(subsets, fill_value=0)
    rows = []
    for at, subset in enumerate(subsets):
        clones = seen.get(subset, set())
        templates, squares = (float((parts[:, at] ** power * bridge.templates).sum()) for power in (1, 2))
        number, betas = (int(held[name].iloc[at]) for name in ("size", "nunique"))
        counts = (number, number / len(cells) if len(cells) else np.nan, betas, len(clones), len(clones & several))
        rows.append((subset, *counts, templates, *_share(templates, squares, total, level)))
    rest = float(total - bridge.templates.sum())
    rows.append((NOT_SEEN, 0, 0.0, 0, 0, 0, rest, *_share(rest, rest, total, level)))
    names = ["subset", "cells", "cell_share", "clones", "clones_in_bulk", "clones_elsewhere", "templates"]
    return pd.DataFrame(rows, columns=[*names, "bulk_share", "low", "high"])


def _share(templates: float, squares: float, total: int, level: float) -> tuple[float, float, float]:
    share = templates / total if total else np.nan
    return share, *share_interval(templates, squares, total, level)


def _divide(bridge: Bridge, subsets: list[str]) -> np.ndarray:
    """Return the share of each clone's cells (row) that lies in each subset (column)."""
    table = np.zeros((len(bridge.templates), len(subsets)))
    columns = pd.Index(subsets).get_indexer(pd.Index(bridge.matched["subset"]))
    np.add.at(table, (bridge.matched["clone"].to_numpy(dtype=int), columns), 1)
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1)


def share_interval(templates: float, squares: float, total: int, level: float) -> tuple[float, float]:
    """Return Wilson's interval of a share of templates, some of which count in part.

    Parameters
    ----------
    templates, squares
        Sum of the weights of the templates, and of their squares.
    total
        Templates of the sample.
    level
        Confidence level.

    Returns
    -------
    tuple of float
        NaN without templates.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953; Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286.
    """
    if not total:
        return np.nan, np.nan
    share = templates / total
    variance = squares / total - share**2
    size = total * share * (1 - share) / variance if variance > 0 else total
    z = float(ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)
    # Rounding must not keep the interval off the end that it reaches.
    return (float(middle - reach) if templates else 0.0), (float(middle + reach) if templates < total else 1.0)


def compare_frequencies(bridge: Bridge, expected_cells: float) -> dict[str, float]:
    """Compare how frequent clones are in single cells and in the bulk repertoire.

    Parameters
    ----------
    bridge
        A sample.
    expected_cells
        Cells that a clone must be expected to have by its bulk share to be called large.

    Returns
    -------
    dict
        ``spearman``: rank correlation of the shares of the clones found in both. ``large_clones``, ``large_cells`` and
        ``large_expected``: bulk clones expected in so many cells, their cells, and the cells expected. ``log2_ratio``:
        log2 of the latter two's ratio, half a cell added to both.

    Notes
    -----
    The ratio is of clones chosen by their bulk share: those chosen by their cells are the ones that happened to be
    drawn often. The correlation is of clones seen in both, and low where nearly all of them have one cell.
    """
    clones = list_clones(bridge)
    varied = len(clones) > 2 and bool(
        (clones[["cells", "templates"]].max() > clones[["cells", "templates"]].min()).all()
    )
    spearman = float(clones["cells"].rank().corr(clones["templates"].rank())) if varied else np.nan
    number = len(bridge.cells)
    expected = bridge.counts * number / max(bridge.total, 1)
    large = expected >= expected_cells
    # The clones of both come first among the counts, in their order.
    cells = clones["cells"].reindex(range(len(bridge.templates)), fill_value=0).to_numpy()
    seen = int(cells[large[: len(cells)]].sum())
    wanted = float(expected[large].sum())
    return {
        "spearman": spearman,
        "large_clones": int(large.sum()),
        "large_cells": seen,
        "large_expected": wanted,
        "log2_ratio": float(np.log2((seen + 0.5) / (wanted + 0.5))) if large.any() else np.nan,
    }


def measure_capture(bridge: Bridge, level: float) -> pd.DataFrame:
    """Measure how many clones of each size in single cells are in the bulk repertoire.

    Parameters
    ----------
    bridge
        A sample.
    level
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        One row per class of `SIZES`: size, clones, found, share, low and high (Clopper-Pearson), expected
        (`expected_capture`).
    """
    betas = bridge.cells.groupby("beta").agg(cells=("beta", "size"), clone=("clone", "first"))
    rows = []
    for size, (least, most) in SIZES.items():
        here = betas[betas["cells"].between(least, np.inf if most is None else most)]
        number, found = len(here), int((here["clone"] >= 0).sum())
        captured = exact_share(found, number, level)
        expected = expected_capture(bridge.counts, len(bridge.cells), least, most)
        rows.append((size, number, found, *captured, expected))
    return pd.DataFrame(rows, columns=["size", "clones", "found", "share", "low", "high", "expected"])


def expected_capture(counts: np.ndarray, cells: int, least: int, most: int | None) -> float:
    """Return the share of clones of some size that a bulk repertoire is expected to hold.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each bulk clonotype.
    cells
        Single cells of the sample.
    least, most
        Cells of the clones; no upper bound without ``most``.

    Returns
    -------
    float
        NaN when the bulk repertoire is not at least twice as deep as there are cells, or no such clone is expected.

    Notes
    -----
    As many templates as there are cells are set aside, without replacement, as if they were the cells; of the clones
    that then have the size, those of which templates are left were found. This is what two samples of one blood would
    show, computed without drawing. A clone's own share of the cells would promise too much: most clones with one cell
    are rarer than that share.
    """
    from scipy.stats import hypergeom

    total = int(counts.sum())
    if not cells or 2 * cells > total:
        return np.nan
    sizes, number = np.unique(counts, return_counts=True)
    law = hypergeom(total, sizes, cells)
    below_or_in = 1.0 if most is None else law.cdf(most)
    drawn = np.clip(below_or_in - law.cdf(least - 1), 0, None) * number
    inside = (sizes >= least) & (sizes <= (np.inf if most is None else most))
    exhausted = np.where(inside, law.pmf(sizes), 0.0) * number
    return float(1 - exhausted.sum() / drawn.sum()) if drawn.sum() > 1e-9 else np.nan
