"""Whether two groups of patients differ once covariates are accounted for, by permuting residuals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immune_landscape.estimates import Interval, ShiftCurve, unreachable_interval
from immune_landscape.labelings import Booleans, Floats, ResidualPlan, centre_within, stratum_codes
from immune_landscape.permutation import (
    ROUNDING,
    SPREAD_FLOOR,
    PermutationTest,
    Statistic,
    as_matrix,
    patient_patterns,
    root_mean_square,
    run_patterns,
)

SAME_DIRECTION = 1e-5
"""Share of a unit length that must be left of a column for it to be told from the others."""

_Orders = tuple[NDArray[np.int64], NDArray[np.int64]]

NO_FREEDOM = "none: covariates leave nothing to compare"


def freedman_lane(
    values: Floats,
    is_a: Booleans,
    covariates: Floats,
    seed: int | Sequence[int],
    *,
    strata: NDArray | None = None,
    studentise: bool = True,
    max_exact: int = 1_000_000,
    draws: int = 100_000,
) -> PermutationTest:
    """Test whether two groups of patients differ given covariates, by permuting residuals.

    Parameters
    ----------
    values
        (patients, features) one number per patient; NaN where a patient has none.
    is_a
        (patients,) true for the first group; the effect is first minus second.
    covariates
        (patients, columns) shared by all features, or (patients, features, columns) one set each, such as a feature's
        own value at baseline; NaN where a patient has none.
    seed
        Seed of the random draws; unused when exact.
    strata
        (patients,) residuals are exchanged within equal values only, and strata are fixed effects.
    studentise
        Let the groups differ in spread in the standard error by which the coefficient is divided; else it is that of
        ordinary least squares.
    max_exact
        Enumerate every distinct permutation up to this many, else draw.
    draws
        Random permutations when there are too many to enumerate.

    Returns
    -------
    PermutationTest
        `effect` is the group's coefficient and `statistic` its t in the model with strata and covariates. NaN for a
        feature with fewer than two patients in a group, without residual degrees of freedom, or whose covariates and
        strata tell the groups apart.

    Notes
    -----
    The residuals of the model without the group are permuted and added back to its fit, and the model with the group
    is fitted to the result [1]_. The fit added back leaves the statistic as it is and is left out. The test is close to
    exact rather than exact [2]_, also when all permutations are enumerated.

    The studentised standard error is that of the coefficient when each group has its own variance: the mean of the two,
    weighted by the squares of what strata and covariates leave of the group, each the group's sum of squared residuals
    over its residual degrees of freedom [2]_. Without covariates and strata it is Welch's, and the test that of
    `permute_labels`; `studentise=False` gives the p value of `permute_labels` with `studentise=False`. Missing values,
    the maximum, the floor of the standard error and the p values are as in `permute_labels`.

    References
    ----------
    .. [1] Freedman and Lane (1983), https://doi.org/10.1080/07350015.1983.10509354
    .. [2] Winkler et al. (2014), https://doi.org/10.1016/j.neuroimage.2014.01.060
    """
    models = _Models.of(values, is_a, covariates, strata)

    def prepare(rows: Booleans, features: NDArray[np.int64]) -> Statistic | None:
        """Fit the models of features that share these patients."""
        fits = models.fits(rows, features)
        if fits is None:
            return None
        plan = models.plan(rows, features, seed, max_exact, draws)
        return fits.statistic(models.values[np.ix_(rows, features)], plan, studentise)

    return run_patterns(models.values, prepare)


def invert_freedman_lane(
    values: Floats,
    is_a: Booleans,
    covariates: Floats,
    seed: int | Sequence[int],
    *,
    strata: NDArray | None = None,
    studentise: bool = True,
    level: float = 0.95,
    max_labelings: int = 20_000,
) -> list[Interval]:
    """Find confidence intervals of group differences given covariates by inverting the Freedman-Lane test.

    Parameters
    ----------
    values, is_a, covariates, seed, strata, studentise
        As for `freedman_lane`.
    level
        Confidence level.
    max_labelings
        Permutations looked at: all when there are no more, else this many random ones.

    Returns
    -------
    list of Interval
        One per feature, on its own complete patients.

    Notes
    -----
    As in `estimates.invert_labels`: a shift is subtracted from the first group and the test is run on the result. The
    residuals are linear in the shift, so for each permutation the coefficient is linear and its squared standard error
    quadratic in it.

    References
    ----------
    Garthwaite (1996), https://doi.org/10.2307/2532852
    """
    models = _Models.of(values, is_a, covariates, strata)
    intervals = [Interval(-math.inf, math.inf, NO_FREEDOM)] * models.values.shape[1]
    for rows, features in patient_patterns(models.values):
        fits = models.fits(rows, features)
        if fits is None:
            continue
        plan = models.plan(rows, features, seed, max_labelings, max_labelings)
        order = np.vstack([plan.observed, *plan.chunks(max_labelings)])
        none = unreachable_interval(plan, level)
        for place, feature in enumerate(features):
            column = models.values[rows, feature]
            curve = fits.one(place).curve(column, order, plan.exact, studentise)
            intervals[feature] = none or curve.interval(column, plan, level)
    return intervals


def residual_plan(
    is_a: Booleans,
    covariates: Floats,
    seed: int | Sequence[int],
    *,
    strata: NDArray | None = None,
    max_exact: int = 1_000_000,
    draws: int = 100_000,
) -> ResidualPlan:
    """Return the permutations that `freedman_lane` compares.

    Parameters
    ----------
    is_a, covariates, seed, strata, max_exact, draws
        As for `freedman_lane`, of patients complete in all of them.

    Returns
    -------
    ResidualPlan
        Their number, whether they are enumerated, and the permutations.
    """
    is_a = np.asarray(is_a, dtype=bool)
    blocks = stratum_codes(strata, len(is_a))
    rows = np.column_stack([blocks, np.asarray(covariates, dtype=float).reshape(len(is_a), -1)])
    cells = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return ResidualPlan(is_a, cells.astype(np.int64), blocks, seed, max_exact, draws)


def residual_statistic(
    values: Floats, covariates: Floats, plan: ResidualPlan, studentise: bool = True
) -> Statistic | None:
    """Prepare the test of `freedman_lane`.

    Parameters
    ----------
    values
        (patients, features) complete values.
    covariates
        As for `freedman_lane`, complete.
    plan
        Permutations of the residuals of these patients.
    studentise
        As in `freedman_lane`.

    Returns
    -------
    Statistic or None
        The t of the group's coefficient; none where a feature has no test.
    """
    fits = _Fits.of(plan.is_a, _as_sets(covariates), plan.blocks)
    return None if fits is None else fits.statistic(values, plan, studentise)


@dataclass(frozen=True)
class _Fits:
    """Linear models of features that share their patients: one set of covariates for all features, or one each.

    Attributes
    ----------
    is_a
        (patients,) true for the first group.
    blocks
        (patients,) stratum codes.
    directions
        (patients, sets, 1 + columns) orthonormal: what strata and covariates leave of the group, then a basis of the
        covariates within strata, zero where they are collinear.
    size
        (sets,) length of what is left of the group.
    freedom
        (2, sets) residual degrees of freedom of the model with the group, in the first and the second group.
    """

    is_a: Booleans
    blocks: NDArray[np.int64]
    directions: Floats
    size: Floats
    freedom: Floats

    @classmethod
    def of(cls, is_a: Booleans, covariates: Floats, blocks: NDArray[np.int64]) -> _Fits | None:
        """Fit the group on (patients, sets, columns) covariates; none where nothing is left to test."""
        if min(is_a.sum(), (~is_a).sum()) < 2:
            return None
        basis = np.stack([_basis(columns, blocks) for columns in covariates.transpose(1, 0, 2)], axis=1)
        whole = centre_within(np.repeat(is_a[:, None].astype(float), basis.shape[1], axis=1), blocks)
        own = _unexplained(whole, basis)
        size = np.sqrt((own**2).sum(axis=0))
        if (size <= SAME_DIRECTION * np.sqrt(len(is_a))).any():
            return None
        directions = np.concatenate([(own / size)[:, :, None], basis], axis=2)
        left = 1 - (1 / np.bincount(blocks)[blocks])[:, None] - (directions**2).sum(axis=2)
        freedom = np.stack([left[is_a].sum(axis=0), left[~is_a].sum(axis=0)])
        if (freedom.sum(axis=0) < 1 - ROUNDING * len(is_a)).any() or (freedom <= SAME_DIRECTION).any():
            return None
        return cls(is_a, blocks, directions, size, freedom)

    def residuals(self, values: Floats) -> Floats:
        """Return what strata and covariates leave of (patients, features) values."""
        left = _unexplained(centre_within(values, self.blocks), self.directions[:, :, 1:])
        left[:, np.ptp(left, axis=0) <= ROUNDING * np.abs(values).max(axis=0)] = 0.0
        return left

    def one(self, place: int) -> _Fits:
        """Return the model of one feature."""
        at = [place % len(self.size)]
        return _Fits(self.is_a, self.blocks, self.directions[:, at], self.size[at], self.freedom[:, at])

    def estimate(self, order: NDArray[np.int64], residuals: Floats, studentise: bool) -> tuple[Floats, Floats]:
        """Return (permutations, features) coefficients of the group and their squared standard errors."""
        coefficient = np.empty((len(order), residuals.shape[1]))
        error = np.empty_like(coefficient)
        orders = (order, _inverse(order))
        shared = len(self.size) == 1
        for at in range(len(self.size)):
            members = slice(None) if shared else slice(at, at + 1)
            lengths = _products(self.directions[:, at], orders, residuals[:, members])
            coefficient[:, members] = lengths[0] / self.size[at]
            error[:, members] = self._error(at, lengths, orders, residuals[:, members], studentise)
        return coefficient, error

    def _error(self, at: int, lengths: Floats, orders: _Orders, residuals: Floats, studentise: bool) -> Floats:
        everyone = (residuals**2).sum(axis=0) - (lengths**2).sum(axis=0)
        if not studentise:
            return np.asarray(everyone / (self.freedom[:, at].sum() * self.size[at] ** 2))
        # Squares of the first group's residuals, multiplied out so that none is held per patient.
        directions = self.directions[:, at] * self.is_a[:, None]
        first = _products(self.is_a[:, None].astype(float), orders, residuals**2)[0]
        inner = np.einsum("cd,dpf->cpf", directions.T @ directions, lengths)
        first += (lengths * (inner - 2 * _products(directions, orders, residuals))).sum(axis=0)
        # The coefficient weights patients by the group's own part, whose squares add up to 1.
        share = float((directions[:, 0] ** 2).sum())
        parts = share * first / self.freedom[0, at] + (1 - share) * (everyone - first) / self.freedom[1, at]
        return np.asarray(parts / self.size[at] ** 2)

    def statistic(self, values: Floats, plan: ResidualPlan, studentise: bool) -> Statistic:
        """Prepare the t of the group's coefficient in (patients, features) values."""
        residuals = self.residuals(values)
        unit = root_mean_square(residuals)
        scaled = residuals / unit

        def compute(order: NDArray[np.int64]) -> Floats:
            """Return the t of each order of the residuals."""
            coefficient, error = self.estimate(order, scaled, studentise)
            return np.asarray(coefficient / np.sqrt(np.maximum(error, SPREAD_FLOOR**2)))

        effect = self.estimate(plan.observed, scaled, studentise)[0][0] * unit
        return Statistic(plan, effect, np.ones_like(unit), compute)

    def curve(self, values: Floats, order: NDArray[np.int64], exact: bool, studentise: bool) -> ShiftCurve:
        """Return the p value of one feature as a function of the shift; `order` starts with the order observed."""
        residuals = self.residuals(values[:, None])
        unit = float(root_mean_square(residuals)[0])
        shifted = self.directions[:, :, 0] * self.size * unit
        # The error is quadratic, so its mixed term is what the error of a sum has over those of its parts.
        columns = np.hstack([residuals, shifted, residuals + shifted])
        coefficient, error = self.estimate(order, columns, studentise)
        mean = (columns**2).mean(axis=0)
        return ShiftCurve(
            coefficient[:, 0],
            coefficient[:, 1] / unit,
            (error[:, 0], (error[:, 0] + error[:, 1] - error[:, 2]) / unit, error[:, 1] / unit**2),
            (float(mean[0]), float(mean[0] + mean[1] - mean[2]) / unit, float(mean[1]) / unit**2),
            exact,
        )


@dataclass(frozen=True)
class _Models:
    """Values with what they are adjusted for; a patient without a covariate has no value."""

    values: Floats
    is_a: Booleans
    covariates: Floats
    blocks: NDArray[np.int64]

    @classmethod
    def of(cls, values: Floats, is_a: Booleans, covariates: Floats, strata: NDArray | None) -> _Models:
        """Bring the covariates to (patients, sets, columns), and blank features whose model has no test."""
        values, covariates = as_matrix(values), _as_sets(covariates)
        values = np.where(np.isnan(covariates).any(axis=2), np.nan, values)
        is_a = np.asarray(is_a, dtype=bool)
        models = cls(values, is_a, covariates, stratum_codes(strata, len(is_a)))
        for feature in range(values.shape[1]):
            if models.fits(~np.isnan(values[:, feature]), np.array([feature])) is None:
                values[:, feature] = np.nan
        return models

    def fits(self, rows: Booleans, features: NDArray[np.int64]) -> _Fits | None:
        """Return the models of features in some patients, none where one of them has no test."""
        return _Fits.of(self.is_a[rows], self._covariates(rows, features), self.blocks[rows])

    def plan(
        self, rows: Booleans, features: NDArray[np.int64], seed: int | Sequence[int], max_exact: int, draws: int
    ) -> ResidualPlan:
        """Return the permutations of the residuals of some patients."""
        covariates = self._covariates(rows, features)
        return residual_plan(
            self.is_a[rows], covariates, seed, strata=self.blocks[rows], max_exact=max_exact, draws=draws
        )

    def _covariates(self, rows: Booleans, features: NDArray[np.int64]) -> Floats:
        shared = self.covariates.shape[1] == 1
        return self.covariates[rows] if shared else self.covariates[np.ix_(rows, features)]


def _products(columns: Floats, orders: _Orders, residuals: Floats) -> Floats:
    """Return (columns, permutations, features) products of (patients, columns) with permuted residuals."""
    order, source = orders
    # Whichever is fewer is permuted.
    if columns.shape[1] < residuals.shape[1]:
        return np.stack([column[order] @ residuals for column in columns.T])
    return np.stack([columns.T @ residual[source.T] for residual in residuals.T], axis=2)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (permutations, patients) which residual each patient's row of the model meets."""
    source = np.empty_like(order)
    np.put_along_axis(source, order, np.arange(order.shape[1])[None, :], axis=1)
    return source


def _as_sets(covariates: Floats) -> Floats:
    """Return covariates as (patients, sets, columns), one set where all features share them."""
    covariates = np.asarray(covariates, dtype=float)
    return covariates[:, None, :] if covariates.ndim == 2 else covariates


def _basis(covariates: Floats, blocks: NDArray[np.int64]) -> Floats:
    """Return an orthonormal basis of (patients, columns) within strata, padded with zero columns."""
    centred = centre_within(covariates, blocks)
    size = np.sqrt((centred**2).sum(axis=0))
    spread = size > ROUNDING * np.abs(covariates).sum(axis=0)
    basis = np.zeros_like(centred)
    if spread.any():
        directions, weights, _ = np.linalg.svd(centred[:, spread] / size[spread], full_matrices=False)
        kept = directions[:, weights > SAME_DIRECTION]
        basis[:, : kept.shape[1]] = kept
    return basis


def _unexplained(centred: Floats, basis: Floats) -> Floats:
    """Subtract from (patients, features) values what the basis of their set explains."""
    if basis.shape[1] == 1:
        return np.asarray(centred - basis[:, 0] @ (basis[:, 0].T @ centred))
    weights = np.einsum("pfc,pf->fc", basis, centred)
    return np.asarray(centred - np.einsum("pfc,fc->pf", basis, weights))
