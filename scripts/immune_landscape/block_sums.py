"""Genes, totals and sums of groups of cells, in one pass over counts of which a block at a time is held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.block_work import over_blocks
from immune_landscape.blocked_counts import blocked, stacked
from immune_landscape.count_blocks import Block, CountBlocks
from immune_landscape.device import Device, step
from immune_landscape.gene_dispersion import batch_moments

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts


def normal_genes(counts: CellCounts, genes: Iterable[str], target_sum: float) -> sp.csr_matrix:
    """Return the log-normalised values of some genes; of the others only a block is held at a time.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    genes
        Symbols in the data.
    target_sum
        Total per cell, of all genes, before log1p.

    Returns
    -------
    csr_matrix of float32, shape (cells, len(genes))
        Columns in the order of `genes`.
    """
    counts = blocked(counts)
    columns = counts.var_names.get_indexer(pd.Index(list(genes)))
    return stacked(list(over_blocks(counts.blocks, normal_columns, columns, target_sum)), len(columns))


def normal_columns(
    block: Block, columns: np.ndarray | slice, target_sum: float, device: Device = "cpu"
) -> sp.csr_matrix:
    """Log-normalise a block, and return some of its genes.

    Parameters
    ----------
    block
        Raw counts.
    columns
        Positions of the genes.
    target_sum
        Total per cell before log1p.
    device
        ``cpu`` or ``gpu``.

    Returns
    -------
    csr_matrix of float32, shape (rows of the block, genes)
        Values.
    """
    return step("normalise", device, quiet=True)(block.counts, target_sum)[:, columns]


def count_molecules(counts: CellCounts) -> np.ndarray:
    """Sum the counts of each cell.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.

    Returns
    -------
    ndarray of float64, shape (cells,)
        Molecules.
    """
    parts = list(over_blocks(blocked(counts).blocks, _totals))
    return np.concatenate(parts) if parts else np.zeros(0)


def _totals(block: Block) -> np.ndarray:
    return np.asarray(block.counts.sum(axis=1, dtype=np.float64)).ravel()


def sum_counts(counts: CellCounts, member: sp.csr_matrix, scheduler: str = "") -> sp.csr_matrix:
    """Sum raw counts over groups of cells, which may overlap.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    member
        int64, shape (groups, cells): 1 where a cell belongs to a group.
    scheduler
        As in `block_work.over_blocks`.

    Returns
    -------
    csr_matrix of int64, shape (groups, genes)
        Sums, exact.
    """
    none: Any = np.zeros((member.shape[0], counts.n_vars), dtype=np.int64)
    counts, total = blocked(counts), sp.csr_matrix(none)
    for part in over_blocks(counts.blocks, _sums, member.tocsc(), scheduler=scheduler):
        total = total + part
    return total


def _sums(block: Block, member: sp.csc_matrix) -> sp.csr_matrix:
    return sp.csr_matrix(member[:, block.rows] @ block.counts.astype(np.int64))


def sum_normal(counts: CellCounts, groups: np.ndarray, n_groups: int, target_sum: float) -> np.ndarray:
    """Sum log-normalised values over groups of cells.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    groups
        int, shape (cells,): 0 to ``n_groups - 1``; below 0 for none.
    n_groups
        Number of groups.
    target_sum
        Total per cell before log1p.

    Returns
    -------
    ndarray of float64, shape (groups, genes)
        Sums.
    """
    total = np.zeros((n_groups, counts.n_vars))
    if n_groups:
        for part in over_blocks(_of_groups(counts, groups), _normal_sums, groups[groups >= 0], n_groups, target_sum):
            total += part
    return total


def _normal_sums(block: Block, groups: np.ndarray, n_groups: int, target_sum: float) -> np.ndarray:
    own = groups[block.rows]
    member = sp.csr_matrix((np.ones(len(own)), (own, np.arange(len(own)))), shape=(n_groups, len(own)))
    return (member @ step("normalise", "cpu", quiet=True)(block.counts, target_sum)).toarray()


def moments_of_groups(
    counts: CellCounts, groups: np.ndarray, n_groups: int, target_sum: float, scheduler: str = ""
) -> np.ndarray:
    """Count cells with a gene, and sum its normalised counts and their squares, over groups of cells.

    Parameters
    ----------
    counts, groups, n_groups, target_sum
        As in `sum_normal`.
    scheduler
        As in `block_work.over_blocks`.

    Returns
    -------
    ndarray of float64, shape (groups, 3, genes)
        As `gene_dispersion.batch_moments` returns: of values without logarithm.
    """
    total = np.zeros((n_groups, 3, counts.n_vars))
    own = groups[groups >= 0], n_groups, target_sum
    for part in over_blocks(_of_groups(counts, groups), _moments, *own, scheduler=scheduler):
        total += part
    return total


def _moments(block: Block, groups: np.ndarray, n_groups: int, target_sum: float) -> np.ndarray:
    return batch_moments(step("normalise", "cpu", quiet=True)(block.counts, target_sum), groups[block.rows], n_groups)


def _of_groups(counts: CellCounts, groups: np.ndarray) -> CountBlocks:
    """Return the cells that belong to a group."""
    blocks = blocked(counts).blocks
    return blocks if (groups >= 0).all() else blocks.kept(groups >= 0)
