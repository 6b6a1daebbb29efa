"""The heavy steps that look at all counts, block by block: what is held grows with cells only by vectors and scores.

The work on a block is that of the device's own steps, so a block is normalised and measured as a whole matrix would be;
only sums are added up over blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from immune_landscape.count_blocks import ALIGNED, CountBlocks
from immune_landscape.device import Devices
from immune_landscape.gene_dispersion import batch_moments, chosen_in_batches, measure_dispersion, most_dispersed
from immune_landscape.step_results import Components, MarkerRanks

PASSES, FEWEST_VALUES, MOST_VALUES = 4, 1 << 26, 1 << 28
"""Passes over the counts in which ranks are taken; stored values that are held in one at least, 0.5 GiB with their
places, and at most, 2 GiB, beyond which there are more passes."""

MIN_CELLS = 3
"""Cells in which a gene must be seen to be chosen."""


class ChosenGenes(NamedTuple):
    """Highly variable genes, and what one pass over the counts tells besides.

    Attributes
    ----------
    chosen : ndarray of bool, shape (genes,)
        The chosen genes.
    mean : ndarray of float64, shape (genes,)
        Mean of the log-normalised values.
    cells : ndarray of int64, shape (genes,)
        Cells in which each gene is seen.
    """

    chosen: np.ndarray
    mean: np.ndarray
    cells: np.ndarray


def cell_metrics(blocks: CountBlocks, groups: Mapping[str, np.ndarray], devices: Devices) -> dict[str, np.ndarray]:
    """Measure each cell; see `steps_cpu.cell_metrics`.

    Parameters
    ----------
    blocks
        Cells x genes, raw counts.
    groups
        Name of a group of genes -> bool array of shape (genes,).
    devices
        Where the steps run.

    Returns
    -------
    dict of str to ndarray of shape (cells,)
        ``total_counts``, ``n_genes`` and each group's molecules.
    """
    measure = devices.step("cell_metrics")
    parts = [measure(block.counts, groups) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in ("total_counts", "n_genes", *groups)}


def choose_genes(
    blocks: CountBlocks,
    allowed: np.ndarray,
    batch: np.ndarray | None,
    devices: Devices,
    *,
    target_sum: float,
    n_top_genes: int,
) -> ChosenGenes:
    """Choose highly variable genes in one pass; see `steps_cpu.choose_genes`.

    Parameters
    ----------
    blocks
        Cells x genes, raw counts.
    allowed
        Bool, shape (genes,): genes that may be chosen where enough cells have them.
    batch
        Batch of each cell; None for one choice over all cells.
    devices
        Where the steps run.
    target_sum
        Total per cell before log1p.
    n_top_genes
        How many.

    Returns
    -------
    ChosenGenes
        Chosen genes, means, and cells per gene.
    """
    cells, genes = blocks.shape
    names, codes = np.unique(batch if batch is not None else np.zeros(cells), return_inverse=True)
    moments, total = np.zeros((len(names), 3, genes)), np.zeros(genes)
    for rows, counts in blocks:
        normal = devices.step("normalise")(counts, target_sum)
        moments += batch_moments(normal, codes[rows], len(names))
        total += np.bincount(normal.indices, weights=normal.data, minlength=genes)
    seen = moments[:, 0].sum(axis=0).astype(np.int64)
    usable = allowed & (seen >= MIN_CELLS)
    wanted, chosen = min(n_top_genes, int(usable.sum())), np.zeros(genes, dtype=bool)
    if batch is None:
        chosen[usable] = most_dispersed(measure_dispersion(moments[0][:, usable], cells), wanted)
    else:
        chosen[usable] = chosen_in_batches(moments[:, :, usable], np.bincount(codes), wanted)
    return ChosenGenes(chosen, total / cells, seen)


def principal_components(
    blocks: CountBlocks, genes: ChosenGenes, width: int, seed: int, devices: Devices, *, target_sum: float
) -> Components:
    """Return principal components of the chosen genes in one pass or two; see `steps_cpu.principal_components`.

    Parameters
    ----------
    blocks
        Cells x genes, raw counts.
    genes
        As `choose_genes` returns.
    width
        Components.
    seed
        Seed of the solver.
    devices
        Where the steps run.
    target_sum
        Total per cell before log1p.

    Returns
    -------
    Components
        Scores and shares of variance.

    Notes
    -----
    The products of the chosen genes are summed over blocks about the means, which `choose_genes` has found: 2,000 genes
    take 32 MB, whatever the number of cells. The values of these genes are held for the scores where they are no more
    than `MOST_VALUES`, else read again.
    """
    from threadpoolctl import threadpool_limits

    from immune_landscape.leading_pairs import leading_pairs

    columns, mean = np.flatnonzero(genes.chosen), genes.mean[genes.chosen]
    shift, products = mean.astype(np.float32), np.zeros((len(mean), len(mean)))
    few = genes.cells[genes.chosen].sum() <= MOST_VALUES
    held = list(_normal_parts(blocks, columns, devices, target_sum)) if few else None
    with threadpool_limits(1, "blas"):  # sums of several BLAS threads differ in the last digits
        for normal in held or _normal_parts(blocks, columns, devices, target_sum):
            for start in range(0, normal.shape[0], ALIGNED):
                dense = normal[start : start + ALIGNED].toarray()
                dense -= shift
                products += dense.T @ dense
        directions, variances = leading_pairs(products, width, seed)
        moved, sent = (mean @ directions).astype(np.float32), directions.astype(np.float32)
        parts = held or _normal_parts(blocks, columns, devices, target_sum)
        scores = [normal @ sent - moved for normal in parts]
    return Components(np.concatenate(scores).astype(np.float32, copy=False), variances / np.trace(products))


def _normal_parts(blocks: CountBlocks, columns: np.ndarray | slice, devices: Devices, target_sum: float) -> Any:
    """Yield the log-normalised values of some genes, block by block."""
    for block in blocks:
        yield devices.step("normalise")(block.counts, target_sum)[:, columns]


def rank_markers(
    blocks: CountBlocks,
    groups: np.ndarray,
    n_groups: int,
    seen: np.ndarray,
    devices: Devices,
    *,
    target_sum: float,
    values: int | None = None,
) -> MarkerRanks:
    """Rank genes of each group by their rank sum, some genes in each pass; see `steps_cpu.rank_markers`.

    Parameters
    ----------
    blocks
        Cells x genes, raw counts.
    groups
        Group of each cell, 0 to ``n_groups - 1``.
    n_groups
        Number of groups.
    seen
        Cells in which each gene is seen (`ChosenGenes.cells`).
    devices
        Where the steps run.
    target_sum
        Total per cell before log1p.
    values
        Stored values that are held at once; None for a number that takes `PASSES` passes within the bounds.

    Returns
    -------
    MarkerRanks
        As if all counts had been there at once: ranks need all cells of a gene, but not all genes.
    """
    held = values or int(np.clip(seen.sum() // PASSES, FEWEST_VALUES, MOST_VALUES))
    part = (np.maximum(np.cumsum(seen) - 1, 0) // held).astype(int)
    starts, found = np.flatnonzero(np.diff(part, prepend=-1)), []
    for start, end in zip(starts, [*starts[1:], len(seen)], strict=True):
        columns = slice(int(start), int(end))
        normal = sp.vstack(list(_normal_parts(blocks, columns, devices, target_sum)), format="csr")
        found.append(devices.step("rank_markers")(normal, groups, n_groups))
    return MarkerRanks(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))


def sum_groups(blocks: CountBlocks, groups: np.ndarray, n_groups: int) -> sp.csr_matrix:
    """Sum raw counts over groups of cells.

    Parameters
    ----------
    blocks
        Cells x genes, raw counts.
    groups
        Group of each cell, 0 to ``n_groups - 1``; below 0 for none.
    n_groups
        Number of groups.

    Returns
    -------
    csr_matrix of int64, shape (groups, genes)
        Sums, exact.
    """
    none = np.empty(0, dtype=np.int64)
    total: Any = sp.csr_matrix((none, (none, none)), shape=(n_groups, blocks.shape[1]))
    for rows, counts in blocks:
        own = groups[rows]
        cells = np.flatnonzero(own >= 0)
        ones = np.ones(len(cells), dtype=np.int64)
        indicator = sp.csr_matrix((ones, (own[cells], cells)), shape=(n_groups, len(own)))
        total = total + indicator @ counts.astype(np.int64)
    return total.tocsr()
