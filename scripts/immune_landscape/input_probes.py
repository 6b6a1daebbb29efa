"""Look into data files without loading them: cell ids, gene names, columns, and a slice of the counts."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.chain_tables import AIRR_REQUIRED, CONTIG_COLUMNS
from immune_landscape.counts_io import ACCEPTED as COUNTS_ACCEPTED
from immune_landscape.h5ad_files import expression_root, sample_rows, stored_matrices
from immune_landscape.input_files import Place, content_of, open_hdf5, open_text, read_element, reading
from immune_landscape.raw_counts import Candidate, Source, first_raw
from immune_landscape.receptors_io import ACCEPTED as RECEPTORS_ACCEPTED
from immune_landscape.ten_x_files import (
    cell_ranger_groups,
    gene_expression,
    is_matrix_folder,
    matrix_parts,
    read_cell_ranger,
    require_sizes,
    strings_of,
)
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    import h5py

#: Entries of a Matrix Market file, or genes of a matrix stored by column, that are looked at.
PROBE_ENTRIES = 200_000
PROBE_GENES = 200


@dataclass(frozen=True)
class Counts:
    """What a file of counts holds.

    Attributes
    ----------
    cells
        One row per cell: ids in the index, columns of obs (none for 10x files).
    genes
        Gene table, names in the index.
    notes
        ``(kind, message)`` pairs.
    """

    cells: pd.DataFrame
    genes: pd.DataFrame
    notes: list[tuple[str, str]]


def probe_counts(place: Place, *, cells: int) -> Counts:
    """Look into a file of counts: cells, genes, and whether the first cells hold raw counts.

    Parameters
    ----------
    place
        h5ad, h5mu, Cell Ranger HDF5, matrix folder or matrix.mtx, and the sample.
    cells
        Number of cells whose values are looked at.

    Returns
    -------
    Counts
        All cells and genes of the file.

    Raises
    ------
    InputError
        When the file is something else, is damaged, or holds no raw counts.
    """
    with reading(place, "the file"):
        if is_matrix_folder(place.path):
            return _probe_folder(place)
        with open_hdf5(place, COUNTS_ACCEPTED) as file:
            groups = cell_ranger_groups(file)
            return _probe_ten_x(file, groups, place, cells) if groups else _probe_h5ad(file, place, cells)


def _counts(source: Source, cells: pd.DataFrame) -> Counts:
    return Counts(cells, source.genes, source.notes)


def _probe_ten_x(file: h5py.File, groups: list[str], place: Place, cells: int) -> Counts:
    source = read_cell_ranger(file, groups, place, first=cells)
    return _counts(source, pd.DataFrame(index=strings_of(file[groups[0]]["barcodes"])))


def _probe_h5ad(file: h5py.File, place: Place, cells: int) -> Counts:
    root = expression_root(file, place)
    obs = read_element(place, root, "obs")
    return _counts(first_raw(_slices(root, place, cells), obs.head(cells), place), obs)


def _slices(root: h5py.Group, place: Place, cells: int) -> Iterator[Candidate]:
    for name, item, genes_key in stored_matrices(root):
        yield Candidate(name, _first_rows(item, cells), read_element(place, root, genes_key))


def _first_rows(item: h5py.Group | h5py.Dataset, cells: int) -> sparse.csr_matrix:
    from anndata.io import sparse_dataset

    if not hasattr(item, "keys"):
        return sparse.csr_matrix(item[:cells])
    stored = sparse_dataset(item)
    # A matrix stored by column is cut by genes: its first rows would cost a pass over the file.
    return sparse.csr_matrix(stored[:cells] if stored.format == "csr" else stored[:, :PROBE_GENES])


def _probe_folder(place: Place) -> Counts:
    path, features, cells = matrix_parts(place)
    values = _first_entries(path, features, cells, place)
    return _counts(gene_expression(cells, values, features, place), cells)


def _first_entries(path: Path, features: pd.DataFrame, cells: pd.DataFrame, place: Place) -> sparse.csr_matrix:
    with open_text(path) as lines:
        if not next(lines, "").startswith("%%MatrixMarket matrix coordinate"):
            raise place.error(f"{path.name} is not a Matrix Market file in coordinate form")
        sizes = next((line for line in lines if not line.startswith("%")), "").split()
        require_sizes(path, tuple(int(size) for size in sizes[:2]), features, cells, place)
        entries = np.array([line.split()[:3] for line in itertools.islice(lines, PROBE_ENTRIES)], dtype=float)
    shape = (len(cells), len(features))
    if not entries.size:
        return sparse.csr_matrix(shape)
    rows, columns = entries[:, 1].astype(int) - 1, entries[:, 0].astype(int) - 1
    return sparse.csr_matrix((entries[:, 2], (rows, columns)), shape=shape)


def probe_receptors(place: Place, label: str, sample_column: str | None) -> list[str]:
    """Return the cell ids of a receptor file, once it is known to have the columns it needs.

    Parameters
    ----------
    place
        Contig annotations, AIRR rearrangements, h5ad or h5mu, and the sample.
    label
        Value of ``sample_column`` that marks the sample.
    sample_column
        Column of obs that tells the sample of a many-sample file.

    Returns
    -------
    list of str
        Distinct cell ids in file order.

    Raises
    ------
    InputError
        When the file is something else, is damaged, or lacks a column.
    """
    content = content_of(place.path)
    with reading(place, "the receptors"):
        if content.kind == "hdf5":
            return _probe_scirpy(place, label, sample_column)
        if content.kind != "text":
            raise place.error(f"is {content.words}; expected {RECEPTORS_ACCEPTED}")
        with open_text(place.path) as lines:
            return _cell_ids(lines, place)


def _cell_ids(lines: Iterator[str], place: Place) -> list[str]:
    header = next(lines, "").rstrip("\n")
    separator = "\t" if "\t" in header else ","
    columns = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    key = "cell_id" if "cell_id" in columns else "barcode"
    missing = [name for name in (AIRR_REQUIRED if key == "cell_id" else CONTIG_COLUMNS) if name not in columns]
    if missing:
        raise place.error(f"lacks the columns {quoted(missing, 20)}; expected {RECEPTORS_ACCEPTED}")
    at = columns.index(key)
    rows = csv.reader(lines, delimiter=separator)
    return list(dict.fromkeys(row[at] for row in rows if len(row) > at and row[at]))


def _probe_scirpy(place: Place, label: str, sample_column: str | None) -> list[str]:
    with open_hdf5(place, RECEPTORS_ACCEPTED) as file:
        root = file.get("mod/airr", file)
        obs = read_element(place, root, "obs") if "obs" in root else pd.DataFrame()
        old = obs.columns.astype(str).str.startswith("IR_")
        if "obsm/airr" not in root and not old.any():
            raise place.error(f"holds no receptor chains; expected {RECEPTORS_ACCEPTED}")
    # A file of several modalities may keep the sample in another one; then all its cells count.
    known = sample_column if sample_column in obs.columns else None
    return [str(name) for name in obs.index[sample_rows(obs, known, label, place)]]
