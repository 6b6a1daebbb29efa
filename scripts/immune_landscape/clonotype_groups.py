"""Group cells whose receptors are identical, under any definition of identity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

ARMS = {"VJ": ("vj", "vj2"), "VDJ": ("vdj", "vdj2")}
"""Arm -> its primary and secondary chain, as columns begin."""

WITHIN = ("patient", "receptor_subtype")
"""Cells are compared within these."""

MISSING = -1


def group_receptors(
    chains: pd.DataFrame, *, receptor_arms: str, dual_ir: str, sequence: str, same_v_gene: bool, same_j_gene: bool
) -> np.ndarray:
    """Number the clonotype of each cell.

    Parameters
    ----------
    chains
        Table of `receptor_chains.read_chains`, of cells with a sequence in an arm that is compared.
    receptor_arms, dual_ir, sequence, same_v_gene, same_j_gene
        As for `define_clonotypes.define_clonotypes`.

    Returns
    -------
    numpy.ndarray
        (cells,) int: equal for cells of one clonotype.

    Notes
    -----
    The partition is that of scirpy's `define_clonotype_clusters` with the metric ``identity``. There each pair of
    receptors is compared; here each cell has keys, such that two cells match if and only if they share one, and the
    clonotypes are the connected parts of the graph of cells and keys. This takes time in proportion to the cells.
    A chain without a called gene matches only chains without that gene, where scirpy 0.25 takes an arbitrary gene for
    a missing one.
    """
    within = _combine([_codes(chains[name]) for name in WITHIN])
    genes = [name for name, wanted in (("v_gene", same_v_gene), ("j_gene", same_j_gene)) if wanted]
    field = "junction" if sequence == "nt" else "junction_aa"
    arms = [receptor_arms] if receptor_arms in ARMS else list(ARMS)
    keys = [_arm_keys(chains, within, arm, dual_ir, field, genes) for arm in arms]
    if receptor_arms == "all":
        return _connected(_pair_keys(*keys))
    # Keys of different arms must not be taken for one another.
    starts = np.cumsum([0, *(int(columns.max(initial=MISSING)) + 1 for columns in keys)])
    moved = [
        np.where(columns == MISSING, MISSING, columns + start) for columns, start in zip(keys, starts[:-1], strict=True)
    ]
    return _connected(np.column_stack(moved))


def _codes(column: pd.Series | np.ndarray) -> np.ndarray:
    return pd.factorize(column)[0].astype(np.int64)


def _combine(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Number the distinct combinations of codes; missing where any is."""
    joined = parts[0]
    for part in parts[1:]:
        missing = (joined == MISSING) | (part == MISSING)
        joined = _codes(joined * (int(part.max(initial=0)) + 1) + part)
        joined[missing] = MISSING
    return joined


def _arm_keys(
    chains: pd.DataFrame, within: np.ndarray, arm: str, dual_ir: str, field: str, genes: Sequence[str]
) -> np.ndarray:
    """Return what an arm can be recognised by: (cells, keys), `MISSING` where there is no key."""
    slots = ARMS[arm][:1] if dual_ir == "primary_only" else ARMS[arm]
    parts = [np.tile(within, len(slots))]
    for name in (field, *genes):
        column = np.concatenate([chains[f"{slot}_{name}"].to_numpy(dtype=object) for slot in slots])
        parts.append(_codes(column))
        if name == field:
            parts[-1][column == ""] = MISSING
    keys = _combine(parts).reshape(len(slots), -1).T
    if dual_ir != "all":
        return keys
    # All chains must agree, in whatever order: one key that holds both, a missing one included.
    both = np.sort(keys, axis=1) + 1
    either = _combine([both[:, 0], both[:, 1]])
    return np.where(both[:, 1:] == 0, MISSING, either[:, None])


def _pair_keys(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a key for each pair of keys of both arms; an arm without any counts as one more key."""
    columns = []
    absent = [(keys == MISSING).all(axis=1) for keys in (first, second)]
    for at, other in product(range(first.shape[1]), range(second.shape[1])):
        pair = [first[:, at] + 1, second[:, other] + 1]
        valid = [(pair[0] > 0) | (absent[0] & (at == 0)), (pair[1] > 0) | (absent[1] & (other == 0))]
        joined = pair[0] * (int(second.max(initial=MISSING)) + 2) + pair[1]
        columns.append(np.where(valid[0] & valid[1], joined, MISSING))
    keys = np.column_stack(columns)
    numbered = _codes(keys.ravel()).reshape(keys.shape)
    return np.where(keys == MISSING, MISSING, numbered)


def _connected(keys: np.ndarray) -> np.ndarray:
    """Number the connected parts of the graph of cells and their keys."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    cells, column = np.nonzero(keys != MISSING)
    numbers = keys[cells, column]
    if len(cells) == len(keys) == len(np.unique(cells)):
        return _codes(numbers)
    size = len(keys) + int(keys.max(initial=MISSING)) + 1
    graph = coo_matrix((np.ones(len(cells), dtype=bool), (cells, len(keys) + numbers)), shape=(size, size))
    return _codes(connected_components(graph, directed=False)[1][: len(keys)])
