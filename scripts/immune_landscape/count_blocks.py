"""Counts as blocks of rows: from a count store, which then need not fit into memory, or from a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from immune_landscape.errors import ContractError

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


class Blocks(Protocol):
    """What can be read block by block: `CountBlocks`, or several of them in a row."""

    shape: tuple[int, int]
    stored: int

    def __iter__(self) -> Iterator[Block]:
        """Yield the rows in order."""


class Part(NamedTuple):
    """Where a block is found; small, so that it can be sent to another process.

    Attributes
    ----------
    source : path or csr_matrix
        Count store, or matrix.
    rows : slice
        Rows of the block among the kept ones.
    bounds : ndarray of int64
        Where the values of the rows from the first kept one to the last begin and end.
    keep : ndarray of bool
        Which of these rows are kept.
    columns : int
        Genes.
    """

    source: Source
    rows: slice
    bounds: np.ndarray
    keep: np.ndarray
    columns: int


class CountBlocks:
    """Raw counts that are read block by block, as often as needed.

    Parameters
    ----------
    source
        Path of a count store (h5ad whose X is CSR), or a CSR matrix.
    keep
        Bool, shape (cells,): rows to keep; None for all.
    values
        Stored values that a block holds at most, unless `ALIGNED` rows hold more; None for `VALUES`.

    Attributes
    ----------
    shape : tuple of int
        Kept rows and genes.
    stored : int
        Stored values of the kept rows.
    source : path or csr_matrix
        As given.
    """

    def __init__(self, source: Source, keep: np.ndarray | None = None, values: int | None = None) -> None:
        self.source, self._values = source, values or VALUES
        self._indptr, columns = _layout_of(source)
        rows = len(self._indptr) - 1
        self._keep = np.ones(rows, dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
        if len(self._keep) != rows:
            raise ValueError(f"keep has {len(self._keep)} rows, the counts {rows}")
        self.shape = (int(self._keep.sum()), columns)
        self.stored = int(np.diff(self._indptr)[self._keep].sum())

    def __iter__(self) -> Iterator[Block]:
        """Yield the kept rows in order, `ALIGNED` times some number of them in each block but the last."""
        return map(read_part, self.parts())

    def parts(self) -> Iterator[Part]:
        """Yield where the blocks are, unread.

        Yields
        ------
        Part
            Of each block, in order.
        """
        kept = np.flatnonzero(self._keep)
        for start, end in _bounds(np.diff(self._indptr)[kept], self._values):
            first, last = kept[start], kept[end - 1] + 1
            place = slice(first, last)
            bounds = self._indptr[first : last + 1]
            yield Part(self.source, slice(start, end), bounds, self._keep[place], self.shape[1])

    def kept(self, mask: np.ndarray) -> CountBlocks:
        """Return fewer rows.

        Parameters
        ----------
        mask
            Bool, shape (kept rows,).

        Returns
        -------
        CountBlocks
            Of the same source.
        """
        keep = self._keep.copy()
        keep[keep] = mask
        return CountBlocks(self.source, keep, self._values)


def read_part(part: Part) -> Block:
    """Read a block.

    Parameters
    ----------
    part
        Where it is.

    Returns
    -------
    Block
        Rows and counts.
    """
    at = slice(int(part.bounds[0]), int(part.bounds[-1]))
    bounds = (part.bounds - at.start).astype(np.int32)
    with _opened(part.source) as (data, indices):
        block = sp.csr_matrix((data[at], indices[at], bounds), shape=(len(part.keep), part.columns))
    return Block(part.rows, block if part.keep.all() else block[part.keep])


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
def _opened(source: str | Path | sp.csr_matrix) -> Iterator[tuple[Any, Any]]:
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
