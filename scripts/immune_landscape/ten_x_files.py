"""Read 10x Genomics matrices: HDF5 of Cell Ranger 2 and later, and matrix folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.input_files import Place, read_text_table, reading, require_content
from immune_landscape.raw_counts import Candidate, Source, first_raw
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    import h5py

GENE_EXPRESSION = "Gene Expression"
TABLE_NAMES = {"features": ("features.tsv", "genes.tsv"), "barcodes": ("barcodes.tsv",)}
MATRIX_NAME = re.compile(r"^(?P<prefix>.*)matrix\.mtx(\.gz)?$")


def cell_ranger_groups(file: h5py.File) -> list[str]:
    """Name the groups of an HDF5 file that hold a 10x matrix.

    Parameters
    ----------
    file
        Opened file.

    Returns
    -------
    list of str
        ``matrix`` for Cell Ranger 3 and later, one name per genome for Cell Ranger 2, else nothing.

    References
    ----------
    https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-outputs-h5-matrices
    """
    if "matrix" in file and "barcodes" in file["matrix"]:
        return ["matrix"]
    return [name for name in file if _is_genome(file[name])]


def _is_genome(item: Any) -> bool:
    return hasattr(item, "keys") and {"barcodes", "genes", "gene_names", "indptr"} <= set(item)


def read_cell_ranger(file: h5py.File, names: list[str], place: Place, *, first: int | None = None) -> Source:
    """Read the gene-expression counts of a 10x HDF5 file.

    Parameters
    ----------
    file
        Opened file.
    names
        What ``cell_ranger_groups`` gave; two genomes are refused.
    place
        File and sample.
    first
        Number of cells from the first that are read; None reads all.

    Returns
    -------
    Source
        Cells without further columns, counts, and genes with the column gene_ids.

    Raises
    ------
    InputError
        When the file is damaged, has no gene expression, several genomes, or no raw counts.
    """
    _require_one_genome(names, place)
    group = file[names[0]]
    with reading(place, "the 10x matrix"):
        matrix = _ten_x_matrix(group, first)
        cells = pd.DataFrame(index=strings_of(group["barcodes"])[:first])
        features = _features(group)
    return gene_expression(cells, matrix, features, place)


def _ten_x_matrix(group: h5py.Group, first: int | None) -> sparse.csr_matrix:
    # 10x stores genes x cells by column, which is cells x genes by row.
    genes, cells = (int(n) for n in group["shape"][()])
    starts = group["indptr"][:] if first is None else group["indptr"][: first + 1]
    parts = (group["data"][: starts[-1]], group["indices"][: starts[-1]], starts)
    matrix = sparse.csr_matrix(parts, shape=(cells if first is None else min(cells, first), genes))
    matrix.check_format(full_check=True)
    return matrix


def _features(group: h5py.Group) -> pd.DataFrame:
    if "gene_names" in group:
        return pd.DataFrame({"id": strings_of(group["genes"]), "name": strings_of(group["gene_names"])})
    features = group["features"]
    keys = {"id": "id", "name": "name", "type": "feature_type", "genome": "genome"}
    return pd.DataFrame({column: strings_of(features[key]) for column, key in keys.items() if key in features})


def strings_of(dataset: h5py.Dataset) -> list[str]:
    """Return a text dataset as strings, however HDF5 stores them."""
    return [value.decode() if isinstance(value, bytes) else str(value) for value in dataset[()]]


def gene_expression(cells: pd.DataFrame, matrix: sparse.csr_matrix, features: pd.DataFrame, place: Place) -> Source:
    """Choose the gene-expression features; other kinds are antibodies, guides and the like.

    Parameters
    ----------
    cells
        One row per row of ``matrix``.
    matrix
        Cells x features.
    features
        ``id``, ``name``, and where known ``type`` and ``genome``.
    place
        File and sample.

    Returns
    -------
    Source
        Counts of the genes, and their table with the column gene_ids.

    Raises
    ------
    InputError
        When there is no gene expression, there are several genomes, or the values are no raw counts.
    """
    is_gene = _is_gene(features, place)
    if "genome" in features:
        _require_one_genome(sorted(set(features.loc[is_gene, "genome"])), place)
    kept = features[is_gene]
    genes = pd.DataFrame({"gene_ids": kept["id"].to_list()}, index=kept["name"].to_list())
    candidate = Candidate("the matrix", matrix[:, np.flatnonzero(is_gene)], genes)
    return first_raw([candidate], cells, place)


def _is_gene(features: pd.DataFrame, place: Place) -> np.ndarray:
    if "type" not in features:
        return np.ones(len(features), dtype=bool)
    is_gene = (features["type"] == GENE_EXPRESSION).to_numpy(dtype=bool)
    if not is_gene.any():
        raise place.error(f"holds no '{GENE_EXPRESSION}' features, only {quoted(sorted(set(features['type'])))}")
    return is_gene


def _require_one_genome(genomes: Sequence[str], place: Place) -> None:
    if len(genomes) > 1:
        raise place.error(f"holds the genomes {quoted(genomes)}; expected cells counted against one genome")


def is_matrix_folder(path: Path) -> bool:
    """Say whether a path is a folder or names a ``matrix.mtx`` file.

    Parameters
    ----------
    path
        Path from the sample sheet.

    Returns
    -------
    bool
        Whether ``read_matrix_folder`` is the reader for it.
    """
    return path.is_dir() or bool(MATRIX_NAME.match(path.name))


def read_matrix_folder(place: Place) -> Source:
    """Read the gene-expression counts of a 10x matrix folder.

    Parameters
    ----------
    place
        Folder with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` (or ``genes.tsv``), each
        gzip-compressed or not and with one optional prefix; or the path of the matrix itself
        where a folder holds several.

    Returns
    -------
    Source
        As ``read_cell_ranger``.

    Raises
    ------
    InputError
        When a file is absent, ambiguous, damaged or something else, the sizes disagree, or the
        values are no raw counts.
    """
    path, features, cells = matrix_parts(place)
    matrix = _read_market(Place(path, place.sample))
    require_sizes(path, matrix.shape[::-1], features, cells, place)
    return gene_expression(cells, matrix, features, place)


def matrix_parts(place: Place) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """Find the matrix of a folder and read the tables beside it.

    Parameters
    ----------
    place
        As for ``read_matrix_folder``.

    Returns
    -------
    path : pathlib.Path
        The ``matrix.mtx`` file.
    features : DataFrame
        ``id``, ``name`` and where known ``type``, one row per row of the matrix.
    cells : DataFrame
        Barcodes in the index, without columns; one row per column of the matrix.

    Raises
    ------
    InputError
        When a file is absent, ambiguous or something else.
    """
    path = _matrix_path(place)
    prefix = path.name[: path.name.rindex("matrix.mtx")]
    features = _folder_table(path.parent, prefix, "features", place)
    barcodes = _folder_table(path.parent, prefix, "barcodes", place)
    cells = pd.DataFrame(index=barcodes[0].to_list() if 0 in barcodes else [])
    return path, _named_features(features), cells


def require_sizes(
    path: Path, found: tuple[int, ...], features: pd.DataFrame, cells: pd.DataFrame, place: Place
) -> None:
    """Refuse a matrix whose size is not that of the tables beside it.

    Parameters
    ----------
    path
        The ``matrix.mtx`` file.
    found
        Its rows and columns.
    features, cells
        As ``matrix_parts`` returns them.
    place
        File and sample.

    Raises
    ------
    InputError
        With both sizes.
    """
    if found != (len(features), len(cells)):
        raise place.error(
            f"{path.name} has {found[0]} rows and {found[1]} columns; expected "
            f"{len(features)} rows (genes) and {len(cells)} columns (barcodes)"
        )


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


def _matrix_path(place: Place) -> Path:
    if not place.path.is_dir():
        return place.path
    names = sorted(p.name for p in place.path.iterdir())
    found = [name for name in names if MATRIX_NAME.match(name)]
    if not found:
        raise place.error(
            f"the folder holds {quoted(names, 10) or 'nothing'}; "
            "expected matrix.mtx(.gz), barcodes.tsv(.gz) and features.tsv(.gz)"
        )
    if len(found) > 1:
        raise place.error(f"the folder holds {len(found)} matrices, {quoted(found)}; give the path of one matrix file")
    return place.path / found[0]


def _folder_table(folder: Path, prefix: str, kind: str, place: Place) -> pd.DataFrame:
    names = [f"{prefix}{name}{end}" for name in TABLE_NAMES[kind] for end in ("", ".gz")]
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        listed = quoted([p.name for p in found]) or "none"
        raise place.error(f"expected one of {quoted(names)} beside the matrix; found {listed}")
    return read_text_table(Place(found[0], place.sample), "\t", header=None, may_be_empty=kind == "barcodes")


def _named_features(features: pd.DataFrame) -> pd.DataFrame:
    # A one-column list holds either ids or symbols; name_genes tells them apart.
    name = features[1] if 1 in features else features[0]
    named = pd.DataFrame({"id": features[0], "name": name})
    return named.assign(type=features[2]) if 2 in features else named


def _read_market(place: Place) -> sparse.csr_matrix:
    from scipy.io import mmread

    require_content(place, "text", "a Matrix Market file (begins '%%MatrixMarket')")
    with reading(place, "the Matrix Market file"):
        return sparse.csr_matrix(mmread(place.path, spmatrix=True).T)
