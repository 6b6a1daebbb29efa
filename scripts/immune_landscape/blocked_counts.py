"""Cells and genes whose counts are read block by block: what rules take in place of an AnnData held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.contracts import check_contract
from immune_landscape.count_blocks import Blocks, CountBlocks
from immune_landscape.store import check_integrity, read_table, rows_of, whole, write_checksum

if TYPE_CHECKING:
    from anndata import AnnData

    CellCounts: TypeAlias = "AnnData | BlockedCounts"


@dataclass(frozen=True)
class BlockedCounts:
    """Tables of cells and genes in memory, counts wherever `blocks` reads them.

    Attributes
    ----------
    obs, var
        One row per cell, one row per gene, as of an AnnData.
    blocks
        Cells x genes, raw counts.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    blocks: Any

    @property
    def obs_names(self) -> pd.Index:
        """Ids of the cells."""
        return self.obs.index

    @property
    def var_names(self) -> pd.Index:
        """Symbols of the genes."""
        return self.var.index

    @property
    def n_obs(self) -> int:
        """Cells."""
        return len(self.obs)

    @property
    def n_vars(self) -> int:
        """Genes."""
        return len(self.var)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return self.n_obs, self.n_vars

    def kept(self, mask: np.ndarray) -> BlockedCounts:
        """Return fewer cells; nothing is read.

        Parameters
        ----------
        mask
            Bool, shape (cells,).

        Returns
        -------
        BlockedCounts
            In the same order.
        """
        return BlockedCounts(self.obs[mask], self.var, self.blocks.kept(mask))

    def to_memory(self) -> AnnData:
        """Read all counts.

        Returns
        -------
        AnnData
            Cells x genes.
        """
        import anndata

        return anndata.AnnData(
            stacked([block.counts for block in self.blocks], self.n_vars), obs=self.obs.copy(), var=self.var.copy()
        )


def stacked(parts: Sequence[sp.csr_matrix], columns: int) -> sp.csr_matrix:
    """Put parts of a matrix below each other; none are a matrix without rows.

    Parameters
    ----------
    parts
        Rows x columns each.
    columns
        How many columns there are.

    Returns
    -------
    csr_matrix
        All rows.
    """
    none: Any = np.empty((0, columns), dtype=np.int32)
    return sp.csr_matrix(sp.vstack(parts, format="csr") if parts else none)


def open_counts(path: str | Path, *, stage: str = "merge_samples") -> BlockedCounts:
    """Open counts that a stage wrote, after their checksum; the tables are read, the counts stay where they are.

    Parameters
    ----------
    path
        File written by `store.write_stage` or `write_counts`.
    stage
        Name of the stage that wrote it.

    Returns
    -------
    BlockedCounts
        As written.

    Raises
    ------
    IntegrityError, ContractError
        As `store.read_stage` does.
    """
    import anndata

    check_integrity(Path(path))
    obs, var, further = read_names(path)
    check_contract(anndata.AnnData(obs=obs, var=var), stage, **further)
    return BlockedCounts(obs, var, CountBlocks(path))


def read_names(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, None]]]:
    """Read the tables of an h5ad, and what else it holds, without the counts.

    Parameters
    ----------
    path
        h5ad.

    Returns
    -------
    obs, var : pandas.DataFrame
        One row per cell, one row per gene.
    further : dict
        Keys of ``obsm``, ``obsp`` and ``uns``.
    """
    import h5py
    from anndata.io import read_elem

    with h5py.File(path) as file:
        further = {slot: dict.fromkeys(file.get(slot, ())) for slot in ("obsm", "obsp", "uns")}
        return read_elem(file["obs"]), read_elem(file["var"]), further


def open_branch(path: str | Path, lineages: str | Path | None, branch: str) -> BlockedCounts:
    """Open the cells of a branch; all of them for branch ``all``.

    Parameters
    ----------
    path
        The count store.
    lineages
        TSV written by annotate_lineages; not read for branch ``all``.
    branch
        ``all``, ``nk`` or ``t``.

    Returns
    -------
    BlockedCounts
        Cells x genes, raw counts.
    """
    counts = open_counts(path)
    if branch == "all" or lineages is None:
        return counts
    table = rows_of(read_table(lineages, index="cell"), counts.obs_names)
    return counts.kept((table["branch"] == branch).to_numpy())


def write_counts(counts: BlockedCounts, path: str | Path) -> None:
    """Write counts block by block, as `store.write_stage` writes them from memory.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    path
        Target; ``<path>.sha256`` is written too.
    """
    write_file(counts, path)
    write_checksum(path)


def write_file(counts: BlockedCounts, path: str | Path, packed: dict[str, Any] | None = None, **slots: Any) -> None:
    """Write counts and tables as an h5ad.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    path
        Target.
    packed
        How arrays are compressed (keywords of ``h5py.Group.create_dataset``); not at all by default.
    **slots
        What to write as ``obsm``, ``obsp`` and ``uns``; dictionaries.
    """
    import h5py
    from anndata.io import write_elem

    packed = packed or {}
    with whole(path) as part, h5py.File(part, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        _write_matrix(file.create_group("X"), counts.blocks, packed)
        for name, table in (("obs", counts.obs), ("var", counts.var)):
            write_elem(file, name, table, dataset_kwargs=packed)
        for slot in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            write_elem(file, slot, slots.get(slot, {}), dataset_kwargs=packed)


def _write_matrix(group: Any, blocks: Blocks, packed: dict[str, Any]) -> None:
    """Write a CSR matrix."""
    stored = blocks.stored
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": np.array(blocks.shape)})
    data, indices = (group.create_dataset(name, (stored,), np.int32, **packed) for name in ("data", "indices"))
    # scipy wants both arrays of places of one type
    width, at = np.int32 if stored <= np.iinfo(np.int32).max else np.int64, 0
    ends = [np.zeros(1, dtype=width)]
    for block in blocks:
        counts = block.counts
        data[at : at + counts.nnz], indices[at : at + counts.nnz] = counts.data.astype(np.int32), counts.indices
        ends.append((counts.indptr[1:].astype(np.int64) + at).astype(width))
        at += counts.nnz
    group.create_dataset("indptr", data=np.concatenate(ends), **packed)


def blocked(counts: CellCounts) -> BlockedCounts:
    """Return counts in blocks, whether they are in a file or in memory.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.

    Returns
    -------
    BlockedCounts
        The same cells and genes.
    """
    if isinstance(counts, BlockedCounts):
        return counts
    values = sp.csr_matrix(counts.X)
    if (values.data == 0).any():  # the count store holds none
        values = values.copy()
        values.eliminate_zeros()
    return BlockedCounts(counts.obs, counts.var, CountBlocks(values))


def each_part(counts: CellCounts) -> Iterator[AnnData]:
    """Yield the cells block by block.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.

    Yields
    ------
    AnnData
        Some cells x genes, in order.
    """
    import anndata

    counts = blocked(counts)
    for rows, values in counts.blocks:
        yield anndata.AnnData(values, obs=counts.obs.iloc[rows], var=counts.var)
