"""Read a few genes of the merged counts, block by block, whatever the number of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.store import check_integrity

if TYPE_CHECKING:
    import h5py

BLOCK = 20_000
"""Cells read at a time: tens of megabytes."""


def read_gene_counts(path: str | Path, genes: Sequence[str], *, block: int = BLOCK) -> pd.DataFrame:
    """Read the counts of a few genes and the molecules of every cell.

    Parameters
    ----------
    path
        Written by stage merge_samples; its checksum is checked first.
    genes
        Symbols; those that the file lacks are left out.
    block
        Cells held in memory at a time.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``molecules`` (all counts of the cell), and one column per gene found, in the
        order of `genes`.

    Raises
    ------
    IntegrityError
        When the file differs from its checksum.
    """
    import h5py
    from anndata.io import read_elem

    check_integrity(Path(path))
    with h5py.File(path, "r") as file:
        obs, names = read_elem(file["obs"]), pd.Index(read_elem(file["var"]).index)
        found = [gene for gene in genes if gene in names]
        sums = _sums(file["X"], len(obs), names.get_indexer(pd.Index(found)), block)
    counts = pd.DataFrame(sums, index=obs.index.astype(str).rename("cell"), columns=["molecules", *found])
    counts.insert(0, "sample", obs["sample"].astype(str).to_numpy())
    return counts


def _sums(item: h5py.Group, cells: int, columns: np.ndarray, block: int) -> np.ndarray:
    """Return total and chosen columns, cells x (1 + columns)."""
    from anndata.io import sparse_dataset

    stored = sparse_dataset(item)
    sums = np.zeros((cells, 1 + len(columns)), dtype=np.int64)
    for start in range(0, cells, block):
        part = stored[start : start + block]
        sums[start : start + block, 0] = np.asarray(part.sum(axis=1, dtype=np.int64)).ravel()
        sums[start : start + block, 1:] = part[:, columns].toarray()
    return sums
