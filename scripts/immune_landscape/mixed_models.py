"""Linear mixed models with a random intercept for every patient: REML, and tests after Kenward and Roger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import fdtrc

from immune_landscape.permutation import ROUNDING

Floats = NDArray[np.float64]

GRID = 41
"""Shares of variance between patients at which the likelihood is looked at before the best is refined."""

SHARE_PRECISION = 1e-12
MOST_BETWEEN = 1 - 1e-9
NO_SPREAD = 1e-5
"""Spread within patients, as a part of all spread, at which there is none."""

SINGULAR = 1e-10
NEAR_TWO = 0.01
"""Distance from 2 degrees of freedom at which F has no mean, and its statistic is left unscaled."""


class NoFitError(ValueError):
    """Data from which the model cannot be estimated; the message says why."""


@dataclass(frozen=True)
class MixedFit:
    """A fitted model of n samples of k patients with p coefficients.

    Attributes
    ----------
    coefficients
        (p,) generalised least-squares estimates.
    covariance
        (p, p) their covariance as if the variances were known.
    adjusted
        (p, p) their covariance with the adjustment of Kenward and Roger for variances that were estimated.
    between, within
        Variance between patients, and of samples within them, by restricted maximum likelihood.
    weights
        (2, 2) asymptotic covariance of these two variances.
    slopes
        (2, p, p) derivatives of the inverse covariance of the coefficients by these two variances.
    """

    coefficients: Floats
    covariance: Floats
    adjusted: Floats
    between: float
    within: float
    weights: Floats
    slopes: Floats


class Combination(NamedTuple):
    """A linear combination of coefficients.

    Attributes
    ----------
    estimate, error
        Combination and its adjusted standard error.
    df
        Degrees of freedom of its t distribution.
    p
        Two-sided p value.
    """

    estimate: float
    error: float
    df: float
    p: float


class JointTest(NamedTuple):
    """A test of several combinations at once.

    Attributes
    ----------
    statistic
        F, scaled after Kenward and Roger.
    df, df_error
        Its degrees of freedom.
    p
        p value.
    """

    statistic: float
    df: int
    df_error: float
    p: float


class _Parts(NamedTuple):
    """Sums of products, from which all else follows without the (n, n) covariance of the samples."""

    sizes: Floats
    xx: Floats
    xy: Floats
    yy: float
    zx: Floats
    zy: Floats
    samples: int


def fit_mixed(values: Floats, model: Floats, patients: NDArray[np.int64]) -> MixedFit:
    """Fit coefficients and a random intercept for every patient by restricted maximum likelihood.

    Parameters
    ----------
    values
        (samples,) complete values.
    model
        (samples, p) design matrix of full column rank.
    patients
        (samples,) code of each sample's patient.

    Returns
    -------
    MixedFit
        With a variance between patients of 0 or more.

    Raises
    ------
    NoFitError
        When columns of the model are aliased, or no variance within patients is left to estimate.

    Notes
    -----
    The likelihood is profiled over the share of variance between patients, its one unknown, which is looked for on a
    grid and refined: unlike a search over two variances it ends at the same place whatever the start, and also where
    the variance between patients is 0. The adjusted covariance takes the expected information of the variances, whose
    derivatives are constant in a model that is linear in them.

    References
    ----------
    Kenward and Roger (1997), https://doi.org/10.2307/2533558; Halekoh and Hojsgaard (2014),
    https://doi.org/10.18637/jss.v059.i09
    """
    model, values = np.asarray(model, dtype=float), np.asarray(values, dtype=float)
    member = (np.asarray(patients)[:, None] == np.unique(patients)).astype(float)
    _check_estimable(values, model, member)
    parts = _Parts(
        member.sum(axis=0),
        model.T @ model,
        model.T @ values,
        float(values @ values),
        member.T @ model,
        member.T @ values,
        len(values),
    )
    share = _best_share(parts)
    ratio = share / (1 - share)
    inverse, coefficients, residual = _solve(parts, ratio)
    within = residual / (parts.samples - len(coefficients))
    return _adjusted_fit(parts, coefficients, inverse * within, ratio * within, within)


def estimate_combination(fit: MixedFit, combination: Floats) -> Combination:
    """Estimate one combination of coefficients.

    Parameters
    ----------
    fit
        As `fit_mixed` returns.
    combination
        (p,) weights of the coefficients.

    Returns
    -------
    Combination
        With adjusted error and Kenward-Roger degrees of freedom; p NaN where these are not above 0.
    """
    row = np.asarray(combination, dtype=float)
    joint = joint_test(fit, row[None, :])
    estimate = float(row @ fit.coefficients)
    return Combination(estimate, float(np.sqrt(row @ fit.adjusted @ row)), joint.df_error, joint.p)


def joint_test(fit: MixedFit, combinations: Floats) -> JointTest:
    """Test that several combinations of coefficients are all 0.

    Parameters
    ----------
    fit
        As `fit_mixed` returns.
    combinations
        (q, p) weights of the coefficients, of rank q.

    Returns
    -------
    JointTest
        p NaN where the degrees of freedom are not above 0.

    Notes
    -----
    The F statistic with the adjusted covariance is scaled, and given degrees of freedom, so that its first two moments
    are those of an F distribution (Kenward and Roger 1997, section 3; names of the quantities as there).
    """
    rows = np.asarray(combinations, dtype=float)
    q = len(rows)
    found = rows @ fit.coefficients
    wald = float(found @ np.linalg.solve(rows @ fit.adjusted @ rows.T, found)) / q
    scale, df = _scale_and_df(fit, rows)
    p = float(fdtrc(q, df, scale * wald)) if df > 0 else np.nan
    return JointTest(scale * wald, q, df, p)


def _check_estimable(values: Floats, model: Floats, member: Floats) -> None:
    if np.linalg.matrix_rank(model) < model.shape[1]:
        raise NoFitError("terms of the model cannot be told apart")
    full = np.hstack([model, member])
    if np.linalg.matrix_rank(full) >= len(values):
        raise NoFitError("too few samples to estimate the spread within patients")
    left = values - full @ np.linalg.lstsq(full, values, rcond=None)[0]
    size = max(float(values.std()) * NO_SPREAD, float(np.abs(values).max()) * ROUNDING)
    if np.sqrt(np.mean(left**2)) <= size:
        raise NoFitError("no spread within patients")


def _solve(parts: _Parts, ratio: float) -> tuple[Floats, Floats, float]:
    """Return the inverse of X'V^-1 X, the coefficients and r'V^-1 r, where V = I + ratio ZZ'."""
    shrunk = ratio / (1 + ratio * parts.sizes)
    products = parts.xx - (parts.zx.T * shrunk) @ parts.zx
    crossed = parts.xy - (parts.zx.T * shrunk) @ parts.zy
    inverse = np.asarray(np.linalg.inv(products), dtype=float)
    coefficients = inverse @ crossed
    residual = parts.yy - float(shrunk @ parts.zy**2) - float(crossed @ coefficients)
    return inverse, coefficients, residual


def _deviance(parts: _Parts, share: float) -> float:
    """Return -2 times the restricted log likelihood, less a constant, at a share of variance between patients."""
    ratio = share / (1 - share)
    inverse, coefficients, residual = _solve(parts, ratio)
    free = parts.samples - len(coefficients)
    if residual <= 0:
        return np.inf
    spread = float(np.log1p(ratio * parts.sizes).sum())
    return float(free * np.log(residual) + spread - np.linalg.slogdet(inverse)[1])


def _best_share(parts: _Parts) -> float:
    shares = np.linspace(0, MOST_BETWEEN, GRID)
    found = np.array([_deviance(parts, share) for share in shares])
    best = int(np.argmin(found))
    bounds = (shares[max(best - 1, 0)], shares[min(best + 1, GRID - 1)])

    def deviance(share: float) -> float:
        """Measure one share, as the optimiser wants it."""
        return _deviance(parts, share)

    refined = optimize.minimize_scalar(deviance, bounds=bounds, method="bounded", options={"xatol": SHARE_PRECISION})
    return float(refined.x) if refined.fun < found[0] else 0.0


def _adjusted_fit(parts: _Parts, coefficients: Floats, covariance: Floats, between: float, within: float) -> MixedFit:
    """Add the adjusted covariance and what its tests need: P and Q of Kenward and Roger (1997)."""
    each = 1 / (within + parts.sizes * between)
    projected = each[:, None] * parts.zx
    p = -np.array([projected.T @ projected, _inverse_power(parts, each, within, 2)])
    mixed = (projected.T * each) @ projected
    pure = (projected.T * (parts.sizes * each)) @ projected
    q = np.array([[pure, mixed], [mixed, _inverse_power(parts, each, within, 3)]])
    moved = covariance @ p @ covariance
    information = _traces(parts, each, within) - 2 * np.einsum("kl,ijlk->ij", covariance, q)
    information += np.einsum("ikl,jlk->ij", moved, p)
    weights = 2 * np.linalg.pinv(information, rcond=SINGULAR, hermitian=True)
    spread = np.einsum("ij,ijkl->kl", weights, q) - np.einsum("ij,ikl,lm,jmn->kn", weights, p, covariance, p)
    adjusted = covariance + 2 * covariance @ spread @ covariance
    return MixedFit(coefficients, covariance, adjusted, between, within, weights, p)


def _inverse_power(parts: _Parts, each: Floats, within: float, power: int) -> Floats:
    """Return X' S^-power X, S being the covariance of the samples, of which a patient's mean has the root 1 / each."""
    root = 1 / within**power
    shares = (each**power - root) / parts.sizes
    return np.asarray(root * parts.xx + (parts.zx.T * shares) @ parts.zx)


def _traces(parts: _Parts, each: Floats, within: float) -> Floats:
    """Return the traces of S^-1 G_i S^-1 G_j, the G being ZZ' and the identity."""
    mixed = float((parts.sizes * each**2).sum())
    rest = float((parts.sizes - 1).sum()) / within**2 + float((each**2).sum())
    return np.array([[float((parts.sizes**2 * each**2).sum()), mixed], [mixed, rest]])


def _scale_and_df(fit: MixedFit, rows: Floats) -> tuple[float, float]:
    """Return the factor of the F statistic and its error degrees of freedom; names as in Kenward and Roger (1997)."""
    q = len(rows)
    theta = rows.T @ np.linalg.solve(rows @ fit.covariance @ rows.T, rows)
    parts = theta @ fit.covariance @ fit.slopes @ fit.covariance
    traces = np.trace(parts, axis1=1, axis2=2)
    a1 = float(traces @ fit.weights @ traces)
    a2 = float(np.einsum("ij,ikl,jlk->", fit.weights, parts, parts))
    if a2 <= 0:
        return 1.0, np.inf
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    mean, first, second = 1 - a2 / q, 1 - c2 * b, 1 - c3 * b
    # For one combination mean and first are the same number, and may both be 0 but for rounding.
    quotient = 1.0 if abs(mean) < SINGULAR and abs(first) < SINGULAR else mean / first
    rho = quotient**2 * (1 + c1 * b) / second / q
    df = 4 + (q + 2) / (q * rho - 1)
    scale = 1.0 if abs(df - 2) < NEAR_TWO else df * mean / (df - 2)
    return scale, df
