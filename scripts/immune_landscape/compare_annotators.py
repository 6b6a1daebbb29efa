"""How far the witnesses of a cell's name agree: markers, clusters, reference, receptor, and their consensus."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types
from immune_landscape.receptor_kinds import KINDS, allows

WITNESSES = ("markers", "by_cluster", "reference", "receptor")
ANNOTATORS = ("consensus", *WITNESSES)
LABEL = {"lineage": "lineage", "subset": "subset"}
"""Level -> column of the consensus in the cell tables."""

OUTSIDE_T = "t_receptor_outside_t"
ANY = "any"
CONFUSION = ["level", "branch", "annotator_a", "label_a", "annotator_b", "label_b", "cells"]
AGREEMENT = ["level", "branch", "annotator_a", "annotator_b", "cells", "agree", "ari", "kappa", "abstained"]
DISAGREEMENT = ["level", "branch", "sample", "label", "witness", "cells", "disagree", "share"]


def compare_annotators(
    lineages: pd.DataFrame, *subsets: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cross the labels that each witness and the consensus give to the same cells.

    Parameters
    ----------
    lineages
        As `annotate_lineages.annotate_lineages` returns: ``sample``, ``lineage``, ``markers``, ``by_cluster``,
        ``reference``, ``receptor``; empty where a witness has no say.
    *subsets
        Cell tables of `annotate_subsets.annotate_subsets`, one per branch, with ``subset`` in place of ``lineage``.

    Returns
    -------
    confusion : pandas.DataFrame
        ``level`` (lineage, subset), ``branch`` (all, nk, t), ``annotator_a``, ``label_a``, ``annotator_b``,
        ``label_b``, ``cells``: every pair of annotators over the cells on which both have a say, unassigned ones
        included.
    agreement : pandas.DataFrame
        ``level``, ``branch``, ``annotator_a``, ``annotator_b``, ``cells`` (that both name), ``agree`` (share of them),
        ``ari`` (adjusted Rand index), ``kappa`` (Cohen's), ``abstained`` (cells on which both have a say but are not
        compared, as at least one leaves the name open). A label agrees with its parent, such as Treg with CD4 T of an
        open subset; in index and kappa both then count as the parent. A receptor agrees with every type that can carry
        it (`receptor_kinds.allows`); it has no index and no kappa, as its words are not those of the others. On
        lineages its agreement is the share of cells with a T-cell receptor that are named T. On NK subsets it has no
        agreement: no receptor speaks for any of them, so that it could only contradict.
    disagreements : pandas.DataFrame
        ``level``, ``branch``, ``sample``, ``label`` (consensus), ``witness``, ``cells`` (on which the witness names a
        type), ``disagree`` (on which it contradicts the consensus), ``share``. Witness ``any`` counts the cells on
        which any two witnesses contradict each other, out of those with at least two; ``receptor`` is told of T
        subsets alone; ``t_receptor_outside_t`` counts the cells with a T-cell receptor, by label outside the T
        lineage, out of those with a row in the receptor table.
    """
    tables = [_Level("lineage", "all", lineages)]
    tables += [_Level("subset", _branch_of(table, lineages), table) for table in subsets if len(table)]
    confusion = [row for level in tables for row in _confusions(level)]
    agreement = [row for level in tables for row in _agreements(level)]
    disagreements = [row for level in tables for row in _disagreements(level)]
    disagreements += list(_receptors_outside_t(tables[0]))
    return (
        pd.concat(confusion, ignore_index=True) if confusion else pd.DataFrame(columns=CONFUSION),
        pd.DataFrame(agreement, columns=AGREEMENT),
        pd.concat(disagreements, ignore_index=True) if disagreements else pd.DataFrame(columns=DISAGREEMENT),
    )


class _Level:
    """Labels of the cells at one level, one column per annotator; empty for no say.

    `named` tells where an annotator names something that the others may be compared with.
    """

    def __init__(self, level: str, branch: str, table: pd.DataFrame) -> None:
        self.level, self.branch = level, branch
        self.sample = table["sample"].astype(str)
        columns = {"consensus": table[LABEL[level]]} | {name: table[name] for name in WITNESSES}
        # A column without any entry is read back as missing numbers.
        told = {name: column.astype(object).where(column.notna(), "") for name, column in columns.items()}
        self.labels = pd.DataFrame(told).astype(str)
        self.named = pd.DataFrame({name: _is_name(column) for name, column in self.labels.items()})
        if level == "subset" and branch != "t":
            self.named["receptor"] = False

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs of annotators that have a say on any cell."""
        present = [name for name in ANNOTATORS if (self.labels[name] != "").any()]
        yield from combinations(present, 2)

    def agree(self, first: str, second: str) -> pd.Series:
        """Tell of each cell whether two annotators are compatible."""
        pairs = pd.MultiIndex.from_arrays([self.labels[second], self.labels[first]])
        fits = allows if second == "receptor" else same_type
        known = {pair: fits(*pair) for pair in pairs.unique()}
        return pd.Series([known[pair] for pair in pairs], index=self.labels.index, dtype=bool)


def same_type(first: str, second: str) -> bool:
    """Tell whether two labels may name the same cell: they are equal, or one is the parent of the other.

    Parameters
    ----------
    first, second
        Slugs of one level.

    Returns
    -------
    bool
        Such as true for ``cd4_t``, which leaves the subset open, and ``treg``.
    """
    parents = _parents()
    return first == second or parents.get(first) == second or parents.get(second) == first


@cache
def _parents() -> dict[str, str]:
    """Return subset -> parent, which is a subset itself."""
    types = read_cell_types()
    subsets = types.index[types["level"] == "subset"]
    inside = types["parent"].isin(subsets)
    return {str(slug): str(parent) for slug, parent in types.loc[inside, "parent"].items()}


def _branch_of(table: pd.DataFrame, lineages: pd.DataFrame) -> str:
    return str(lineages.loc[table.index[0], "branch"])


def _is_name(labels: pd.Series) -> pd.Series:
    """Tell of each label whether it names a type; a receptor of no kind, as unassigned, leaves it open."""
    return (labels != "") & (labels != "none") & ~labels.str.endswith("unassigned")


def _confusions(level: _Level) -> Iterator[pd.DataFrame]:
    for first, second in level.pairs():
        pair = level.labels[[first, second]]
        pair = pair[(pair != "").all(axis=1)].set_axis(["label_a", "label_b"], axis=1)
        counted = pair.groupby(["label_a", "label_b"], sort=True).size().rename("cells").reset_index()
        facts = {"level": level.level, "branch": level.branch, "annotator_a": first, "annotator_b": second}
        yield counted.assign(**facts)[CONFUSION]


class _Agreement(NamedTuple):
    level: str
    branch: str
    annotator_a: str
    annotator_b: str
    cells: int
    agree: float
    ari: float
    kappa: float
    abstained: int


def _agreements(level: _Level) -> Iterator[_Agreement]:
    for first, second in level.pairs():
        both = level.named[[first, second]].all(axis=1)
        heard = (level.labels[[first, second]] != "").all(axis=1)
        cells = int(both.sum())
        share = float(level.agree(first, second)[both].mean()) if cells else np.nan
        indices = (np.nan, np.nan) if second == "receptor" else _indices(level.labels.loc[both, [first, second]])
        yield _Agreement(level.level, level.branch, first, second, cells, share, *indices, int(heard.sum()) - cells)


def _indices(pair: pd.DataFrame) -> tuple[float, float]:
    """Return adjusted Rand index and Cohen's kappa; kappa is not defined where both have one and the same label."""
    from sklearn.metrics import adjusted_rand_score, cohen_kappa_score

    if pair.empty:
        return np.nan, np.nan
    first, second = np.array([_coarser(one, two) for one, two in pair.to_numpy()]).T
    one_label = len(np.unique([first, second])) == 1
    kappa = np.nan if one_label else float(cohen_kappa_score(first, second))
    return float(adjusted_rand_score(first, second)), kappa


def _coarser(first: str, second: str) -> tuple[str, str]:
    """Return the parent twice where one label is the other's parent, else the labels."""
    parents = _parents()
    shared = first if parents.get(second) == first else second if parents.get(first) == second else ""
    return (shared, shared) if shared else (first, second)


def _disagreements(level: _Level) -> Iterator[pd.DataFrame]:
    # Every lineage but T contradicts a receptor, and T none: `OUTSIDE_T` tells that out of all cells looked at.
    for witness in WITNESSES if level.level == "subset" else WITNESSES[:-1]:
        against = level.named["consensus"] & ~level.agree("consensus", witness)
        heard = level.named[witness] & level.named["consensus"]
        yield _by_label(level, witness, heard, against & heard)
    yield _by_label(level, ANY, *_any_two(level))


def _any_two(level: _Level) -> tuple[pd.Series, pd.Series]:
    """Mark the cells with at least two witnesses that name a type, and those where any two contradict each other."""
    heard = level.named[list(WITNESSES)].sum(axis=1) >= 2
    against = pd.Series(False, index=heard.index)
    for first, second in combinations(WITNESSES, 2):
        against |= level.named[first] & level.named[second] & ~level.agree(first, second)
    return heard, against


def _receptors_outside_t(level: _Level) -> Iterator[pd.DataFrame]:
    outside = level.named["consensus"] & (level.labels["consensus"] != "t")
    found = outside & level.labels["receptor"].isin(set(KINDS) - {"none"})
    yield _by_label(level, OUTSIDE_T, outside & (level.labels["receptor"] != ""), found)


def _by_label(level: _Level, witness: str, heard: pd.Series, against: pd.Series) -> pd.DataFrame:
    """Count cells by sample and consensus label."""
    facts = pd.DataFrame({"sample": level.sample, "label": level.labels["consensus"], "disagree": against})[heard]
    counted = facts.groupby(["sample", "label"], sort=True)["disagree"].agg(cells="size", disagree="sum").reset_index()
    counted = counted.assign(level=level.level, branch=level.branch, witness=witness)
    return counted.assign(share=counted["disagree"] / counted["cells"])[DISAGREEMENT]
