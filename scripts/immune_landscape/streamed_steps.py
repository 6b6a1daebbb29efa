"""The heavy steps that look at all counts, block by block: what is held grows with cells only by vectors and scores.

The work on a block is that of the device's own steps, so a block is normalised and measured as a whole matrix would be;
only sums are added up over blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from immune_landscape.block_sums import normal_columns
from immune_landscape.block_work import over_blocks
from immune_landscape.count_blocks import ALIGNED, Block, CountBlocks
from immune_landscape.device import Device, Devices, step, told
from immune_landscape.gene_dispersion import batch_moments, chosen_in_batches, measure_dispersion, most_dispersed
from immune_landscape.leading_pairs import leading_pairs
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
    with told("cell_metrics", "in blocks"):
        parts = list(over_blocks(blocks, _metrics, dict(groups), devices.place("cell_metrics")))
    return {name: np.concatenate([part[name] for part in parts]) for name in ("total_counts", "n_genes", *groups)}


def _metrics(block: Block, groups: Mapping[str, np.ndarray], device: Device) -> dict[str, np.ndarray]:
    return step("cell_metrics", device, quiet=True)(block.counts, groups)


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
        Where the steps run. On a GPU all counts are held at once.
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
    if devices.place("choose_genes") == "gpu":
        return _chosen_on_gpu(blocks, allowed, batch, devices, target_sum, n_top_genes)
    names, codes = np.unique(batch if batch is not None else np.zeros(cells), return_inverse=True)
    moments, total = np.zeros((len(names), 3, genes)), np.zeros(genes)
    args = codes, len(names), target_sum, devices.place("normalise")
    with told("choose_genes", "cpu, in blocks"):
        for of_block, sums in over_blocks(blocks, _gene_sums, *args, scheduler=devices.scheduler):
            moments += of_block
            total += sums
        seen = moments[:, 0].sum(axis=0).astype(np.int64)
        usable = allowed & (seen >= MIN_CELLS)
        wanted, chosen = min(n_top_genes, int(usable.sum())), np.zeros(genes, dtype=bool)
        if batch is None:
            chosen[usable] = most_dispersed(measure_dispersion(moments[0][:, usable], cells), wanted)
        else:
            chosen[usable] = chosen_in_batches(moments[:, :, usable], np.bincount(codes), wanted)
    return ChosenGenes(chosen, total / cells, seen)


def _gene_sums(
    block: Block, codes: np.ndarray, n_batches: int, target_sum: float, device: Device
) -> tuple[np.ndarray, np.ndarray]:
    """Return a block's moments by batch, and its sums of log-normalised values."""
    normal = step("normalise", device, quiet=True)(block.counts, target_sum)
    sums = np.bincount(normal.indices, weights=normal.data, minlength=normal.shape[1])
    return batch_moments(normal, codes[block.rows], n_batches), sums


def _cells_with_genes(block: Block) -> np.ndarray:
    return np.bincount(block.counts.indices, minlength=block.counts.shape[1])


def _chosen_on_gpu(
    blocks: CountBlocks,
    allowed: np.ndarray,
    batch: np.ndarray | None,
    devices: Devices,
    target_sum: float,
    n_top_genes: int,
) -> ChosenGenes:
    seen = sum(over_blocks(blocks, _cells_with_genes, scheduler=devices.scheduler))
    normal = _normal_values(blocks, slice(None), seen, devices, target_sum)
    chosen = devices.step("choose_genes")(normal, allowed & (seen >= MIN_CELLS), batch, n_top_genes)
    return ChosenGenes(chosen, np.asarray(normal.mean(axis=0, dtype=np.float64)).ravel(), seen)


def principal_components(
    blocks: CountBlocks, genes: ChosenGenes, width: int, seed: int, devices: Devices, *, target_sum: float
) -> Components:
    """Return principal components of the chosen genes in few passes; see `steps_cpu.principal_components`.

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
    The values of the chosen genes are held where they are no more than `MOST_VALUES`, and on a GPU. Else their products
    about the means, which `choose_genes` has found, are summed over blocks: 2,000 genes take 32 MB, whatever the number
    of cells; the scores then take a second pass.
    """
    columns, mean = np.flatnonzero(genes.chosen), genes.mean[genes.chosen]
    if devices.place("principal_components") == "gpu" or genes.cells[genes.chosen].sum() <= MOST_VALUES:
        values = _normal_values(blocks, columns, genes.cells, devices, target_sum)
        return devices.step("principal_components")(values, width, seed)
    given = columns, target_sum, devices.place("normalise")
    products = np.zeros((len(mean), len(mean)))
    with told("principal_components", "cpu, in blocks"), threadpool_limits(1, "blas"):
        # One thread of BLAS: sums of several differ in the last digits.
        for part in over_blocks(blocks, _products, mean.astype(np.float32), *given, scheduler=devices.scheduler):
            products += part
        directions, variances = leading_pairs(products, width, seed)
        moved = directions.astype(np.float32), (mean @ directions).astype(np.float32)
        scores = list(over_blocks(blocks, _projected, *moved, *given, scheduler=devices.scheduler))
    return Components(np.concatenate(scores).astype(np.float32, copy=False), variances / np.trace(products))


def _products(block: Block, shift: np.ndarray, columns: np.ndarray, target_sum: float, device: Device) -> np.ndarray:
    """Return the products of genes about nearly their means, added up as of the whole matrix."""
    normal = normal_columns(block, columns, target_sum, device)
    products = np.zeros((len(shift), len(shift)))
    for start in range(0, normal.shape[0], ALIGNED):
        dense = normal[start : start + ALIGNED].toarray()
        dense -= shift
        products += dense.T @ dense
    return products


def _projected(
    block: Block, directions: np.ndarray, moved: np.ndarray, columns: np.ndarray, target_sum: float, device: Device
) -> np.ndarray:
    return normal_columns(block, columns, target_sum, device) @ directions - moved


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
        Cells in which each gene is seen.
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
        normal = _normal_values(blocks, slice(int(start), int(end)), seen, devices, target_sum)
        found.append(devices.step("rank_markers")(normal, groups, n_groups))
    return MarkerRanks(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))


def _normal_values(
    blocks: CountBlocks, columns: np.ndarray | slice, seen: np.ndarray, devices: Devices, target_sum: float
) -> sp.csr_matrix:
    """Return the log-normalised values of some genes, put in their place block by block: parts to stack would be twice.

    `seen` tells how many values there are: cells in which each gene is seen.
    """
    stored, rows = int(seen[columns].sum()), blocks.shape[0]
    data, indices = np.empty(stored, dtype=np.float32), np.empty(stored, dtype=np.int32)
    bounds: Any = np.zeros(rows + 1, dtype=np.int32 if stored <= np.iinfo(np.int32).max else np.int64)
    place, at, row = devices.place("normalise"), 0, 0
    with told("normalise", f"{place}, in blocks"):
        given = columns, target_sum, place
        for part in over_blocks(blocks, normal_columns, *given, scheduler=devices.scheduler):
            end, last = at + part.nnz, row + part.shape[0]
            data[at:end], indices[at:end], bounds[row + 1 : last + 1] = part.data, part.indices, part.indptr[1:] + at
            at, row = end, last
    return sp.csr_matrix((data, indices, bounds), shape=(rows, len(seen[columns])))
