"""Simulate counts of blood cells with planted types and doublets, for benchmarks.

python benchmarks/simulate_counts.py CELLS counts.h5ad

20,000 genes, about 1,700 of them detected in a cell, negative binomial; 15 planted types in 4 lineages, 38 samples
with batch effects, 8 programmes that types share, 5 % doublets. obs holds sample, type, cond and doublet. Cells are
drawn and written block by block, so memory stays flat; each cell has a seed of its own, so threads do not change the
numbers.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import h5py
import numba as nb
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES, SAMPLES, PROGRAMMES, MITOCHONDRIAL = 20_000, 38, 8, 13
LINEAGE = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
"""Lineage of each planted type."""
WEIGHTS = np.array([6, 5, 4, 3, 1.5, 1, 5, 2, 0.7, 3, 1.5, 0.5, 0.8, 0.5, 0.3])
"""Relative frequency of each planted type."""
DOUBLETS, SECOND_CELL = 0.05, 0.9
"""Share of doublets, and what the second cell of one adds of a cell's molecules."""
BLOCK, SEED, CELL_SEED = 2000, 0, 17


class Truth(NamedTuple):
    """What is planted: levels of genes, and sample, type, partner and depth of each cell."""

    levels: np.ndarray
    batches: np.ndarray
    programmes: np.ndarray
    dispersion: np.ndarray
    sample: np.ndarray
    kind: np.ndarray
    partner: np.ndarray
    doublet: np.ndarray
    depth: np.ndarray
    loading: np.ndarray


@nb.njit(fastmath=True)
def draw(mean, dispersion):
    """Draw a negative binomial number: by inversion where the mean is small, else as a gamma-Poisson mixture."""
    if mean >= 3.0:
        return np.random.poisson(np.random.gamma(1.0 / dispersion, dispersion * mean))  # noqa: NPY002
    size, share = 1.0 / dispersion, dispersion * mean / (1 + dispersion * mean)
    chance, left, number = np.exp(-np.log1p(dispersion * mean) / dispersion), np.random.random(), 0  # noqa: NPY002
    reached = chance
    while left > reached and number < 60:
        chance, number = chance * (size + number) / (number + 1) * share, number + 1
        reached += chance
    return number


@nb.njit(parallel=True, fastmath=True)
def fill_cells(
    first, last, levels, batches, programmes, loading, depth, sample, kind, partner, doublet, dispersion, out
):
    """Fill rows of ``out`` with the counts of cells ``first`` to ``last``."""
    for row in nb.prange(last - first):
        cell = first + row
        np.random.seed(CELL_SEED + cell)  # noqa: NPY002
        mean = np.empty(levels.shape[1], np.float64)
        for half in range(2 if doublet[cell] else 1):
            own = kind[cell] if half == 0 else partner[cell]
            total = 0.0
            for gene in range(levels.shape[1]):
                level = levels[own, gene] + batches[sample[cell], gene]
                if half == 0:
                    for programme in range(programmes.shape[0]):
                        level += programmes[programme, gene] * loading[cell, programme]
                mean[gene] = np.exp(level)
                total += mean[gene]
            scale = depth[cell] if half == 0 else depth[cell] * SECOND_CELL
            for gene in range(levels.shape[1]):
                number = draw(mean[gene] / total * scale, dispersion[gene])
                out[row, gene] = number if half == 0 else out[row, gene] + number


def plant(cells: int) -> Truth:
    """Draw everything but the counts."""
    rng = np.random.default_rng(SEED)
    base = np.exp(rng.normal(0, 2.25, GENES))
    lineages = np.array([shift(rng, 900, 1.3) for _ in range(LINEAGE.max() + 1)])
    types = np.array([shift(rng, 420, 1.15) for _ in LINEAGE])
    programmes = np.array([shift(rng, 300, 0.5) for _ in range(PROGRAMMES)])
    strong = (rng.random((SAMPLES, 1)) < 0.3) * (rng.random((SAMPLES, GENES)) < 0.2)
    batches = rng.normal(0, 0.2, (SAMPLES, GENES)) + strong * rng.normal(0, 0.5, (SAMPLES, GENES))
    dispersion = np.clip(rng.gamma(2, 0.15, GENES), 0.02, 2.0)
    shares = rng.dirichlet(WEIGHTS * 4, SAMPLES)
    sample = np.sort(rng.choice(SAMPLES, cells, p=rng.dirichlet(np.full(SAMPLES, 8.0))))
    kind, partner = np.zeros(cells, int), np.zeros(cells, int)
    doublet = rng.random(cells) < DOUBLETS
    for number in range(SAMPLES):
        own = np.flatnonzero(sample == number)
        kind[own] = rng.choice(len(LINEAGE), len(own), p=shares[number])
        partner[own] = rng.choice(len(LINEAGE), len(own), p=shares[number])
    depth = np.exp(rng.normal(np.log(3900), 0.35, cells))
    loading = rng.normal(0, 1, (cells, PROGRAMMES)).astype(np.float32)
    levels = (np.log(base / base.sum())[None] + lineages[LINEAGE] + types).astype(np.float32)
    batches, programmes = batches.astype(np.float32), programmes.astype(np.float32)
    return Truth(levels, batches, programmes, dispersion, sample, kind, partner, doublet, depth, loading)


def shift(rng: np.random.Generator, genes: int, spread: float) -> np.ndarray:
    """Move the levels of some genes, three of four upwards."""
    moved = np.zeros(GENES)
    chosen = rng.choice(GENES, genes, replace=False)
    moved[chosen] = np.abs(rng.normal(0, spread, genes)) * rng.choice([1, 1, 1, -1], genes)
    return moved


def main(cells: int, target: Path) -> None:
    """Write an h5ad whose X grows block by block."""
    truth, buffer, ends = plant(cells), np.zeros((BLOCK, GENES), np.uint16), [np.zeros(1, np.int64)]
    with h5py.File(target, "w") as file:
        write_skeleton(file, cells)
        for first in range(0, cells, BLOCK):
            last = min(cells, first + BLOCK)
            fill_cells(
                *(first, last, truth.levels, truth.batches, truth.programmes, truth.loading, truth.depth),
                *(truth.sample, truth.kind, truth.partner, truth.doublet, truth.dispersion, buffer),
            )
            block = sp.csr_matrix(buffer[: last - first].astype(np.float32))
            append(file["X/data"], block.data)
            append(file["X/indices"], block.indices)
            ends.append(ends[-1][-1] + block.indptr[1:].astype(np.int64))
        # scipy wants both index arrays of one type
        width = np.int32 if ends[-1][-1] <= np.iinfo(np.int32).max else np.int64
        file["X"].create_dataset("indptr", data=np.concatenate(ends).astype(width))
        write_tables(file, truth)


def append(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Write values after those that are there."""
    start = dataset.shape[0]
    dataset.resize((start + len(values),))
    dataset[start:] = values


def write_skeleton(file: h5py.File, cells: int) -> None:
    """Lay out an h5ad whose CSR X is empty and can grow."""
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    matrix = file.create_group("X")
    shape = np.array([cells, GENES])
    matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    matrix.create_dataset("data", (0,), np.float32, maxshape=(None,), chunks=(1 << 20,))
    matrix.create_dataset("indices", (0,), np.int32, maxshape=(None,), chunks=(1 << 20,))


def write_tables(file: h5py.File, truth: Truth) -> None:
    """Write obs, var and the empty groups that an h5ad must have."""
    obs = pd.DataFrame(
        {
            "sample": pd.Categorical([f"S{number:02d}" for number in truth.sample]),
            "type": pd.Categorical([f"t{number:02d}" for number in truth.kind]),
            "cond": pd.Categorical(np.where(truth.sample < SAMPLES // 2, "ctl", "case")),
            "doublet": truth.doublet,
        },
        index=[f"c{number}" for number in range(len(truth.sample))],
    )
    names = [f"MT-{at}" if at < MITOCHONDRIAL else f"g{at}" for at in range(GENES)]
    ad.io.write_elem(file, "obs", obs)
    ad.io.write_elem(file, "var", pd.DataFrame(index=names))
    for group in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
        ad.io.write_elem(file, group, {})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
