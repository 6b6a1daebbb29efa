"""Permutation tests with the patient as the unit: exact where that is affordable, sampled otherwise.

Two questions are covered. `permute_labels` asks whether two groups of patients differ, by
reassigning the group labels; `flip_signs` asks whether one group's paired differences are centred
on zero, by reversing their signs. Both test many features at once and add the step-down max-T
adjustment of Westfall and Young over them. `freedman_lane` asks the first question with
covariates; what the tests share is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immune_landscape.labelings import Booleans, Floats, LabelPlan, Plan, SignPlan, centre_within, stratum_codes

TIE_TOLERANCE = 1e-9
"""Relative slack within which two statistics are the same number but for rounding."""

ROUNDING = 1e-12
"""Differences below this share of a feature's size are rounding, not spread."""

SPREAD_FLOOR = 1e-3
"""Smallest standard error, as a share of the feature's SD, by which a difference is divided."""

CHUNK_VALUES = 50_000
"""Numbers per intermediate array: memory does not grow with the labelings, and small products need one core."""


@dataclass(frozen=True)
class PermutationTest:
    """Result of one permutation test per feature.

    Attributes
    ----------
    effect
        (features,) mean difference, in the units of the values.
    statistic
        (features,) tested statistic: studentised, or equal to `effect`.
    p
        (features,) two-sided p value, each on the feature's own complete patients.
    p_maxt
        (features,) step-down max-T p value over the features' common patients.
    labelings
        (features,) reassignments compared: all of them when exact, else the number drawn.
    exact
        (features,) whether every reassignment was enumerated.
    mirrored
        (features,) whether each reassignment has an opposite with the same absolute statistic.
    """

    effect: Floats
    statistic: Floats
    p: Floats
    p_maxt: Floats
    labelings: NDArray[np.int64]
    exact: Booleans
    mirrored: Booleans


def permute_labels(
    values: Floats,
    is_a: Booleans,
    seed: int | Sequence[int],
    *,
    strata: NDArray | None = None,
    studentise: bool = True,
    max_exact: int = 5_000_000,
    draws: int = 100_000,
) -> PermutationTest:
    """Test whether two groups of patients differ, by reassigning the group labels.

    Parameters
    ----------
    values
        (patients, features) one number per patient; NaN where a patient has none.
    is_a
        (patients,) true for the first group; the effect is first minus second.
    seed
        Seed of the random draws; unused when exact.
    strata
        (patients,) labels are exchanged within equal values only.
    studentise
        Divide the difference by its Welch standard error.
    max_exact
        Enumerate every labeling up to this many, else draw.
    draws
        Random labelings when there are too many to enumerate.

    Returns
    -------
    PermutationTest
        NaN for a feature with fewer than two patients in a group.

    Notes
    -----
    Values are centred within strata first, and the effect is the difference adjusted for strata.
    A feature is tested on its own complete patients. The maximum needs one set of patients for
    all features: `p_maxt` is computed on the patients complete in every feature that has a p
    value, and is never below `p`. When both groups have no spread the standard error is held at
    `SPREAD_FLOOR` standard deviations of the feature, which keeps the statistic large and finite.
    Sampled p values are (b + 1) / (m + 1) [1]_; the exact ones count the labeling observed, so no
    p value is 0. Studentised permutation stays valid when group variances differ [2]_.

    References
    ----------
    .. [1] Phipson and Smyth (2010), https://doi.org/10.2202/1544-6115.1585
    .. [2] Janssen (1997), https://doi.org/10.1016/S0167-7152(97)00043-6
    .. [3] Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
    """
    values, is_a = as_matrix(values), np.asarray(is_a, dtype=bool)
    blocks = stratum_codes(strata, len(is_a))

    def prepare(rows: Booleans, features: NDArray) -> Statistic | None:
        """Set up the test of features that share these patients; none with fewer than two in a group."""
        labels = is_a[rows]
        if min(labels.sum(), (~labels).sum()) < 2:
            return None
        plan = LabelPlan(labels, blocks[rows], seed, max_exact, draws)
        return label_statistic(values[np.ix_(rows, features)], plan, studentise)

    return run_patterns(values, prepare)


def flip_signs(
    values: Floats,
    seed: int | Sequence[int],
    *,
    studentise: bool = True,
    max_exact: int = 5_000_000,
    draws: int = 100_000,
) -> PermutationTest:
    """Test whether paired differences are centred on zero, by reversing their signs.

    Parameters
    ----------
    values
        (patients, features) one difference per patient; NaN where a patient has none.
    seed
        Seed of the random draws; unused when exact.
    studentise
        Divide the mean by its standard error. It changes `p_maxt` only.
    max_exact
        Enumerate all 2 ** patients signings up to this many, else draw.
    draws
        Random signings when there are too many to enumerate.

    Returns
    -------
    PermutationTest
        NaN for a feature with fewer than two patients.

    Notes
    -----
    Missing values, the floor of the standard error and the p values are as in `permute_labels`.
    """
    values = as_matrix(values)

    def prepare(rows: Booleans, features: NDArray) -> Statistic | None:
        """Set up the test of features that share these patients; none with fewer than two."""
        if rows.sum() < 2:
            return None
        plan = SignPlan(int(rows.sum()), seed, max_exact, draws)
        return sign_statistic(values[np.ix_(rows, features)], plan, studentise)

    return run_patterns(values, prepare)


@dataclass(frozen=True)
class Statistic:
    """What a permutation test computes for features that share their patients.

    Attributes
    ----------
    plan
        The reassignments to compare.
    effect
        (features,) effect observed, in the units of the values.
    scale
        (features,) factor that returns statistics to what their maximum compares.
    compute
        Takes (rows, patients) reassignments and returns (rows, features) statistics.
    """

    plan: Plan
    effect: Floats
    scale: Floats
    compute: Callable[[NDArray[Any]], Floats]

    @property
    def observed(self) -> Floats:
        """(features,) statistic observed."""
        return np.asarray(self.compute(self.plan.observed)[0] * self.scale)

    def chunks(self) -> Iterator[Floats]:
        """Yield (rows, features) absolute statistics of all reassignments, a part at a time."""
        rows = max(1, CHUNK_VALUES // max(len(self.effect), self.plan.observed.shape[1]))
        for chunk in self.plan.chunks(rows):
            yield np.abs(self.compute(chunk)) * self.scale


def label_statistic(values: Floats, plan: LabelPlan, studentise: bool = True) -> Statistic:
    """Prepare the two-group test of `permute_labels`.

    Parameters
    ----------
    values
        (patients, features) complete values.
    plan
        Labelings of these patients.
    studentise
        As in `permute_labels`.

    Returns
    -------
    Statistic
        Difference of means, studentised or not.
    """
    centred = centre_within(values, plan.blocks)
    centred[:, np.ptp(centred, axis=0) <= ROUNDING * np.abs(values).max(axis=0)] = 0.0
    unit = root_mean_square(centred)
    scaled, squares = centred / unit, (centred / unit) ** 2
    count_a = int(plan.is_a.sum())

    def compute(labels: Floats) -> Floats:
        """Return the difference of the groups under each labeling, (labelings, features)."""
        return _two_group(labels, scaled, squares, count_a, studentise)

    own = centre_within(plan.is_a[:, None].astype(float), plan.blocks)
    difference = _two_group(plan.observed, np.hstack([scaled, own]), None, count_a, False)[0]
    # Dividing by the difference of the centred labels gives the fixed-effects estimate, and
    # divides by 1 without strata; labels that no stratum can exchange carry no estimate.
    share = difference[-1] if difference[-1] > TIE_TOLERANCE else np.nan
    effect = difference[:-1] / share * unit
    return Statistic(plan, effect, np.ones_like(unit) if studentise else unit, compute)


def sign_statistic(values: Floats, plan: SignPlan, studentise: bool = True) -> Statistic:
    """Prepare the one-group test of `flip_signs`.

    Parameters
    ----------
    values
        (patients, features) complete differences.
    plan
        Signings of these patients.
    studentise
        As in `flip_signs`.

    Returns
    -------
    Statistic
        Mean, studentised or not.
    """
    unit = root_mean_square(values)
    scaled = values / unit

    def compute(signs: Floats) -> Floats:
        """Return the mean under each signing, (signings, features)."""
        return _one_group(signs, scaled, studentise)

    return Statistic(plan, values.mean(axis=0), np.ones_like(unit) if studentise else unit, compute)


Prepare = Callable[[Booleans, NDArray[np.int64]], Statistic | None]


def run_patterns(values: Floats, prepare: Prepare) -> PermutationTest:
    """Test features that share their patients together, then the maximum over common patients.

    Parameters
    ----------
    values
        (patients, features) NaN where a patient has none.
    prepare
        Takes (patients,) of bool and (features,) positions, and returns the statistic of these features in these
        patients, or none where it cannot be computed.

    Returns
    -------
    PermutationTest
        NaN for features without a statistic.
    """
    count = values.shape[1]
    effect, statistic, p, p_maxt = (np.full(count, np.nan) for _ in range(4))
    labelings, exact = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    mirrored = np.zeros(count, dtype=bool)
    patterns = list(patient_patterns(values))
    for rows, features in patterns:
        found = prepare(rows, features)
        if found is None:
            continue
        plan = found.plan
        effect[features], statistic[features] = found.effect, found.observed
        p[features], p_maxt[features] = _tally(found)
        labelings[features] = plan.count if plan.exact else plan.draws
        exact[features], mirrored[features] = plan.exact, plan.mirrored
    if len(patterns) > 1:
        p_maxt = _common_maximum(values, p, prepare)
    return PermutationTest(effect, statistic, p, p_maxt, labelings, exact, mirrored)


def patient_patterns(values: Floats) -> Iterator[tuple[Booleans, NDArray[np.int64]]]:
    """Yield the features that share their patients.

    Parameters
    ----------
    values
        (patients, features) NaN where a patient has none.

    Yields
    ------
    tuple
        (patients,) which have a value, and the positions of these features.
    """
    patterns, member = np.unique(~np.isnan(values), axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        yield patterns[:, index], np.flatnonzero(member.reshape(-1) == index)


def step_down(chunks: Iterable[Floats], observed: Floats, scale: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the reassignments as extreme as observed, feature by feature and step by step of the maximum.

    Parameters
    ----------
    chunks
        (rows, features) absolute statistics of reassignments.
    observed
        (features,) absolute statistics to compare them with.
    scale
        (features,) size at which rounding is judged.

    Returns
    -------
    tuple
        (features,) counts of each feature alone, and of the maximum over the features with no larger statistic
        observed; the latter never fall as the statistic observed falls.
    """
    order = np.argsort(-observed, kind="stable")
    bar = (observed * (1 - TIE_TOLERANCE) - ROUNDING * scale)[order]
    alone = np.zeros(len(order), dtype=np.int64)
    stepped = np.zeros(len(order), dtype=np.int64)
    for chunk in chunks:
        values = chunk[:, order]
        alone += (values >= bar).sum(axis=0)
        # The maximum over a feature and all those with a smaller statistic observed.
        tail = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
        stepped += (tail >= bar).sum(axis=0)
    back = np.argsort(order)
    return alone[back], np.maximum.accumulate(stepped)[back]


def _tally(statistic: Statistic) -> tuple[Floats, Floats]:
    """Return p values and step-down max-T p values."""
    alone, stepped = step_down(statistic.chunks(), np.abs(statistic.observed), statistic.scale)
    return _share(alone, statistic.plan), _share(stepped, statistic.plan)


def _share(extreme: NDArray[np.int64], plan: Plan) -> Floats:
    if plan.exact:
        return np.asarray(np.maximum(extreme, 1) / plan.count)
    return np.asarray((extreme + 1) / (plan.draws + 1))


def _two_group(labels: Floats, values: Floats, squares: Floats | None, count_a: int, studentise: bool) -> Floats:
    """Return (labelings, features) mean differences, or the Welch statistics of values that add up to zero."""
    count_b = labels.shape[1] - count_a
    sums = labels @ values
    if not studentise or squares is None:
        return np.asarray(sums * (1 / count_a + 1 / count_b) - values.sum(axis=0) / count_b)
    # The second group's sum is minus the first's, so one sum of values and one of squares make both errors.
    scale_a, scale_b = count_a * (count_a - 1), count_b * (count_b - 1)
    error = labels @ (squares * (1 / scale_a - 1 / scale_b))
    error += squares.sum(axis=0) / scale_b
    error -= sums**2 * (1 / (scale_a * count_a) + 1 / (scale_b * count_b))
    np.sqrt(np.maximum(error, SPREAD_FLOOR**2, out=error), out=error)
    sums *= 1 / count_a + 1 / count_b
    return np.asarray(np.divide(sums, error, out=sums))


def _one_group(signs: Floats, values: Floats, studentise: bool) -> Floats:
    """Return (signings, features) means, or their t statistics."""
    patients = len(values)
    mean = signs @ values / patients
    if not studentise:
        return mean
    error = ((values**2).sum(axis=0) - patients * mean**2) / (patients * (patients - 1))
    return mean / np.sqrt(np.maximum(error, SPREAD_FLOOR**2))


def root_mean_square(values: Floats) -> Floats:
    """Return the size of each feature.

    Parameters
    ----------
    values
        (patients, features) complete values.

    Returns
    -------
    numpy.ndarray
        (features,) root mean square; 1 where all values are zero.
    """
    size = np.sqrt((values**2).mean(axis=0))
    return np.where(size > 0, size, 1.0)


def as_matrix(values: Floats) -> Floats:
    """Return values as a matrix.

    Parameters
    ----------
    values
        (patients, features), or (patients,) of one feature.

    Returns
    -------
    numpy.ndarray
        (patients, features) of float.
    """
    values = np.asarray(values, dtype=float)
    return values[:, None] if values.ndim == 1 else values


def _common_maximum(values: Floats, p: Floats, prepare: Prepare) -> Floats:
    features = np.flatnonzero(~np.isnan(p))
    p_maxt = np.full(len(p), np.nan)
    rows = np.asarray(~np.isnan(values[:, features]).any(axis=1))
    found = prepare(rows, features) if len(features) else None
    if found is not None:
        p_maxt[features] = np.maximum(_tally(found)[1], p[features])
    return p_maxt
