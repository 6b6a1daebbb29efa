"""The one count store: kept, single cells of all samples, written once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape.blocked_counts import BlockedCounts, blocked
from immune_landscape.count_blocks import Block, CountBlocks

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts


def merge_samples(
    counts: Sequence[CellCounts], quality: pd.DataFrame, doublets: pd.DataFrame, *, remove_doublets: bool
) -> BlockedCounts:
    """Stack the samples' counts, without the cells that quality control or the doublet call took out.

    Genes are the union over jobs, absent ones zero: `load_samples` has refused panels that do not match.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, of each job.
    quality
        As `filter_cells.filter_cells` returns, all jobs stacked.
    doublets
        As `find_doublets.find_doublets` returns, all jobs stacked.
    remove_doublets
        Whether called doublets leave, too.

    Returns
    -------
    BlockedCounts
        Cells in the order of `counts` x genes sorted by symbol. One block of one job is held at a time.
    """
    import anndata

    keep = quality.index[quality["keep"]]
    if remove_doublets:
        keep = keep.difference(doublets.index[doublets["doublet"]], sort=False)
    parts = [blocked(part) for part in counts]
    parts = [part.kept(part.obs_names.isin(keep)) for part in parts]
    tables = [anndata.AnnData(obs=part.obs, var=part.var) for part in parts]
    obs = anndata.concat(tables, join="outer", merge="first").obs
    ids = pd.concat([part.var["gene_id"] for part in parts])
    ids = ids[~ids.index.duplicated()].sort_index()
    var = pd.DataFrame({"gene_id": ids.fillna("").astype(str)})
    return BlockedCounts(obs, var, StackedBlocks(parts, var.index))


class StackedBlocks:
    """Blocks of several jobs after one another, with the genes of all of them.

    Parameters
    ----------
    parts
        Cells x genes of each job.
    genes
        Symbols, sorted; those that a job lacks are zero in its cells.

    Attributes
    ----------
    shape : tuple of int
        Cells and genes.
    stored : int
        Stored values.
    """

    def __init__(self, parts: Sequence[BlockedCounts], genes: pd.Index) -> None:
        self._parts: list[tuple[CountBlocks, np.ndarray]] = [
            (part.blocks, genes.get_indexer(part.var_names)) for part in parts
        ]
        self.shape = (sum(part.n_obs for part in parts), len(genes))
        self.stored = sum(part.blocks.stored for part in parts)

    def __iter__(self) -> Iterator[Block]:
        """Yield the rows of each job in order."""
        at = 0
        for blocks, places in self._parts:
            for _, counts in blocks:
                shape = (counts.shape[0], self.shape[1])
                moved = sp.csr_matrix((counts.data, places[counts.indices], counts.indptr), shape=shape)
                moved.sort_indices()
                yield Block(slice(at, at + len(counts.indptr) - 1), moved)
                at += counts.shape[0]


def count_cells(
    quality: pd.DataFrame, doublets: pd.DataFrame, merged: BlockedCounts, samples: Sequence[str]
) -> pd.DataFrame:
    """Count the cells of each sample at each step.

    Parameters
    ----------
    quality, doublets
        As for `merge_samples`.
    merged
        As `merge_samples` returns.
    samples
        Sample ids in the order of the sheet; one without counts has zeros.

    Returns
    -------
    pandas.DataFrame
        ``sample``, ``loaded``, ``passed_quality``, ``called_doublet``, ``kept``.
    """
    table = pd.DataFrame(index=pd.Index(samples, name="sample"))
    table["loaded"] = quality["sample"].value_counts()
    table["passed_quality"] = quality.loc[quality["keep"], "sample"].value_counts()
    table["called_doublet"] = doublets.loc[doublets["doublet"].astype(bool), "sample"].value_counts()
    table["kept"] = merged.obs["sample"].astype(str).value_counts()
    return table.fillna(0).astype(int).reset_index()
