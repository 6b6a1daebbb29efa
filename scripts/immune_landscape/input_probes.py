"""Look into data files without loading them: cell ids, gene names, columns, and a slice of the counts."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.chain_tables import AIRR_REQUIRED, CONTIG_COLUMNS
from immune_landscape.counts_io import ACCEPTED as COUNTS_ACCEPTED
from immune_landscape.h5ad_files import GEX_MODALITIES, MATRICES, rows_of
from immune_landscape.input_files import (
    Place,
    content_of,
    open_hdf5,
    quoted,
    read_element,
    read_text_table,
    reading,
)
from immune_landscape.raw_counts import Candidate, Source, first_raw
from immune_landscape.receptors_io import ACCEPTED as RECEPTORS_ACCEPTED
from immune_landscape.ten_x_files import MATRIX_NAME, cell_ranger_groups, is_matrix_folder

if TYPE_CHECKING:
    import h5py

#: Entries of a Matrix Market file, or genes of a matrix stored by column, that are looked at.
PROBE_ENTRIES = 200_000
PROBE_GENES = 200
BULK_ACCEPTED = "a repertoire table as of AIRR, MiXCR, VDJtools, immunoSEQ or immunarch"
#: Names of the columns, lower-case, without '#', blanks, dots and underscores.
BULK_JUNCTIONS = frozenset(
    [
        *(
            "junction",
            "junctionaa",
            "cdr3",
            "cdr3nt",
            "cdr3aa",
            "cdr3nucseq",
            "cdr3aminoacid",
            "cdr3sequence",
        ),
        *("nseqcdr3", "aaseqcdr3", "nseqimputedcdr3", "aaseqimputedcdr3", "nsequence", "aasequence"),
        *("nucleotide", "aminoacid", "rearrangement", "cdr3nucleotide", "cdr3aminoacids"),
    ]
)
BULK_COUNTS = frozenset(
    [
        *("count", "clones", "clonecount", "readcount", "reads", "templates", "seqcount", "umis", "umicount"),
        *(
            "uniquemoleculecount",
            "uniqueumicount",
            "duplicatecount",
            "consensuscount",
            "estimatednumbergenomes",
        ),
        *("count(templates/reads)", "count(reads)", "count(templates)"),
    ]
)


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
            return _probe_ten_x(file[groups[0]], place, cells) if groups else _probe_h5ad(file, place, cells)


def _counts(source: Source, cells: pd.DataFrame) -> Counts:
    return Counts(cells, source.genes, source.notes)


def _probe_h5ad(file: h5py.File, place: Place, cells: int) -> Counts:
    modality = next((f"mod/{name}" for name in GEX_MODALITIES if f"mod/{name}" in file), "/")
    root = file[modality]
    if "obs" not in root or "var" not in root:
        held = quoted(sorted(root), 10) or "nothing"
        raise place.error(f"is an HDF5 file that holds {held}; expected {COUNTS_ACCEPTED}")
    obs = read_element(place, root, "obs")
    return _counts(first_raw(_slices(root, place, cells), obs.head(cells), place), obs)


def _slices(root: h5py.Group, place: Place, cells: int) -> Iterator[Candidate]:
    for name, key, genes_key in MATRICES:
        if key in root and root[key].attrs.get("encoding-type", "") != "null":
            genes = read_element(place, root, genes_key)
            yield Candidate(name, _first_rows(root[key], cells), genes)


def _first_rows(item: h5py.Group | h5py.Dataset, cells: int) -> sparse.csr_matrix:
    from anndata.io import sparse_dataset

    if not hasattr(item, "keys"):
        return sparse.csr_matrix(item[:cells])
    stored = sparse_dataset(item)
    # A matrix stored by column is cut by genes: its first rows would cost a pass over the file.
    return sparse.csr_matrix(stored[:cells] if stored.format == "csr" else stored[:, :PROBE_GENES])


def _probe_ten_x(group: h5py.Group, place: Place, cells: int) -> Counts:
    names = _strings(group["features/name"] if "features" in group else group["gene_names"])
    ids = _strings(group["features/id"] if "features" in group else group["genes"])
    barcodes = pd.DataFrame(index=_strings(group["barcodes"]))
    starts = group["indptr"][: cells + 1]
    parts = (group["data"][: starts[-1]], group["indices"][: starts[-1]], starts)
    matrix = sparse.csr_matrix(parts, shape=(len(starts) - 1, len(names)))
    matrix.check_format(full_check=True)
    candidate = Candidate("the matrix", matrix, pd.DataFrame({"gene_ids": ids}, index=names))
    return _counts(first_raw([candidate], barcodes.head(cells), place), barcodes)


def _strings(dataset: h5py.Dataset) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in dataset[()]]


def matrix_members(path: Path) -> list[Path]:
    """Return the files that make up one input: those of a matrix folder, or the file itself.

    Parameters
    ----------
    path
        Path of samples.tsv, resolved.

    Returns
    -------
    list of pathlib.Path
        Sorted by name; for ``<prefix>matrix.mtx`` also the barcodes and features of that prefix.
    """
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file())
    match = MATRIX_NAME.match(path.name)
    if not match:
        return [path]
    starts = tuple(f"{match['prefix']}{kind}" for kind in ("matrix.", "barcodes.", "features.", "genes."))
    return sorted(entry for entry in path.parent.iterdir() if entry.name.startswith(starts))


def _probe_folder(place: Place) -> Counts:
    members = {entry.name: entry for entry in matrix_members(place.path)}
    matrix = [name for name in members if MATRIX_NAME.match(name)]
    if len(matrix) != 1:
        held = quoted(sorted(members), 10) or "nothing"
        raise place.error(f"holds {held}; expected one matrix.mtx(.gz) with barcodes.tsv and features.tsv")
    barcodes = _member_table(members, ("barcodes",), place)
    features = _member_table(members, ("features", "genes"), place)
    cells = pd.DataFrame(index=barcodes[0].to_list() if 0 in barcodes else [])
    names = features[1] if 1 in features else features[0]
    genes = pd.DataFrame({"gene_ids": features[0].to_list()}, index=names.to_list())
    values = _first_entries(members[matrix[0]], (len(cells), len(genes)), place)
    return _counts(first_raw([Candidate("the matrix", values, genes)], cells, place), cells)


def _member_table(members: dict[str, Path], kinds: tuple[str, ...], place: Place) -> pd.DataFrame:
    found = [path for name, path in members.items() if any(f"{kind}.tsv" in name for kind in kinds)]
    if len(found) != 1:
        raise place.error(f"expected one {' or '.join(f'{kind}.tsv(.gz)' for kind in kinds)} beside the matrix")
    may_be_empty = kinds == ("barcodes",)
    return read_text_table(Place(found[0], place.sample), "\t", header=None, may_be_empty=may_be_empty)


def _first_entries(path: Path, shape: tuple[int, int], place: Place) -> sparse.csr_matrix:
    with _text(path) as lines:
        if not next(lines, "").startswith("%%MatrixMarket matrix coordinate"):
            raise place.error(f"{path.name} is not a Matrix Market file in coordinate form")
        sizes = next((line for line in lines if not line.startswith("%")), "").split()
        if [int(size) for size in sizes[:2]] != [shape[1], shape[0]]:
            found, wanted = " x ".join(sizes[:2]), f"{shape[1]} genes x {shape[0]} barcodes"
            raise place.error(f"{path.name} is {found}, expected {wanted} as in the tables beside it")
        entries = np.array([line.split()[:3] for line in itertools.islice(lines, PROBE_ENTRIES)], dtype=float)
    if not entries.size:
        return sparse.csr_matrix(shape)
    rows, columns = entries[:, 1].astype(int) - 1, entries[:, 0].astype(int) - 1
    return sparse.csr_matrix((entries[:, 2], (rows, columns)), shape=shape)


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    opener = gzip.open if packed else open
    with opener(path, "rt", encoding="utf-8-sig", newline=None) as handle:
        yield handle


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
        with _text(place.path) as lines:
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
    return [str(name) for name in obs.index[rows_of(obs, known, label, place)]]


def probe_bulk(place: Place) -> None:
    """Require that a bulk repertoire table has a junction and a count.

    Parameters
    ----------
    place
        Table, gzip-compressed or not, and the sample.

    Raises
    ------
    InputError
        When it is not a table, or lacks either column; the columns found are listed.
    """
    content = content_of(place.path)
    if content.kind != "text":
        raise place.error(f"is {content.words}; expected {BULK_ACCEPTED}")
    with reading(place, "the repertoire"), _text(place.path) as lines:
        header = next(lines, "").rstrip("\n")
    columns = [name.strip().strip('"') for name in header.split("\t" if "\t" in header else ",")]
    plain = {name.lower().translate(str.maketrans("", "", "#._ ")) for name in columns}
    for wanted, what in ((BULK_JUNCTIONS, "CDR3 or junction"), (BULK_COUNTS, "count")):
        if not plain & wanted:
            raise place.error(f"has no column of the {what}; found {quoted(columns, 20)}; expected {BULK_ACCEPTED}")
