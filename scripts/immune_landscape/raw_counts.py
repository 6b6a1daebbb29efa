"""Tell raw UMI counts from everything that is passed off as them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from immune_landscape.input_files import Place

WANTED = (
    "Expected raw UMI counts, whole numbers from 0: filtered_feature_bc_matrix.h5, "
    "or an h5ad that holds them in X, layers['counts'] or raw.X"
)
#: float32 holds every whole number up to here; no gene reaches it in one cell.
LARGEST = 2**24
#: Fewer or emptier cells can share a total by chance.
MIN_CELLS, MIN_TOTAL = 5, 100.0
#: Totals of 90 % of the cells lie within this share of their mean; those of real droplets vary several-fold.
SAME_TOTAL = 0.02


@dataclass(frozen=True)
class Candidate:
    """A matrix of a file that may be the raw counts: cells x genes, with its gene table."""

    name: str
    matrix: csr_matrix
    genes: pd.DataFrame


@dataclass(frozen=True)
class Source:
    """Cells of one sample as their file has them: obs table, raw counts, gene table, notes."""

    cells: pd.DataFrame
    matrix: csr_matrix
    genes: pd.DataFrame
    notes: list[tuple[str, str]]


@dataclass(frozen=True)
class Fault:
    """Why a matrix is not raw counts.

    Attributes
    ----------
    kind
        not_a_number, infinite, negative, too_large, fractional, same_total or not_numeric.
    words
        What is wrong and the likely cause.
    share
        Share of the non-zero values concerned, 0 to 1.
    row, column
        First cell and gene concerned, 0-based.
    value
        The value there.
    """

    kind: str
    words: str
    share: float
    row: int
    column: int
    value: float

    def describe(self, cell: str, gene: str) -> str:
        """Return the message, with the first cell and gene named."""
        return (
            f"{self.words}; {100 * self.share:.3g} % of the non-zero values, "
            f"the first in cell '{cell}', gene '{gene}': {self.value:g}"
        )


def first_raw(candidates: Iterable[Candidate], cells: pd.DataFrame, place: Place) -> Source:
    """Take the first matrix that is raw counts.

    Parameters
    ----------
    candidates
        Matrices in order of preference, read only as far as needed.
    cells
        Their rows.
    place
        File and sample.

    Returns
    -------
    Source
        With a note when an earlier candidate was passed over.

    Raises
    ------
    InputError
        When none is raw counts: for each the fault, its share, and the first cell and gene.
    """
    faults: list[str] = []
    for candidate in candidates:
        fault = find_fault(candidate.matrix)
        if fault is None:
            return Source(cells, candidate.matrix, candidate.genes, _passed_over(candidate, faults))
        cell, gene = cells.index[fault.row], candidate.genes.index[fault.column]
        faults.append(f"{candidate.name}: {fault.describe(str(cell), str(gene))}")
    raise place.error(f"{'. '.join(faults) or 'holds no matrix of counts'}. {WANTED}")


def _passed_over(candidate: Candidate, faults: list[str]) -> list[tuple[str, str]]:
    return [("counts_from", f"counts taken from {candidate.name}; {'; '.join(faults)}")] if faults else []


def find_fault(matrix: csr_matrix) -> Fault | None:
    """Find the first reason why a matrix cannot be raw counts.

    Parameters
    ----------
    matrix
        Cells x genes, any dtype; explicit zeros allowed.

    Returns
    -------
    Fault or None
        None when every value is a whole number from 0 to 2**24 and totals differ between cells.

    Notes
    -----
    Counts normalised to a common total and rounded again are still whole numbers; equal totals
    in every cell give them away, as totals of real droplets vary several-fold.
    """
    values = matrix.data
    if values.dtype == bool or not np.issubdtype(values.dtype, np.number):
        return Fault("not_numeric", f"values are of type {values.dtype}, not counts", 1.0, 0, 0, float("nan"))
    for kind, bad in _faulty_values(values):
        if bad.any():
            return _fault(kind, bad, matrix)
    if _same_total(_totals(matrix)):
        return _fault("same_total", values != 0, matrix)
    return None


def _faulty_values(values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    if np.issubdtype(values.dtype, np.integer):
        return [("negative", values < 0), ("too_large", values > LARGEST)]
    return [
        ("not_a_number", np.isnan(values)),
        ("infinite", np.isinf(values)),
        ("negative", values < 0),
        ("too_large", values > LARGEST),
        ("fractional", values != np.floor(values)),
    ]


def _fault(kind: str, bad: np.ndarray, matrix: csr_matrix) -> Fault:
    first = int(np.argmax(bad))
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    share = float(bad.sum() / max(np.count_nonzero(matrix.data), 1))
    words = _words(kind, matrix)
    return Fault(kind, words, share, row, int(matrix.indices[first]), float(matrix.data[first]))


def _words(kind: str, matrix: csr_matrix) -> str:
    if kind == "fractional":
        return "values are fractional: " + _cause_of_fractions(matrix)
    is_float = matrix.dtype.kind == "f"
    return {
        "not_a_number": "values are not a number (NaN)",
        "infinite": "values are infinite",
        "negative": "values are negative: "
        + ("looks scaled (z-scores) or batch-corrected" if is_float else "perhaps integers overflowed"),
        "too_large": f"values are above {LARGEST} (2^24), too many UMIs: perhaps integers overflowed",
        "same_total": f"looks normalised: every cell sums to about {np.median(_totals(matrix)):.6g}",
    }[kind]


def _cause_of_fractions(matrix: csr_matrix) -> str:
    if _same_total(_totals(matrix)):
        return f"looks normalised: every cell sums to about {np.median(_totals(matrix)):.6g}"
    if matrix.data.max() > 50:
        return "normalised, or corrected for ambient RNA without rounding"
    for name, undo in (("log1p", np.expm1), ("log2(x + 1)", _exp2_minus_1)):
        restored = matrix.copy()
        restored.data = undo(matrix.data.astype(np.float64))
        if _same_total(_totals(restored)):
            return f"looks log-transformed, {name} of values normalised to {np.median(_totals(restored)):.6g}"
        if _whole(restored.data):
            return f"looks log-transformed, {name} of counts"
    return "no value is above 50, as after a log transformation or scaling"


def _exp2_minus_1(values: np.ndarray) -> np.ndarray:
    return np.exp2(values) - 1


def _whole(values: np.ndarray) -> bool:
    # float32 logarithms restore a count to about 1 part in 10^5.
    close = np.abs(values - np.rint(values)) <= 1e-4 * np.maximum(values, 1)
    return bool(close.mean() > 0.99)


def _totals(matrix: csr_matrix) -> np.ndarray:
    totals = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    return totals[totals != 0]


def _same_total(totals: np.ndarray) -> bool:
    if totals.size < MIN_CELLS or not np.isfinite(totals).all() or totals.mean() < MIN_TOTAL:
        return False
    low, high = np.quantile(totals, [0.05, 0.95])
    return bool(high - low < SAME_TOTAL * totals.mean())
