"""Linear models of many features in few patients, their variances moderated towards a common one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from immune_landscape.labelings import Floats, LabelPlan, ResidualPlan, SignPlan

SAME_DIRECTION = 1e-6
"""Share of a column's length that must be left for it to be told from the others."""

SMALLEST_VARIANCE = 1e-5
"""Share of the median variance below which a variance counts as rounding (limma's fitFDist)."""

NEWTON_STEPS = 50
BLOCK_VALUES = 1_000_000
"""Numbers held per intermediate array, so that memory does not grow with the labelings."""


class Prior(NamedTuple):
    """The variances that features have in common.

    Attributes
    ----------
    variance
        (...) typical variance, one per set of features.
    df
        (...) degrees of freedom that it is worth; infinite where features differ no more than chance lets them.
    """

    variance: Floats
    df: Floats


class Moderated(NamedTuple):
    """Moderated t tests, one per feature.

    Attributes
    ----------
    effect
        (features,) coefficient tested.
    error
        (features,) its standard error from the moderated variance.
    t, p
        (features,) moderated statistic and two-sided p.
    df
        (features,) its degrees of freedom.
    prior
        What the variances were moderated towards.
    """

    effect: Floats
    error: Floats
    t: Floats
    p: Floats
    df: Floats
    prior: Prior


@dataclass(frozen=True)
class Model:
    """One coefficient of a linear model: shared by all features, or with columns of each feature's own.

    Attributes
    ----------
    direction
        (patients, sets) unit vector of what the other columns leave of the column tested; sets is 1 or features.
    size
        (sets,) length of what they leave.
    basis
        (patients, sets, columns) orthonormal basis of the other columns, padded with zeros.
    df
        (sets,) residual degrees of freedom.
    """

    direction: Floats
    size: Floats
    basis: Floats
    df: Floats

    @property
    def shared(self) -> bool:
        """Whether all features have the same model."""
        return self.direction.shape[1] == 1

    def residuals(self, values: Floats) -> Floats:
        """Return what the other columns leave of (patients, features) values."""
        if self.shared:
            basis = self.basis[:, 0]
            return np.asarray(values - basis @ (basis.T @ values))
        return np.asarray(values - np.einsum("pfc,fc->pf", self.basis, np.einsum("pfc,pf->fc", self.basis, values)))


def linear_model(column: Floats, others: Floats) -> Model | None:
    """Prepare the test of one column of a linear model.

    Parameters
    ----------
    column
        (patients,) column whose coefficient is tested.
    others
        (patients, columns) the other columns, or (patients, features, columns) with some of each feature's own.

    Returns
    -------
    Model or None
        None where the column cannot be told from the others, or no patient is left to estimate the error from.
    """
    columns = others[:, None, :] if others.ndim == 2 else others
    basis = _orthonormal(columns)
    whole = np.repeat(np.asarray(column, dtype=float)[:, None], basis.shape[1], axis=1)
    left = whole - np.einsum("psc,sc->ps", basis, np.einsum("psc,ps->sc", basis, whole))
    size = np.sqrt((left**2).sum(axis=0))
    df = len(column) - (basis != 0).any(axis=0).sum(axis=1) - 1.0
    if (df < 1).any() or (size <= SAME_DIRECTION * np.sqrt(len(column))).any():
        return None
    return Model(left / size, size, basis, df)


def moderated_t(values: Floats, model: Model) -> Moderated:
    """Test one coefficient in every feature by a t statistic with moderated variance.

    Parameters
    ----------
    values
        (patients, features) complete numbers.
    model
        Shared by the features, or one each.

    Returns
    -------
    Moderated
        One entry per feature.

    Notes
    -----
    Variances of features are taken as draws from a scaled inverse chi-squared distribution, whose two parameters are
    fitted to them; the posterior variance replaces each feature's own. The prior has no trend with expression and is
    not made robust to outlying features.

    References
    ----------
    Smyth (2004), https://doi.org/10.2202/1544-6115.1027; Phipson et al. (2016), https://doi.org/10.1214/16-AOAS920.
    """
    from scipy.special import stdtr

    left = model.residuals(values)
    length = (model.direction * left).sum(axis=0)
    variances = np.maximum((left**2).sum(axis=0) - length**2, 0.0) / model.df
    posterior, total, prior = _moderated(variances, model.df)
    error = np.sqrt(posterior) / model.size
    t = length / np.sqrt(posterior)
    return Moderated(
        length / model.size, error, t, 2 * stdtr(total, -np.abs(t)), np.broadcast_to(total, t.shape), prior
    )


def permuted_t(
    values: Floats, model: Model, plan: LabelPlan | SignPlan | ResidualPlan
) -> Iterator[tuple[Floats, Floats]]:
    """Compute the moderated statistics of permuted cohorts, the prior fitted anew in each.

    Parameters
    ----------
    values
        (patients, features) complete numbers.
    model
        As for `moderated_t`.
    plan
        Labels within strata or signs, for a model of nothing but intercept and strata, or for none; permutations of
        residuals (Freedman and Lane 1983) for any model.

    Yields
    ------
    tuple
        (cohorts, features) moderated t, and (cohorts, 1 or features) degrees of freedom.
    """
    left = model.residuals(values)
    squares = (left**2).sum(axis=0)
    rows = max(1, BLOCK_VALUES // max(values.shape))
    for chunk in plan.chunks(rows):
        if isinstance(plan, ResidualPlan):
            length, rest = _permuted_residuals(chunk, left, model, squares)
        else:
            labels = np.asarray(chunk, dtype=float).T
            length = _unit_rows(model.residuals(labels).T) @ left
            rest = squares - length**2
        variances = np.maximum(rest, 0.0) / model.df
        posterior, total, _ = _moderated(variances, model.df)
        yield length / np.sqrt(posterior), total


def moderate(variances: Floats, df: Floats | float) -> tuple[Floats, Floats]:
    """Moderate the variances of features towards what they have in common.

    Parameters
    ----------
    variances
        (..., features) residual variances.
    df
        Their degrees of freedom, one number or one per feature.

    Returns
    -------
    posterior : numpy.ndarray, shape (..., features)
        Posterior variances.
    prior_df : numpy.ndarray, shape (...)
        Degrees of freedom of the prior; infinite where nothing but chance tells the variances apart.
    """
    prior = fit_prior(variances, df)
    return _posterior(variances, df, prior), prior.df


def fit_prior(variances: Floats, df: Floats | float) -> Prior:
    """Fit a scaled F distribution to variances by the moments of their logarithms.

    Parameters
    ----------
    variances
        (..., features) residual variances.
    df
        Their degrees of freedom, one number or one per feature.

    Returns
    -------
    Prior
        One per set of features. A single feature is its own prior, of no degrees of freedom.

    References
    ----------
    Smyth (2004), section 6.2; with infinite prior degrees of freedom the mean variance, as limma's fitFDist.
    """
    from scipy.special import polygamma, psi

    variances, half = np.asarray(variances, dtype=float), np.asarray(df, dtype=float) / 2
    count = variances.shape[-1]
    if count < 2:
        return Prior(variances.mean(axis=-1), np.zeros(variances.shape[:-1]))
    middle = np.median(variances, axis=-1, keepdims=True)
    variances = np.maximum(variances, SMALLEST_VARIANCE * np.where(middle > 0, middle, 1.0))
    logs = np.log(variances) - psi(half) + np.log(half)
    centre = logs.mean(axis=-1)
    excess = logs.var(axis=-1, ddof=1) - np.mean(polygamma(1, half))
    spread = excess > 0
    halved = trigamma_inverse(np.where(spread, excess, 1.0))
    finite = np.exp(centre + psi(halved) - np.log(halved))
    return Prior(np.where(spread, finite, variances.mean(axis=-1)), np.where(spread, 2 * halved, np.inf))


def trigamma_inverse(values: Floats) -> Floats:
    """Solve trigamma(y) = x.

    Parameters
    ----------
    values
        Positive numbers x.

    Returns
    -------
    numpy.ndarray
        y, by Newton's method on 1 / trigamma, which is nearly straight (Smyth 2004, appendix).
    """
    from scipy.special import polygamma

    x = np.asarray(values, dtype=float)
    y = 0.5 + 1 / x
    for _ in range(NEWTON_STEPS):
        now = polygamma(1, y)
        step = now * (1 - now / x) / polygamma(2, y)
        y = y + step
        if (np.abs(step) <= 1e-12 * y).all():
            break
    return np.asarray(y)


def _moderated(variances: Floats, df: Floats) -> tuple[Floats, Floats, Prior]:
    """Return posterior variances, (..., 1 or features) total degrees of freedom, and the prior."""
    prior = fit_prior(variances, df)
    count = variances.shape[-1]
    # No feature can borrow more degrees of freedom than all of them have together (limma's eBayes).
    pooled = df.sum() if len(df) == count else df[0] * count
    return _posterior(variances, df, prior), np.minimum(df + prior.df[..., None], pooled), prior


def _posterior(variances: Floats, df: Floats | float, prior: Prior) -> Floats:
    held, worth = prior.variance[..., None], prior.df[..., None]
    finite = np.where(np.isinf(worth), 0.0, worth)
    return np.asarray(np.where(np.isinf(worth), held, (df * variances + finite * held) / (df + finite)))


def _permuted_residuals(orders: NDArray[Any], left: Floats, model: Model, squares: Floats) -> tuple[Floats, Floats]:
    """Return (cohorts, features) lengths along the direction tested, and the residual sums of squares."""
    directions = np.concatenate([model.direction[:, :, None], model.basis], axis=2)
    lengths = []
    for column in range(directions.shape[2]):
        own = directions[:, :, column]
        if model.shared:
            lengths.append(own[orders, 0] @ left)
        else:
            # Residuals of patient i meet the model's row of patient orders[i].
            lengths.append(sum(own[orders[:, at]] * left[at] for at in range(len(left))))
    return lengths[0], squares - np.sum(np.square(lengths), axis=0)


def _unit_rows(rows: Floats) -> Floats:
    size = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(size > 0, size, 1.0))


def _orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of (patients, sets, columns), padded with zero columns."""
    sets = columns.transpose(1, 0, 2)
    size = np.sqrt((sets**2).sum(axis=1, keepdims=True))
    scaled = np.divide(sets, size, out=np.zeros_like(sets), where=size > 0)
    if scaled.shape[2] == 0:
        return np.asarray(columns, dtype=float)
    directions, weights, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = directions * (weights > SAME_DIRECTION)[:, None, :]
    return np.asarray(kept.transpose(1, 0, 2))
