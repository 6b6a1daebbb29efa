"""Read the raw counts of one sample from 10x HDF5, a 10x matrix folder, or h5ad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.gene_names import name_genes
from immune_landscape.h5ad_files import kept_columns, read_h5ad_counts
from immune_landscape.input_files import BARCODE_PATTERN, Place, find_barcodes, open_hdf5
from immune_landscape.ten_x_files import (
    cell_ranger_groups,
    is_matrix_folder,
    read_cell_ranger,
    read_matrix_folder,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.raw_counts import Source

ACCEPTED = "a 10x .h5 file, a 10x matrix folder or its matrix.mtx, or an .h5ad file"


@dataclass(frozen=True)
class NotedCounts:
    """Counts of one sample and what is worth telling about them.

    Attributes
    ----------
    counts
        ``X`` CSR int32 raw counts, cells x genes; ``obs_names`` ``<sample>:<barcode>``; obs columns
        sample, barcode and input_*; ``var_names`` unique symbols; var column gene_id.
    notes
        ``(kind, message)`` pairs.
    """

    counts: AnnData
    notes: list[tuple[str, str]]


def read_counts(
    path: str | Path,
    *,
    sample: str,
    label: str | None = None,
    sample_column: str | None = None,
    keep_columns: Sequence[str] = (),
    barcode_pattern: str = BARCODE_PATTERN,
    species: str = "human",
) -> NotedCounts:
    """Read the raw counts of one sample, with notes on how they were read.

    Parameters
    ----------
    path
        10x ``.h5`` (Cell Ranger 2 and later), 10x matrix folder or its ``matrix.mtx`` file, or
        ``.h5ad`` (also the ``gex`` or ``rna`` modality of ``.h5mu``). The content decides, not
        the name.
    sample
        Sample id; becomes the first part of every cell id.
    label
        Value of ``sample_column`` that marks the cells of this sample; default the sample id.
    sample_column
        obs column of a many-sample h5ad that tells the sample; None reads every cell.
    keep_columns
        obs columns of an h5ad kept as ``input_<name>``; missing values in a 10x sample.
    barcode_pattern
        Regular expression that finds the barcode inside a cell id.
    species
        ``human`` or ``mouse`` genes are required by name; other species are not checked.

    Returns
    -------
    NotedCounts
        Counts and notes.

    Raises
    ------
    InputError
        When the file is not what its name says, holds no raw counts, repeats a barcode or an
        Ensembl id, or its genes are of another species.

    Notes
    -----
    Of an h5ad the first of X, ``layers["counts"]`` and raw.X that is raw counts is taken,
    and a note tells which. Repeated symbols: see ``gene_names.unique_symbols``.
    """
    place = Place(Path(path), sample)
    source = _read_source(place, label or sample, sample_column)
    barcodes = find_barcodes(source.cells.index, barcode_pattern, place)
    kept = kept_columns(source.cells, keep_columns, place)
    genes = name_genes(source.genes, species, place)
    return NotedCounts(_assemble(source.matrix, barcodes, kept, genes, sample), source.notes + _notes(genes))


def _read_source(place: Place, label: str, sample_column: str | None) -> Source:
    if not place.path.exists():
        raise place.error(f"no such file or folder; expected {ACCEPTED}")
    if is_matrix_folder(place.path):
        return read_matrix_folder(place)
    with open_hdf5(place, ACCEPTED) as file:
        groups = cell_ranger_groups(file)
        if groups:
            return read_cell_ranger(file, groups, place)
        return read_h5ad_counts(file, place, label, sample_column)


def _assemble(
    matrix: sparse.csr_matrix, barcodes: np.ndarray, kept: pd.DataFrame, genes: pd.DataFrame, sample: str
) -> AnnData:
    from anndata import AnnData

    obs = kept.set_axis(pd.Index([f"{sample}:{b}" for b in barcodes], dtype=object), axis=0)
    obs.insert(0, "sample", pd.Series(pd.Categorical([sample] * len(obs), categories=[sample]), index=obs.index))
    obs.insert(1, "barcode", barcodes)
    counts = sparse.csr_matrix(matrix.astype(np.int32))
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return AnnData(X=counts, obs=obs, var=genes[["gene_id"]])


def _notes(genes: pd.DataFrame) -> list[tuple[str, str]]:
    renamed = sorted(str(name) for name in genes.index[genes.index != genes["symbol"]])
    if not renamed:
        return []
    return [("repeated_symbols", f"{len(renamed)} genes share a symbol and were numbered, such as {renamed[0]}")]
