"""The ways to reassign group labels, reverse signs or permute residuals: all of them, or a random sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

COUNT_LIMIT = 2**62


class Plan(Protocol):
    """The reassignments that a permutation test compares: all of them when exact, else random ones."""

    @property
    def draws(self) -> int:
        """Random reassignments when there are too many to enumerate."""

    @property
    def count(self) -> int:
        """Number of distinct reassignments."""

    @property
    def exact(self) -> bool:
        """Whether all of them are enumerated."""

    @property
    def mirrored(self) -> bool:
        """Whether each has an opposite with the same absolute statistic."""

    @property
    def observed(self) -> NDArray[Any]:
        """(1, patients) the assignment observed."""

    def chunks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield (up to `rows`, patients) arrays, one reassignment per row."""


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
        return _members_of(self.blocks)

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
        return np.asarray(self.is_a[_shuffled(rows, self._members(), rng)])


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


@dataclass(frozen=True)
class ResidualPlan:
    """The permutations of residuals, within strata, that a test with covariates compares.

    Exchanging the residuals of two patients with the same stratum, covariates and group changes
    nothing, so such permutations count once: without covariates these are the labelings.

    Attributes
    ----------
    is_a
        (patients,) labels observed.
    cells
        (patients,) codes of patients who share stratum and covariates, from 0.
    blocks
        (patients,) stratum codes from 0.
    seed, max_exact, draws
        As in `LabelPlan`.
    """

    is_a: Booleans
    cells: NDArray[np.int64]
    blocks: NDArray[np.int64]
    seed: int | Sequence[int]
    max_exact: int
    draws: int

    @property
    def count(self) -> int:
        """Number of distinct permutations."""
        return math.prod(_multinomial(np.bincount(self._kinds()[m])) for m in _members_of(self.blocks))

    @property
    def exact(self) -> bool:
        """Whether all permutations are enumerated."""
        return self.count <= self.max_exact

    @property
    def mirrored(self) -> bool:
        """Whether exchanging the two labels of every patient gives another permutation."""
        return not np.bincount(self.cells, weights=np.where(self.is_a, 1, -1)).any()

    @property
    def observed(self) -> NDArray[np.int64]:
        """(1, patients) own position of each patient."""
        return np.arange(len(self.is_a))[None, :]

    def chunks(self, rows: int) -> Iterator[NDArray[np.int64]]:
        """Yield (up to `rows`, patients) arrays: the patient whose row of the model each residual meets."""
        total = self.count if self.exact else self.draws
        rng = np.random.default_rng(self.seed)
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            members = _members_of(self.blocks)
            yield self._enumerated(start, stop) if self.exact else _shuffled(stop - start, members, rng)

    def _kinds(self) -> NDArray[np.int64]:
        return 2 * self.cells + self.is_a

    def _enumerated(self, start: int, stop: int) -> NDArray[np.int64]:
        order = np.empty((stop - start, len(self.is_a)), dtype=np.int64)
        rank = np.arange(start, stop)
        for members in _members_of(self.blocks):
            kinds = self._kinds()[members]
            counts = np.unique(kinds, return_counts=True)[1]
            rank, digit = np.divmod(rank, _multinomial(counts))
            # Residuals in the order of the kind they meet, beside the patients in the order of their own.
            residuals = members[_arrangements(digit, counts).argsort(axis=1, kind="stable")]
            np.put_along_axis(order, residuals, members[kinds.argsort(kind="stable")][None, :], axis=1)
        return order


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


def _members_of(blocks: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(blocks == block) for block in np.unique(blocks)]


def _shuffled(rows: int, members: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (rows, patients) random orders of the patients, each within its stratum."""
    # One key per patient and row: the draws do not depend on how many rows are asked for at once.
    keys = rng.random((rows, sum(map(len, members))))
    order = np.empty(keys.shape, dtype=np.int64)
    for each in members:
        order[:, each] = each[keys[:, each].argsort(axis=1)]
    return order


def _multinomial(counts: NDArray[np.int64]) -> int:
    """Return the number of ways to order things of several kinds."""
    return math.factorial(int(counts.sum())) // math.prod(math.factorial(int(count)) for count in counts)


def _arrangements(ranks: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the orders at `ranks` of the list of all ways to order things of several kinds."""
    rest, at = ranks.copy(), np.arange(len(ranks))
    left = np.tile(counts, (len(ranks), 1))
    ways = np.full(len(ranks), _multinomial(counts))
    kinds = np.empty((len(ranks), int(counts.sum())), dtype=np.int64)
    for place in range(kinds.shape[1]):
        # Of the ways to order what is left, the share that starts with a kind is the kind's own.
        starting = ways[:, None] * left // (kinds.shape[1] - place)
        ends = starting.cumsum(axis=1)
        kind = (rest[:, None] >= ends).sum(axis=1)
        ways = starting[at, kind]
        rest = rest - (ends[at, kind] - ways)
        left[at, kind] -= 1
        kinds[:, place] = kind
    return kinds


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
