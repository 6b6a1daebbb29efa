"""One label per cell from several witnesses that need not agree."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOG = logging.getLogger("immune_landscape")

STRICT = 2.0
"""Where witnesses are tied, the cell's own markers decide with a lead of this many times the least one."""


def join_witnesses(
    votes: pd.DataFrame, margin: pd.Series, *, unassigned: str, parents: Mapping[str, str], min_margin: float
) -> pd.Series:
    """Join what witnesses call each cell.

    The label that most witnesses name wins. A witness that names a parent, such as CD4 T with its subset open, goes
    with the one child that others name. In a tie the cell's own markers decide, when their lead is at least twice the
    least one; otherwise the cell gets the parent that the tied labels share, and with none it is unassigned.

    Parameters
    ----------
    votes
        Cells x witnesses: labels, `unassigned` where a witness looked and abstained, empty where it has no say. The
        first column is the cell's own markers.
    margin
        Lead of the first witness's label over its next, for each cell.
    unassigned
        Label when abstaining.
    parents
        Child -> parent of the labels.
    min_margin
        Least lead of the first witness.

    Returns
    -------
    pandas.Series
        Label of each cell.
    """
    rows = votes.assign(sure=(margin >= STRICT * min_margin).to_numpy())
    kinds = rows.drop_duplicates()
    label = {
        kind: _winner(kind[:-1], kind[-1], unassigned, parents) for kind in kinds.itertuples(index=False, name=None)
    }
    found = [label[kind] for kind in rows.itertuples(index=False, name=None)]
    return pd.Series(found, index=votes.index, dtype=object, name="label")


def agreement_of(votes: pd.DataFrame, label: pd.Series, parents: Mapping[str, str]) -> pd.Series:
    """Return the share of the witnesses with a say that name a cell's label, or a child of it.

    Parameters
    ----------
    votes
        Cells x witnesses, empty where a witness has no say.
    label
        Label of each cell.
    parents
        Child -> parent of the labels.

    Returns
    -------
    pandas.Series
        0 to 1; NaN where no witness has a say.
    """
    named, heard = pd.Series(0.0, index=votes.index), pd.Series(0.0, index=votes.index)
    for witness in votes.columns:
        vote = votes[witness].astype(object)
        named += (vote == label) | (vote.map(dict(parents)) == label)
        heard += vote != ""
    return (named / heard.where(heard > 0)).rename("agreement")


def _winner(said: tuple[str, ...], sure: bool, unassigned: str, parents: Mapping[str, str]) -> str:
    """Label of the cells whose witnesses said the same."""
    named = _as_children([label for label in said if label not in ("", unassigned)], parents)
    if not named:
        return unassigned
    counts = Counter(named)
    tied = sorted(label for label, number in counts.items() if number == max(counts.values()))
    own = _as_children([said[0], *named], parents)[0]
    if len(tied) == 1 or (own in tied and sure):
        return own if own in tied else tied[0]
    shared = {label if label in parents.values() else parents.get(label, "") for label in tied}
    return shared.pop() if len(shared) == 1 and "" not in shared else unassigned


def _as_children(named: list[str], parents: Mapping[str, str]) -> list[str]:
    """Let a vote for a parent go with its child where only one child is named."""
    children = {label: {each for each in named if parents.get(each) == label} for label in set(named)}
    return [next(iter(children[label])) if len(children[label]) == 1 else label for label in named]


def receptor_of(receptors: pd.DataFrame | None, cells: pd.Index) -> pd.Series:
    """Return what receptor each cell has, empty where none is known.

    Parameters
    ----------
    receptors
        As `witness_receptors.witness_receptors` returns, indexed by ``cell`` or with that column; None without
        single-cell receptors.
    cells
        Cells wanted.

    Returns
    -------
    pandas.Series
        ``alpha_beta``, ``mait``, ``inkt``, ``gamma_delta``, ``none`` or empty.
    """
    if receptors is None:
        return pd.Series("", index=cells, dtype=object)
    table = receptors.set_index("cell") if "cell" in receptors.columns else receptors
    return table["receptor"].astype(object).reindex(cells).fillna("")


def vote_of(votes: pd.DataFrame | None, level: str, cells: pd.Index, known: Iterable[str]) -> pd.Series:
    """Return what the reference calls each cell at a level, empty where it has no word for it.

    Parameters
    ----------
    votes
        As `classify_cells.classify_cells` returns, indexed by ``cell`` or with that column; None without a reference.
    level
        ``lineage`` or ``subset``.
    cells
        Cells wanted.
    known
        Labels that may be given here; others are left out, and logged.

    Returns
    -------
    pandas.Series
        Slugs.
    """
    if votes is None:
        return pd.Series("", index=cells, dtype=object)
    table = votes.set_index("cell") if "cell" in votes.columns else votes
    label = table[level].astype(object).reindex(cells).fillna("")
    heard = label.isin(["", *known])
    if not heard.all():
        LOG.info(
            "the reference has no say where it names a type that is not looked for here: %s", _sizes(label[~heard])
        )
    return label.where(heard, "")


def _sizes(labels: pd.Series) -> dict[str, int]:
    return {str(name): int(cells) for name, cells in labels.value_counts().sort_index().items()}


T_RECEPTORS = ("alpha_beta", "mait", "inkt", "gamma_delta")
NAMED_BY_RECEPTOR = {"mait": "mait", "inkt": "inkt", "gamma_delta": "gdt"}
"""Receptor -> the T subset that it defines."""


def lineage_vote(receptor: pd.Series, others: pd.DataFrame) -> pd.Series:
    """Let a T-cell receptor speak for T where another witness says T or NK.

    Anywhere else a receptor is a sign of ambient RNA or of a doublet; it stays in its column.

    Parameters
    ----------
    receptor
        As `receptor_of` returns.
    others
        Cells x other witnesses.

    Returns
    -------
    pandas.Series
        ``t`` or empty.
    """
    heard = receptor.isin(T_RECEPTORS) & others.isin(["t", "nk"]).any(axis=1)
    return pd.Series(np.where(heard, "t", ""), index=receptor.index, dtype=object)


def subset_vote(receptor: pd.Series) -> pd.Series:
    """Return the T subset that a cell's receptor defines.

    Parameters
    ----------
    receptor
        As `receptor_of` returns.

    Returns
    -------
    pandas.Series
        ``mait``, ``inkt``, ``gdt`` or empty.
    """
    return receptor.map(NAMED_BY_RECEPTOR).fillna("").astype(object)


def rule_out(label: pd.Series, receptor: pd.Series, unassigned: str) -> pd.Series:
    """Withdraw the votes for gamma-delta and iNKT cells where a productive alpha-beta receptor was read.

    Parameters
    ----------
    label
        T subset of each cell by one witness.
    receptor
        As `receptor_of` returns.
    unassigned
        What the vote becomes.

    Returns
    -------
    pandas.Series
        T subset of each cell.
    """
    return label.mask((receptor == "alpha_beta") & label.isin(["gdt", "inkt"]), unassigned)
