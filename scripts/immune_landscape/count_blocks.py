"""Counts as blocks of rows: from the count store, which then need not fit into memory, or from a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.errors import ContractError
from immune_landscape.store import whole, write_checksum

VALUES = 1 << 23
"""Stored values of a block: 64 MiB with their places, about 5,000 cells."""

ALIGNED = 4096
"""Rows of which a block holds a multiple, so that steps that add up parts of so many rows add the same parts."""


Source = Any
"""Path of a count store, or a CSR matrix."""


class Block(NamedTuple):
    """Some rows of the counts.

    Attributes
    ----------
    rows : slice
        Where they are among the kept rows.
    counts : csr_matrix
        Cells x genes.
    """

    rows: slice
    counts: sp.csr_matrix


class CountBlocks:
    """Raw counts that are read block by block, as often as needed.

    Parameters
    ----------
    source
        Path of a count store (h5ad whose X is CSR), or a CSR matrix.
    keep
        Bool, shape (cells,): rows to keep; None for all.
    values
        Stored values that a block holds at most, unless `ALIGNED` rows hold more.

    Attributes
    ----------
    shape : tuple of int
        Kept rows and genes.
    stored : int
        Stored values of the kept rows.
    """

    def __init__(self, source: Source, keep: np.ndarray | None = None, values: int = VALUES) -> None:
        self._source, self._values = source, values
        self._indptr, columns = _layout_of(source)
        rows = len(self._indptr) - 1
        self._keep = np.ones(rows, dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
        if len(self._keep) != rows:
            raise ValueError(f"keep has {len(self._keep)} rows, the counts {rows}")
        self.shape = (int(self._keep.sum()), columns)
        self.stored = int(np.diff(self._indptr)[self._keep].sum())

    def __iter__(self) -> Iterator[Block]:
        """Yield the kept rows in order, `ALIGNED` times some number of them in each block but the last."""
        kept = np.flatnonzero(self._keep)
        sizes = np.diff(self._indptr)[kept]
        with _opened(self._source) as (data, indices):
            for start, end in _bounds(sizes, self._values):
                first, last = kept[start], kept[end - 1] + 1
                part = slice(int(self._indptr[first]), int(self._indptr[last]))
                bounds = (self._indptr[first : last + 1] - part.start).astype(np.int32)
                block = sp.csr_matrix((data[part], indices[part], bounds), shape=(last - first, self.shape[1]))
                whole = end - start == last - first
                yield Block(slice(start, end), block if whole else block[self._keep[first:last]])


def read_names(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the tables of a count store without its counts.

    Parameters
    ----------
    path
        h5ad.

    Returns
    -------
    obs, var : pandas.DataFrame
        One row per cell, one row per gene.
    """
    import h5py
    from anndata.io import read_elem

    with h5py.File(path) as file:
        return read_elem(file["obs"]), read_elem(file["var"])


def write_blocks(path: str | Path, blocks: CountBlocks, obs: pd.DataFrame, var: pd.DataFrame) -> None:
    """Write a count store block by block, as `store.write_stage` writes one from memory.

    Parameters
    ----------
    path
        Target; ``<path>.sha256`` is written too.
    blocks
        Cells x genes, raw counts.
    obs, var
        One row per cell, one row per gene.
    """
    import h5py
    from anndata.io import write_elem

    with whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        _write_counts(file.create_group("X"), blocks)
        write_elem(file, "obs", obs)
        write_elem(file, "var", var)
        for slot in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            write_elem(file, slot, {})
    write_checksum(path)


def _write_counts(group: Any, blocks: CountBlocks) -> None:
    """Write a CSR matrix."""
    stored = blocks.stored
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array(blocks.shape)})
    data, indices = (group.create_dataset(name, (stored,), np.int32) for name in ("data", "indices"))
    # scipy wants both arrays of places of one type
    width, at = np.int32 if stored <= np.iinfo(np.int32).max else np.int64, 0
    ends = [np.zeros(1, dtype=width)]
    for block in blocks:
        counts = block.counts
        data[at : at + counts.nnz], indices[at : at + counts.nnz] = counts.data.astype(np.int32), counts.indices
        ends.append((counts.indptr[1:].astype(np.int64) + at).astype(width))
        at += counts.nnz
    group.create_dataset("indptr", data=np.concatenate(ends))


def _layout_of(source: Source) -> tuple[np.ndarray, int]:
    """Return the bounds of the rows, and the number of columns."""
    import h5py

    if isinstance(source, sp.csr_matrix):
        return source.indptr.astype(np.int64), source.shape[1]
    with h5py.File(source) as file:
        kind = str(file["X"].attrs.get("encoding-type", "array"))
        if kind != "csr_matrix":
            raise ContractError(f"{source}: X is {kind}, expected csr_matrix")
        return file["X/indptr"][()].astype(np.int64), int(file["X"].attrs["shape"][1])


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Any, Any]]:
    """Yield values and places that can be sliced: arrays, or data sets of a file that is open meanwhile."""
    import h5py

    if isinstance(source, sp.csr_matrix):
        yield source.data, source.indices
        return
    with h5py.File(source) as file:
        yield file["X/data"], file["X/indices"]


def _bounds(sizes: np.ndarray, values: int) -> Iterator[tuple[int, int]]:
    """Yield first and last row of blocks of `ALIGNED` rows, as many together as hold so many values."""
    start, ends = 0, np.concatenate([[0], np.cumsum(sizes)])
    while start < len(sizes):
        end = int(np.searchsorted(ends, ends[start] + values, side="right")) - 1
        if end < len(sizes):
            end = min(start + max(1, (end - start) // ALIGNED) * ALIGNED, len(sizes))
        yield start, end
        start = end
