"""Permutation tests with the patient as the unit: exact where that is affordable, sampled otherwise.

Two questions are covered. `permute_labels` asks whether two groups of patients differ, by
reassigning the group labels; `flip_signs` asks whether one group's paired differences are centred
on zero, by reversing their signs. Both test many features at once and add the step-down max-T
adjustment of Westfall and Young over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immune_landscape.labelings import Booleans, Floats, LabelPlan, SignPlan, centre_within, stratum_codes

TIE_TOLERANCE = 1e-9
"""Relative slack within which two statistics are the same number but for rounding."""

ROUNDING = 1e-12
"""Differences below this share of a feature's size are rounding, not spread."""

SPREAD_FLOOR = 1e-3
"""Smallest standard error, as a share of the feature's SD, by which a difference is divided."""

CHUNK_VALUES = 250_000
"""Numbers held per intermediate array, so that memory does not grow with the labelings."""


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
    values, is_a = _as_matrix(values), np.asarray(is_a, dtype=bool)
    blocks = stratum_codes(strata, len(is_a))

    def run(rows: Booleans, features: NDArray) -> _Run | None:
        labels = is_a[rows]
        if min(labels.sum(), (~labels).sum()) < 2:
            return None
        plan = LabelPlan(labels, blocks[rows], seed, max_exact, draws)
        return _Run.of_labels(values[np.ix_(rows, features)], plan, studentise)

    return _by_pattern(values, run)


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
    values = _as_matrix(values)

    def run(rows: Booleans, features: NDArray) -> _Run | None:
        if rows.sum() < 2:
            return None
        plan = SignPlan(int(rows.sum()), seed, max_exact, draws)
        return _Run.of_signs(values[np.ix_(rows, features)], plan, studentise)

    return _by_pattern(values, run)


@dataclass(frozen=True)
class _Run:
    """A test of features that share their patients."""

    effect: Floats
    statistic: Floats
    p: Floats
    p_maxt: Floats
    plan: LabelPlan | SignPlan

    @classmethod
    def of_labels(cls, values: Floats, plan: LabelPlan, studentise: bool) -> _Run:
        """Run a two-group test over the labelings of a plan."""
        centred = centre_within(values, plan.blocks)
        centred[:, np.ptp(centred, axis=0) <= ROUNDING * np.abs(values).max(axis=0)] = 0.0
        unit = _unit(centred)
        scaled, squares = centred / unit, (centred / unit) ** 2
        count_a = int(plan.is_a.sum())

        def statistic(labels: Floats) -> Floats:
            return _two_group(labels, scaled, squares, count_a, studentise)

        own = centre_within(plan.is_a[:, None].astype(float), plan.blocks)
        difference = _two_group(plan.observed, np.hstack([scaled, own]), None, count_a, False)[0]
        # Dividing by the difference of the centred labels gives the fixed-effects estimate, and
        # divides by 1 without strata; labels that no stratum can exchange carry no estimate.
        share = difference[-1] if difference[-1] > TIE_TOLERANCE else np.nan
        return cls._tallied(difference[:-1] / share * unit, statistic, unit, plan, studentise)

    @classmethod
    def of_signs(cls, values: Floats, plan: SignPlan, studentise: bool) -> _Run:
        """Run a one-group test over the sign flips of a plan."""
        unit = _unit(values)
        scaled = values / unit

        def statistic(signs: Floats) -> Floats:
            return _one_group(signs, scaled, studentise)

        return cls._tallied(values.mean(axis=0), statistic, unit, plan, studentise)

    @classmethod
    def _tallied(
        cls,
        effect: Floats,
        statistic: Callable[[Floats], Floats],
        unit: Floats,
        plan: LabelPlan | SignPlan,
        studentise: bool,
    ) -> _Run:
        # Raw differences return to their own units, which is what their maximum compares.
        scale = np.ones_like(unit) if studentise else unit
        p, p_maxt = _tally(plan, statistic, scale)
        return cls(effect, statistic(plan.observed)[0] * scale, p, p_maxt, plan)


def _tally(plan: LabelPlan | SignPlan, statistic: Callable[[Floats], Floats], scale: Floats) -> tuple[Floats, Floats]:
    """Return p values and step-down max-T p values of the absolute statistics, times `scale`."""
    observed = np.abs(statistic(plan.observed)[0]) * scale
    order = np.argsort(-observed, kind="stable")
    bar = (observed * (1 - TIE_TOLERANCE) - ROUNDING * scale)[order]
    alone = np.zeros(len(order), dtype=np.int64)
    stepped = np.zeros(len(order), dtype=np.int64)
    rows = max(1, CHUNK_VALUES // max(len(order), plan.observed.shape[1]))
    for chunk in plan.chunks(rows):
        values = (np.abs(statistic(chunk)) * scale)[:, order]
        alone += (values >= bar).sum(axis=0)
        # The maximum over a feature and all those with a smaller statistic observed.
        tail = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
        stepped += (tail >= bar).sum(axis=0)
    p, p_maxt = np.empty(len(order)), np.empty(len(order))
    p[order] = _share(alone, plan)
    p_maxt[order] = np.maximum.accumulate(_share(stepped, plan))
    return p, p_maxt


def _share(extreme: NDArray[np.int64], plan: LabelPlan | SignPlan) -> Floats:
    if plan.exact:
        return np.maximum(extreme, 1) / plan.count
    return (extreme + 1) / (plan.draws + 1)


def _two_group(labels: Floats, values: Floats, squares: Floats | None, count_a: int, studentise: bool) -> Floats:
    """Return (labelings, features) mean differences, or their Welch statistics."""
    count_b = labels.shape[1] - count_a
    mean_a = labels @ values / count_a
    mean_b = (values.sum(axis=0) - mean_a * count_a) / count_b
    if not studentise or squares is None:
        return mean_a - mean_b
    square_a = labels @ squares
    square_b = squares.sum(axis=0) - square_a
    error_a = (square_a - count_a * mean_a**2) / (count_a * (count_a - 1))
    error_b = (square_b - count_b * mean_b**2) / (count_b * (count_b - 1))
    return (mean_a - mean_b) / np.sqrt(np.maximum(error_a + error_b, SPREAD_FLOOR**2))


def _one_group(signs: Floats, values: Floats, studentise: bool) -> Floats:
    """Return (signings, features) means, or their t statistics."""
    patients = len(values)
    mean = signs @ values / patients
    if not studentise:
        return mean
    error = ((values**2).sum(axis=0) - patients * mean**2) / (patients * (patients - 1))
    return mean / np.sqrt(np.maximum(error, SPREAD_FLOOR**2))


def _unit(values: Floats) -> Floats:
    """Return each feature's root mean square; 1 where all values are zero."""
    size = np.sqrt((values**2).mean(axis=0))
    return np.where(size > 0, size, 1.0)


def _as_matrix(values: Floats) -> Floats:
    values = np.asarray(values, dtype=float)
    return values[:, None] if values.ndim == 1 else values


def _by_pattern(values: Floats, run: Callable[[Booleans, NDArray], _Run | None]) -> PermutationTest:
    """Run features that share their patients together, then the maximum over common patients."""
    known = ~np.isnan(values)
    count = values.shape[1]
    effect, statistic, p, p_maxt = (np.full(count, np.nan) for _ in range(4))
    labelings, exact = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    mirrored = np.zeros(count, dtype=bool)
    patterns, member = np.unique(known, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        features = np.flatnonzero(member.reshape(-1) == index)
        result = run(patterns[:, index], features)
        if result is None:
            continue
        effect[features], statistic[features], p[features] = result.effect, result.statistic, result.p
        p_maxt[features] = result.p_maxt
        plan = result.plan
        labelings[features] = plan.count if plan.exact else plan.draws
        exact[features], mirrored[features] = plan.exact, plan.mirrored
    if patterns.shape[1] > 1:
        p_maxt = _common_maximum(known, p, run)
    return PermutationTest(effect, statistic, p, p_maxt, labelings, exact, mirrored)


def _common_maximum(known: Booleans, p: Floats, run: Callable[[Booleans, NDArray], _Run | None]) -> Floats:
    features = np.flatnonzero(~np.isnan(p))
    p_maxt = np.full(len(p), np.nan)
    rows = np.asarray(known[:, features].all(axis=1))
    result = run(rows, features) if len(features) else None
    if result is not None:
        p_maxt[features] = np.maximum(result.p_maxt, p[features])
    return p_maxt
