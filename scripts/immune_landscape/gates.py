"""Gates of cytometry: their ids, and the events of the gate within which a share is taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from immune_landscape.identifiers import suggest_slug

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
"""Parent of a population without a parent. A population of this name gives its number of events."""


def parent_names(populations: pd.DataFrame) -> pd.Series:
    """Return the parent of each row of populations.tsv, ``all`` where the cell is empty.

    Parameters
    ----------
    populations
        With ``parent``.

    Returns
    -------
    pandas.Series
        Indexed as the table.
    """
    return populations["parent"].mask(populations["parent"] == "", ALL)


def gate_slugs(names: Iterable[str]) -> dict[str, str]:
    """Return an id for each gate.

    Parameters
    ----------
    names
        Names of gates, such as ``CD3+``; ``all`` for all cells.

    Returns
    -------
    dict of str to str
        ``+`` becomes ``pos``, other signs ``_``; an id that is taken gets a number.
    """
    slugs = {ALL: ALL}
    for name in dict.fromkeys(names):
        if name == ALL:
            continue
        slug = suggest_slug(name.replace("+", "pos")) or "gate"
        free, number = slug, 2
        while free in slugs.values():
            free, number = f"{slug}_{number}", number + 1
        slugs[name] = free
    return slugs


def parent_counts(populations: pd.DataFrame) -> pd.Series:
    """Return the events of each row's parent gate in the same sample.

    Parameters
    ----------
    populations
        ``sample``, ``population``, ``parent`` (empty for all cells) and ``count``, with unique index.

    Returns
    -------
    pandas.Series
        Indexed as the table; NaN where they cannot be told.

    Notes
    -----
    A parent that is listed as a population itself counts as listed, in every sample. A parent that is listed nowhere
    counts as the sum of its children, in samples that list a count for each of them: with one left out, the sum would
    be of something else.
    """
    import pandas as pd

    listed = populations.drop_duplicates(["sample", "population"])
    by_gate = listed.set_index(["sample", "population"])["count"].astype(float)
    parents = parent_names(populations)
    known = by_gate.reindex(pd.MultiIndex.from_arrays([populations["sample"], parents]))
    counts = pd.Series(known.to_numpy(), index=populations.index)
    summed = populations[~parents.isin(populations["population"])]
    for _, family in summed.groupby(parents, sort=False):
        by_sample = family.drop_duplicates(["sample", "population"]).groupby("sample")["count"]
        complete = by_sample.count() == family["population"].nunique()
        counts[family.index] = family["sample"].map(by_sample.sum().where(complete)).to_numpy(dtype=float)
    return counts


def summed_parents(populations: pd.DataFrame) -> dict[str, list[str]]:
    """Return the parents that are counted as the sum of their children.

    Parameters
    ----------
    populations
        ``population``, ``parent`` and ``count``.

    Returns
    -------
    dict of str to list of str
        Parent -> its children. Without parents whose children have no counts at all.
    """
    counted = populations[populations["count"].notna()]
    parents = parent_names(counted)
    absent = counted[~parents.isin(populations["population"])]
    families = absent.groupby(parents, sort=False)["population"]
    return {str(parent): list(dict.fromkeys(children)) for parent, children in families}
