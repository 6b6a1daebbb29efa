"""Effect sizes of patient-level contrasts, with intervals that agree with the permutation test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from immune_landscape.labelings import Booleans, Floats, LabelPlan, Plan, SignPlan, centre_within, stratum_codes
from immune_landscape.permutation import ROUNDING, SPREAD_FLOOR, TIE_TOLERANCE

INTERVAL_LABELINGS = 100_000
"""Labelings an interval looks at: enough for a sampling error of 0.0007 in p at 0.05."""

BOUND_PRECISION = 1e-4
"""Width, in standard errors, at which the search for an interval bound stops."""

WIDENINGS = 60


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes
    ----------
    low, high
        Bounds in the units of the values; infinite when no finite bound can be excluded.
    method
        How it was found.
    """

    low: float
    high: float
    method: str


def adjusted_difference(values: Floats, is_a: Booleans, strata: np.ndarray | None = None) -> Floats:
    """Return the difference of group means, adjusted for strata.

    Parameters
    ----------
    values
        (patients, features) complete values.
    is_a
        (patients,) true for the first group; the difference is first minus second.
    strata
        (patients,) stratum of each patient; none for the plain difference of means.

    Returns
    -------
    numpy.ndarray
        (features,) differences: the group coefficient of a linear model with strata as fixed
        effects. NaN when no stratum holds both groups.
    """
    own = centre_within(np.asarray(is_a, dtype=float)[:, None], stratum_codes(strata, len(is_a)))
    weight = float((own**2).sum())
    return (own * values).sum(axis=0) / weight if weight > ROUNDING else np.full(values.shape[1], np.nan)


def hodges_lehmann(values_a: Floats, values_b: Floats | None = None) -> float:
    """Return the Hodges-Lehmann shift between two groups, or the location of one group.

    Parameters
    ----------
    values_a
        (patients_a,) values of the first group.
    values_b
        (patients_b,) values of the second group; none for one group of differences.

    Returns
    -------
    float
        Median of all differences a - b, or of the means of all pairs (Walsh averages).

    References
    ----------
    Hodges and Lehmann (1963), https://doi.org/10.1214/aoms/1177704172
    """
    first = np.asarray(values_a, dtype=float)
    if values_b is not None:
        return float(np.median(np.subtract.outer(first, np.asarray(values_b, dtype=float))))
    low, high = np.triu_indices(len(first))
    return float(np.median((first[low] + first[high]) / 2))


def invert_labels(
    values: Floats,
    is_a: Booleans,
    seed: int | Sequence[int],
    *,
    strata: np.ndarray | None = None,
    level: float = 0.95,
    max_labelings: int = INTERVAL_LABELINGS,
) -> list[Interval]:
    """Find confidence intervals of group differences by inverting the studentised permutation test.

    Parameters
    ----------
    values
        (patients, features) complete values.
    is_a
        (patients,) true for the first group; the difference is first minus second.
    seed
        Seed of the labelings drawn when there are more than `max_labelings`.
    strata
        (patients,) labels are exchanged within equal values only.
    level
        Confidence level.
    max_labelings
        Labelings looked at: all when there are no more, else this many random ones.

    Returns
    -------
    list of Interval
        One per feature.

    Notes
    -----
    A shift is subtracted from the first group and the test of `permute_labels` is run on the
    result; the interval holds the shifts whose p value is not below 1 - level, as those below it
    are rejected. For each labeling both the difference and its squared standard error are
    polynomials in the shift, so their coefficients are computed once, and each bound is then found
    by stepping outwards from the estimate to a rejected shift and bisecting. With too few
    labelings nothing can be rejected: the bounds are infinite and the method says so.

    References
    ----------
    Garthwaite (1996), https://doi.org/10.2307/2532852
    """
    is_a = np.asarray(is_a, dtype=bool)
    if min(is_a.sum(), (~is_a).sum()) < 2:
        return [Interval(-math.inf, math.inf, "none: fewer than two patients in a group")] * values.shape[1]
    plan = LabelPlan(is_a, stratum_codes(strata, len(is_a)), seed, max_labelings, max_labelings)
    if unreachable := unreachable_interval(plan, level):
        return [unreachable] * values.shape[1]
    labels = np.vstack([plan.observed, *plan.chunks(max_labelings)])
    return [_label_curve(column, plan, labels).interval(column, plan, level) for column in values.T]


def invert_signs(
    values: Floats, seed: int | Sequence[int], *, level: float = 0.95, max_labelings: int = INTERVAL_LABELINGS
) -> list[Interval]:
    """Find confidence intervals of mean paired differences by inverting the sign-flip test.

    Parameters
    ----------
    values
        (patients, features) complete paired differences.
    seed
        Seed of the signings drawn when there are more than `max_labelings`.
    level
        Confidence level.
    max_labelings
        Signings looked at: all when there are no more, else this many random ones.

    Returns
    -------
    list of Interval
        One per feature.

    Notes
    -----
    Closed form: a signing is as extreme as the signs observed for the shifts between the mean of
    the values it keeps and the mean of those it reverses, so each bound is an order statistic of
    such means.

    References
    ----------
    Hartigan (1969), Using subsample values as typical values, J Am Stat Assoc 64:1303-1317.
    """
    patients = len(values)
    plan = SignPlan(patients, seed, max_labelings, max_labelings)
    if unreachable := unreachable_interval(plan, level):
        return [unreachable] * values.shape[1]
    signs = np.vstack(list(plan.chunks(max_labelings)))
    return [_invert_signs_one(column, plan, signs, level) for column in values.T]


@cache
def minimum_detectable_effect(
    count_a: int, count_b: int = 0, *, power: float = 0.8, alpha: float = 0.05, tests: int = 1
) -> float:
    """Return the smallest standardised difference that a t test of this size would find.

    Parameters
    ----------
    count_a, count_b
        Patients per group; `count_b` 0 for one group of paired differences.
    power
        Probability of finding it.
    alpha
        Two-sided significance level.
    tests
        Tests in the family, over which `alpha` is divided (Bonferroni).

    Returns
    -------
    float
        In standard deviations of the patient-level values; NaN when there are too few patients.

    References
    ----------
    Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, chapter 2.
    """
    from scipy import optimize

    freedom = count_a + count_b - (2 if count_b else 1)
    if freedom < 1 or count_a < 1:
        return math.nan
    root = math.sqrt(count_a * count_b / (count_a + count_b) if count_b else count_a)
    top = 1.0
    while _power_of_t(top * root, freedom, alpha / tests) < power:
        top *= 2
    return float(optimize.brentq(lambda size: _power_of_t(size * root, freedom, alpha / tests) - power, 0.0, top))


def min_attainable_p(labelings: int, exact: bool, mirrored: bool) -> float:
    """Return the smallest p value that a permutation test can give.

    Parameters
    ----------
    labelings
        Labelings enumerated, or drawn.
    exact
        Whether they are all enumerated.
    mirrored
        Whether each labeling has an opposite with the same absolute statistic, as with equal
        groups or reversed signs.

    Returns
    -------
    float
        Between 0 (exclusive) and 1.
    """
    if not exact:
        return 1 / (labelings + 1)
    return min(1.0, (2 if mirrored else 1) / labelings)


def _power_of_t(shift: float, freedom: int, alpha: float) -> float:
    from scipy.special import nctdtr, stdtrit  # scipy.stats has them too, but takes a second to import

    bar = stdtrit(freedom, 1 - alpha / 2)
    found = 1 - nctdtr(freedom, shift, bar) + nctdtr(freedom, shift, -bar)
    # Far from the centre the noncentral t is not computed; there the power is 1.
    return 1.0 if np.isnan(found) else float(found)


def unreachable_interval(plan: Plan, level: float) -> Interval | None:
    """Return the interval of a test that has too few reassignments to reject anything.

    Parameters
    ----------
    plan
        Its reassignments.
    level
        Confidence level.

    Returns
    -------
    Interval or None
        Without bounds; none when the smallest p value is below 1 - level.
    """
    total = plan.count if plan.exact else plan.draws
    if min_attainable_p(total, plan.exact, plan.mirrored) < 1 - level - TIE_TOLERANCE:
        return None
    return Interval(-math.inf, math.inf, f"none: {plan.count} labelings cannot reach {level:.0%} confidence")


def _method(plan: Plan) -> str:
    return "test inversion, exact" if plan.exact else f"test inversion, {plan.draws} draws"


def _find_bound(p_value: Callable[[float], float], estimate: float, step: float, level: float) -> float:
    """Return the last shift not rejected on the side of `estimate` to which `step` points."""
    alpha = 1 - level - TIE_TOLERANCE
    inside, outside = estimate, estimate + 2 * step
    for _ in range(WIDENINGS):
        if p_value(outside) < alpha:
            break
        inside, outside = outside, outside + (outside - estimate) / 2
    else:
        return math.copysign(math.inf, step)
    while abs(outside - inside) > BOUND_PRECISION * abs(step):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if p_value(middle) < alpha else (middle, outside)
    return (inside + outside) / 2


@dataclass(frozen=True)
class ShiftCurve:
    """The p value as a function of the shift, from one row of coefficients per reassignment.

    Attributes
    ----------
    difference, slope
        (1 + reassignments,) the difference is `difference - shift * slope`. The first row is the assignment observed;
        when they are drawn it is not among the others.
    error
        Constant, linear and quadratic part of its squared standard error, each (1 + reassignments,).
    spread
        The same parts of the mean square of what is permuted.
    exact
        Whether all reassignments are there.
    """

    difference: Floats
    slope: Floats
    error: tuple[Floats, Floats, Floats]
    spread: tuple[float, float, float]
    exact: bool

    def interval(self, values: Floats, plan: Plan, level: float) -> Interval:
        """Find the shifts that are not rejected.

        Parameters
        ----------
        values
            (patients,) values, whose size tells spread from rounding.
        plan
            The reassignments.
        level
            Confidence level.

        Returns
        -------
        Interval
            Without bounds when there is no spread.
        """
        error = self._error_at_estimate()
        if error <= ROUNDING * np.abs(values).max():
            return Interval(-math.inf, math.inf, "none: no spread within the groups")
        estimate = float(self.difference[0] / self.slope[0])
        bounds = [_find_bound(self.p_value, estimate, side * error, level) for side in (-1, 1)]
        return Interval(bounds[0], bounds[1], _method(plan))

    def p_value(self, shift: float) -> float:
        """Test one shift.

        Parameters
        ----------
        shift
            In the units of the values.

        Returns
        -------
        float
            Two-sided p value.
        """
        floor = SPREAD_FLOOR**2 * _quadratic(self.spread, shift)
        error = self.error[0] + shift * (self.error[1] + shift * self.error[2])
        squared = (self.difference - shift * self.slope) ** 2 / np.maximum(error, floor)
        extreme = int((squared >= squared[0] * (1 - 2 * TIE_TOLERANCE)).sum())
        # Row 0 is counted beside its twin in an enumeration, and is the "+ 1" of a sample.
        return (extreme - 1) / (len(squared) - 1) if self.exact else extreme / len(squared)

    def _error_at_estimate(self) -> float:
        """Return the standard error of the shift at which the difference observed vanishes."""
        first = (float(self.error[0][0]), float(self.error[1][0]), float(self.error[2][0]))
        squared = _quadratic(first, float(self.difference[0] / self.slope[0]))
        return math.sqrt(max(squared, 0.0)) / float(self.slope[0])


def _quadratic(parts: tuple[float, float, float], at: float) -> float:
    return parts[0] + at * (parts[1] + at * parts[2])


def _label_curve(values: Floats, plan: LabelPlan, labels: Floats) -> ShiftCurve:
    """Sum what the statistic needs once per labeling, so that a shift costs no second pass."""
    count_a = int(plan.is_a.sum())
    count_b = len(plan.is_a) - count_a
    centred = centre_within(np.column_stack([values, plan.is_a.astype(float)]), plan.blocks)
    numbers, own = centred.T
    powers = np.column_stack([numbers, own, numbers**2, numbers * own, own**2])
    sums_a = labels @ powers
    sums_b = powers.sum(axis=0) - sums_a
    # Squared Welch error of values - shift * own: constant, linear and quadratic parts.
    parts = [_error_parts(sums, count) for sums, count in ((sums_a, count_a), (sums_b, count_b))]
    constant, linear, quadratic = (parts[0][k] + parts[1][k] for k in range(3))
    means = sums_a / count_a - sums_b / count_b
    spread = powers.mean(axis=0)
    return ShiftCurve(
        means[:, 0],
        means[:, 1],
        (constant, linear, quadratic),
        (float(spread[2]), float(-2 * spread[3]), float(spread[4])),
        plan.exact,
    )


def _error_parts(sums: Floats, count: int) -> tuple[Floats, Floats, Floats]:
    scale = count * (count - 1)
    constant = (sums[:, 2] - sums[:, 0] ** 2 / count) / scale
    linear = -2 * (sums[:, 3] - sums[:, 0] * sums[:, 1] / count) / scale
    quadratic = (sums[:, 4] - sums[:, 1] ** 2 / count) / scale
    return constant, linear, quadratic


def _invert_signs_one(values: Floats, plan: SignPlan, signs: Floats, level: float) -> Interval:
    kept = (signs > 0).sum(axis=1)
    total, signed = values.sum(), signs @ values
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.column_stack([(total + signed) / (2 * kept), (total - signed) / (2 * (len(values) - kept))])
    # A signing that keeps or reverses everything is as extreme as observed at every shift.
    trivial = (kept == 0) | (kept == len(values))
    upper = np.where(trivial, math.inf, means.max(axis=1))
    lower = np.where(trivial, -math.inf, means.min(axis=1))
    # Shifts stay in the interval while at least this many signings are as extreme.
    spare = (1 - level) * (len(signs) if plan.exact else len(signs) + 1) - (0 if plan.exact else 1)
    rank = math.ceil(spare - TIE_TOLERANCE) - 1
    return Interval(float(np.sort(lower)[rank]), float(np.sort(upper)[::-1][rank]), _method(plan))
