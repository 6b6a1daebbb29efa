"""The ways to reassign group labels, or to reverse signs: all of them, or a random sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

COUNT_LIMIT = 2**62


@dataclass(frozen=True)
class LabelPlan:
    """The reassignments of two-group labels, within strata, that a test compares.

    Attributes
    ----------
    is_a
        (patients,) labels observed.
    blocks
        (patients,) stratum codes from 0.
    seed
        Seed of the random draws; unused when exact.
    max_exact
        Enumerate every labeling up to this many, else draw.
    draws
        Random labelings when there are too many to enumerate.
    """

    is_a: Booleans
    blocks: NDArray[np.int64]
    seed: int | Sequence[int]
    max_exact: int
    draws: int

    @property
    def count(self) -> int:
        """Number of distinct labelings."""
        return math.prod(self._sizes())

    @property
    def exact(self) -> bool:
        """Whether all labelings are enumerated."""
        return self.count <= self.max_exact

    @property
    def mirrored(self) -> bool:
        """Whether exchanging the two labels of every patient gives another labeling."""
        signs = np.where(self.is_a, 1, -1)
        return not np.bincount(self.blocks, weights=signs).any()

    @property
    def observed(self) -> Floats:
        """(1, patients) labels observed, 1 for the first group."""
        return self.is_a[None, :].astype(float)

    def chunks(self, rows: int) -> Iterator[Floats]:
        """Yield (up to `rows`, patients) arrays of 0 and 1, one labeling per row."""
        total = self.count if self.exact else self.draws
        rng = np.random.default_rng(self.seed)
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            labels = self._enumerated(start, stop) if self.exact else self._drawn(stop - start, rng)
            yield labels.astype(float)

    def _members(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(self.blocks == block) for block in np.unique(self.blocks)]

    def _sizes(self) -> list[int]:
        return [math.comb(len(m), int(self.is_a[m].sum())) for m in self._members()]

    def _enumerated(self, start: int, stop: int) -> Booleans:
        labels = np.zeros((stop - start, len(self.is_a)), dtype=bool)
        rank = np.arange(start, stop)
        for members, size in zip(self._members(), self._sizes(), strict=True):
            rank, digit = np.divmod(rank, size)
            labels[:, members] = _combinations(digit, len(members), int(self.is_a[members].sum()))
        return labels

    def _drawn(self, rows: int, rng: np.random.Generator) -> Booleans:
        labels = np.zeros((rows, len(self.is_a)), dtype=bool)
        for members in self._members():
            order = rng.random((rows, len(members))).argsort(axis=1)
            labels[:, members] = self.is_a[members][order]
        return labels


@dataclass(frozen=True)
class SignPlan:
    """The reversals of sign that a one-group paired test compares.

    Attributes
    ----------
    patients
        Number of patients.
    seed, max_exact, draws
        As in `LabelPlan`.
    """

    patients: int
    seed: int | Sequence[int]
    max_exact: int
    draws: int

    @property
    def count(self) -> int:
        """Number of distinct signings."""
        return 2**self.patients

    @property
    def exact(self) -> bool:
        """Whether all signings are enumerated."""
        return self.count <= self.max_exact

    @property
    def mirrored(self) -> bool:
        """Always true: all signs can be reversed together."""
        return True

    @property
    def observed(self) -> Floats:
        """(1, patients) of ones: the signs observed."""
        return np.ones((1, self.patients))

    def chunks(self, rows: int) -> Iterator[Floats]:
        """Yield (up to `rows`, patients) arrays of 1 and -1, one signing per row."""
        total = self.count if self.exact else self.draws
        rng = np.random.default_rng(self.seed)
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            if self.exact:
                bits = np.arange(start, stop)[:, None] >> np.arange(self.patients) & 1
            else:
                bits = rng.integers(0, 2, (stop - start, self.patients))
            yield np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def stratum_codes(strata: NDArray | None, patients: int) -> NDArray[np.int64]:
    """Number the strata from 0.

    Parameters
    ----------
    strata
        (patients,) stratum of each patient, or none for a single stratum.
    patients
        Number of patients.

    Returns
    -------
    numpy.ndarray
        (patients,) integer codes.
    """
    if strata is None:
        return np.zeros(patients, dtype=np.int64)
    return np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1].reshape(-1).astype(np.int64)


def centre_within(values: Floats, blocks: NDArray[np.int64]) -> Floats:
    """Subtract each stratum's mean.

    Parameters
    ----------
    values
        (patients, features).
    blocks
        (patients,) stratum codes.

    Returns
    -------
    numpy.ndarray
        (patients, features) centred values.
    """
    centred = values.astype(float)
    for block in np.unique(blocks):
        members = blocks == block
        centred[members] -= centred[members].mean(axis=0)
    return centred


def _combinations(ranks: NDArray[np.int64], length: int, ones: int) -> Booleans:
    """Return the combinations at `ranks` of the list of all ways to mark `ones` of `length`."""
    table = np.zeros((length + 1, ones + 2), dtype=np.int64)
    for places in range(length + 1):
        # Column k holds the ways to place k - 1 marks; the clipped entries are out of reach.
        table[places, 1:] = [min(math.comb(places, k), COUNT_LIMIT) for k in range(ones + 1)]
    rest: NDArray[np.int64] = ranks.copy()
    left: NDArray[np.int64] = np.full(len(ranks), ones)
    marks = np.zeros((len(ranks), length), dtype=bool)
    for place in range(length):
        with_mark = table[length - 1 - place, left]
        taken = rest < with_mark
        rest = np.where(taken, rest, rest - with_mark)
        left = left - taken
        marks[:, place] = taken
    return marks
