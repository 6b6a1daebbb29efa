"""Read the cells and the raw counts of h5ad and h5mu files, element by element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.input_files import Place, read_element, reading
from immune_landscape.raw_counts import Candidate, Source, first_raw
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    import h5py

GEX_MODALITIES = ("gex", "rna")
#: Name for messages, key of the matrix, key of its gene table; the first that is raw counts is taken.
MATRICES = (("X", "X", "var"), ("layers['counts']", "layers/counts", "var"), ("raw.X", "raw/X", "raw/var"))


def read_h5ad_counts(file: h5py.File, place: Place, label: str, sample_column: str | None) -> Source:
    """Read the cells of one sample and their raw counts.

    Parameters
    ----------
    file
        Opened h5ad, or h5mu with a modality ``gex`` or ``rna``.
    place
        File and sample.
    label
        Value of ``sample_column`` that marks the cells of the sample.
    sample_column
        obs column that tells the sample; None takes every cell.

    Returns
    -------
    Source
        obs of the chosen cells, the first of X, layers["counts"] and raw.X that is raw counts,
        and its gene table. obsm, uns and the rest are never read.

    Raises
    ------
    InputError
        When the file is another kind of HDF5, lacks the column or the value, or has no raw counts.
    """
    root = expression_root(file, place)
    obs = read_element(place, root, "obs")
    rows = sample_rows(obs, sample_column, label, place)
    return first_raw(_candidates(root, rows, place), obs[rows], place)


def expression_root(file: h5py.File, place: Place) -> h5py.Group:
    """Find the group that holds gene expression: that of the modality, or the file itself.

    Parameters
    ----------
    file
        Opened h5ad, or h5mu with a modality ``gex`` or ``rna``.
    place
        File and sample.

    Returns
    -------
    h5py.Group
        With obs and var.

    Raises
    ------
    InputError
        When the file is another kind of HDF5; what it holds is listed.
    """
    root = file[next((f"mod/{name}" for name in GEX_MODALITIES if f"mod/{name}" in file), "/")]
    if "obs" not in root or "var" not in root:
        raise place.error(
            f"is an HDF5 file that holds {quoted(sorted(root), 10) or 'nothing'}; expected a 10x matrix, "
            "or the obs, var and X of an h5ad"
        )
    return root


def stored_matrices(root: h5py.Group) -> Iterator[tuple[str, Any, str]]:
    """Yield the matrices that may be raw counts, best first.

    Parameters
    ----------
    root
        As ``expression_root`` returns.

    Yields
    ------
    tuple
        Name for messages, stored item, and key of its gene table.
    """
    for name, key, genes_key in MATRICES:
        if key in root and root[key].attrs.get("encoding-type", "") != "null":
            yield name, root[key], genes_key


def sample_rows(obs: pd.DataFrame, sample_column: str | None, label: str, place: Place) -> np.ndarray:
    """Mark the cells of one sample in the obs table of a many-sample file.

    Parameters
    ----------
    obs
        One row per cell.
    sample_column
        Column that tells the sample; None marks every cell.
    label
        Value that marks the wanted cells.
    place
        File and sample.

    Returns
    -------
    ndarray of bool, shape (n_obs,)
        All False for a category without cells: an empty sample.

    Raises
    ------
    InputError
        When the column or the value is absent; those found are listed.
    """
    if sample_column is None:
        return np.ones(len(obs), dtype=bool)
    if sample_column not in obs.columns:
        found = quoted(list(obs.columns), 30)
        raise place.error(f"obs has no column '{sample_column}' (inputs.gex_sample_column); found {found}")
    column = obs[sample_column]
    known = _known_values(column)
    if label not in known:
        raise place.error(
            f"obs['{sample_column}'] has no value '{label}' (gex_label); found {quoted(sorted(known), 30)}"
        )
    return (column.astype(object).map(str) == label).to_numpy(dtype=bool)


def _known_values(column: pd.Series) -> set[str]:
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    return {str(v) for v in (column.cat.categories if is_categorical else column.dropna().unique())}


def _candidates(root: h5py.Group, rows: np.ndarray, place: Place) -> Iterator[Candidate]:
    for name, item, genes_key in stored_matrices(root):
        genes = read_element(place, root, genes_key)
        with reading(place, name):
            matrix = _read_rows(item, rows)
        _require_shape(matrix, (int(rows.sum()), len(genes)), name, place)
        yield Candidate(name, matrix, genes)


def _require_shape(matrix: sparse.csr_matrix, shape: tuple[int, int], name: str, place: Place) -> None:
    if matrix.shape != shape:
        raise place.error(f"{name} is {matrix.shape[0]} x {matrix.shape[1]}; obs and var give {shape[0]} x {shape[1]}")


def _read_rows(item: Any, rows: np.ndarray) -> sparse.csr_matrix:
    """Read some rows of a stored matrix, without the others where its layout allows."""
    from anndata.io import read_elem, sparse_dataset

    is_dense = not hasattr(item, "keys")
    if is_dense:
        return sparse.csr_matrix(item[()] if rows.all() else item[rows])
    by_row = "csr" in str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "")))
    part = sparse.csr_matrix(read_elem(item))[rows] if rows.all() or not by_row else sparse_dataset(item)[rows]
    matrix = sparse.csr_matrix(part)
    # Compiled code would follow a damaged index out of its array
    matrix.check_format(full_check=True)
    return matrix


def kept_columns(obs: pd.DataFrame, names: Sequence[str], place: Place) -> pd.DataFrame:
    """Choose obs columns and give them types that every sample can share.

    Parameters
    ----------
    obs
        One row per cell; without any column, as of a 10x file, the values are missing.
    names
        Columns to keep.
    place
        File and sample.

    Returns
    -------
    DataFrame
        Columns ``input_<name>``: numbers as they are, everything else as categories of text.

    Raises
    ------
    InputError
        When a table with columns lacks one of ``names``.
    """
    missing = [name for name in names if name not in obs.columns]
    if missing and len(obs.columns):
        found = quoted(list(obs.columns), 30)
        raise place.error(f"obs has no column {quoted(missing)} (inputs.keep_columns); found {found}")
    return pd.DataFrame({f"input_{name}": _portable(obs, name) for name in names}, index=obs.index)


def _portable(obs: pd.DataFrame, name: str) -> pd.Series:
    if name not in obs.columns:
        return pd.Series(np.nan, index=obs.index, dtype=np.float64)
    column = obs[name]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column
    values = [None if missing else str(v) for v, missing in zip(column, column.isna(), strict=True)]
    present = sorted({v for v in values if v is not None})
    return pd.Series(pd.Categorical(values, categories=present), index=obs.index)
