"""Cox regression between two groups of patients: partial, and Firth's penalised, where events are few."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy import optimize
from scipy.special import chdtrc, chdtri, ndtr, ndtri

from immune_landscape.risk_sets import Floats, RiskSets, risk_sets
from immune_landscape.survival import kaplan_meier

REACH = 20.0
"""Log hazard ratio per standard deviation of a covariate beyond which a bound counts as infinite."""

MOST_STEPS = 50

ROUNDING = 1e-13
"""Information of an event on a standardised covariate below which it is rounding."""

COX, FIRTH = "Cox partial likelihood, Efron ties", "Firth penalised Cox, profile interval"


class Likelihood(NamedTuple):
    """Partial likelihood at some coefficients.

    Attributes
    ----------
    log
        Its logarithm.
    residuals
        (events, parameters) covariates of each event less their mean among those at risk (Schoenfeld).
    variances
        (events, parameters, parameters) their covariance among those at risk.
    """

    log: float
    residuals: Floats
    variances: Floats

    @property
    def information(self) -> Floats:
        """(parameters, parameters) observed information."""
        return self.variances.sum(axis=0)


class Fit(NamedTuple):
    """Coefficients of a Cox model.

    Attributes
    ----------
    coefficients, errors, low, high, p
        (parameters,) log hazard ratios with standard errors, interval and two-sided p.
    log
        Logarithm of the likelihood that was maximised.
    method
        `COX` or `FIRTH`.
    """

    coefficients: Floats
    errors: Floats
    low: Floats
    high: Floats
    p: Floats
    log: float
    method: str


def partial_likelihood(beta: Floats, sets: RiskSets) -> Likelihood:
    """Return the partial likelihood with its derivatives, ties by Efron's approximation.

    Parameters
    ----------
    beta
        (parameters,) coefficients of the scaled covariates.
    sets
        As from `risk_sets`.

    Returns
    -------
    Likelihood
        Its logarithm, Schoenfeld residuals and covariances.

    References
    ----------
    Efron (1977), https://doi.org/10.1080/01621459.1977.10480613
    """
    x = sets.covariates
    score = x @ np.atleast_1d(beta)
    shift = float(score.max(initial=0.0))
    risk = np.exp(score - shift)
    moments = [risk, risk[:, None] * x, risk[:, None, None] * x[:, :, None] * x[:, None, :]]
    none, mean, square = (_at_risk(moment, sets) for moment in moments)
    mean = mean / none[:, None]
    square = square / none[:, None, None]
    log = float((score[sets.events] - shift - np.log(none)).sum())
    return Likelihood(log, x[sets.events] - mean, square - mean[:, :, None] * mean[:, None, :])


def _at_risk(moment: Floats, sets: RiskSets) -> Floats:
    """Sum a moment over those at risk at each event, less Efron's share of the tied events."""
    running = np.concatenate([np.zeros_like(moment[:1]), np.cumsum(moment, axis=0)])
    tied = np.zeros((int(sets.tie.max(initial=-1)) + 1, *moment.shape[1:]))
    np.add.at(tied, sets.tie, moment[sets.events])
    share = sets.fraction.reshape(-1, *([1] * (moment.ndim - 1)))
    total = running[sets.last + 1] - running[sets.first] - share * tied[sets.tie]
    if sets.entries is None:
        return total
    order, first, end = sets.entries
    later = np.concatenate([np.zeros_like(moment[:1]), np.cumsum(moment[order], axis=0)])
    return total - (later[end] - later[first])


def fit_cox(
    times: Floats,
    events: Floats,
    covariates: Floats,
    level: float,
    strata: Floats | None = None,
    starts: Floats | None = None,
) -> Fit:
    """Fit a Cox model by partial likelihood, with Wald intervals.

    Parameters
    ----------
    times, events, covariates, strata, starts
        As for `risk_sets`.
    level
        Confidence level.

    Returns
    -------
    Fit
        Per unit of each covariate. Where the likelihood has no maximum, coefficients are large and errors larger.

    Notes
    -----
    statsmodels takes a patient to be at risk at the time of entry already, which counts patients whose covariates
    change at an event twice; so rows with starts are fitted here.
    """
    from statsmodels.duration.hazard_regression import PHReg
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    table = np.asarray(covariates, dtype=float).reshape(len(times), -1)
    if starts is not None:
        return _newton(risk_sets(times, events, table, strata, starts), level)
    codes = None if strata is None else np.unique(strata, return_inverse=True)[1]
    model = PHReg(np.asarray(times, dtype=float), table, np.asarray(events, dtype=int), strata=codes, ties="efron")
    with warnings.catch_warnings():
        # Where there is no maximum, large errors say so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = model.fit(disp=0)
    return _wald(np.asarray(found.params), np.asarray(found.bse), float(found.llf), level)


def _wald(beta: Floats, error: Floats, log: float, level: float) -> Fit:
    reach = ndtri(0.5 + level / 2) * error
    return Fit(beta, error, beta - reach, beta + reach, 2 * ndtr(-np.abs(beta / error)), log, COX)


def _newton(sets: RiskSets, level: float) -> Fit:
    """Maximise the partial likelihood by Newton's steps, halved where they would overshoot."""
    beta = np.zeros(sets.covariates.shape[1])
    found = partial_likelihood(beta, sets)
    if not np.linalg.eigvalsh(found.information)[-1] > ROUNDING * len(sets.events):
        return _wald(beta, np.full(len(beta), math.inf), found.log, level)
    for _ in range(MOST_STEPS):
        step = np.linalg.lstsq(found.information, found.residuals.sum(axis=0), rcond=None)[0]
        ahead = partial_likelihood(beta + step, sets)
        while not ahead.log >= found.log - 1e-9 and np.abs(step).max() > 1e-10:
            step = step / 2
            ahead = partial_likelihood(beta + step, sets)
        beta, found = beta + step, ahead
        if np.abs(step).max() < 1e-9 or np.abs(beta).max() > REACH:
            break
    spread = np.diag(np.linalg.pinv(found.information))
    error = np.where(spread > 0, np.sqrt(np.maximum(spread, 0)), math.inf)
    return _wald(beta / sets.scale, error / sets.scale, found.log, level)


def fit_firth(
    times: Floats,
    events: Floats,
    covariates: Floats,
    level: float,
    strata: Floats | None = None,
    starts: Floats | None = None,
) -> Fit:
    """Fit a Cox model by Firth's penalised partial likelihood, with profile intervals.

    Parameters
    ----------
    times, events, covariates, strata, starts
        As for `risk_sets`. At least one event with a choice of covariates among those at risk.
    level
        Confidence level.

    Returns
    -------
    Fit
        Per unit of each covariate; finite coefficients even where all events fall into one group. ``p`` is that of the
        penalised likelihood ratio; all NaN when no event tells the covariates apart.

    References
    ----------
    Firth (1993), https://doi.org/10.1093/biomet/80.1.27; Heinze and Schemper (2001),
    https://doi.org/10.1111/j.0006-341X.2001.00114.x
    """
    sets = risk_sets(times, events, covariates, strata, starts)
    count = sets.covariates.shape[1]
    free = list(range(count))
    known = partial_likelihood(np.zeros(count), sets).information
    if not len(sets.events) or np.linalg.eigvalsh(known)[0] < ROUNDING * len(sets.events):
        nothing = np.full(count, math.nan)
        return Fit(nothing, nothing, nothing, nothing, nothing, math.nan, FIRTH)
    beta, best = _maximise(sets, free, np.zeros(count))
    errors = np.sqrt(np.diag(np.linalg.inv(partial_likelihood(beta, sets).information)))
    bounds = np.array([[_profile_bound(sets, at, beta, best, level, side) for side in (-1, 1)] for at in free])
    nulls = [_profile(sets, at, 0.0, beta) for at in free]
    p = chdtrc(1, np.maximum(2 * (best - np.array(nulls)), 0))
    low, high = bounds.T / sets.scale
    return Fit(beta / sets.scale, errors / sets.scale, low, high, p, best, FIRTH)


def _penalised(beta: Floats, sets: RiskSets) -> float:
    """Return the log likelihood with half the logarithm of the determinant of the information added."""
    found = partial_likelihood(beta, sets)
    sign, logarithm = np.linalg.slogdet(found.information)
    return found.log + 0.5 * float(logarithm) if sign > 0 else -math.inf


def _maximise(sets: RiskSets, free: list[int], start: Floats) -> tuple[Floats, float]:
    """Maximise the penalised likelihood over some coefficients, the others held."""

    def loss(values: Floats) -> float:
        """Return what is minimised, large where the information is singular."""
        beta = start.copy()
        beta[free] = values
        value = _penalised(beta, sets)
        return -value if math.isfinite(value) else 1e12

    found = optimize.minimize(loss, start[free], method="BFGS", jac="3-point", options={"gtol": 1e-7})
    beta = start.copy()
    beta[free] = found.x
    return beta, -float(found.fun)


def _profile(sets: RiskSets, at: int, value: float, beta: Floats) -> float:
    """Return the penalised likelihood at a value of one coefficient, maximised over the others."""
    held = beta.copy()
    held[at] = value
    free = [other for other in range(len(beta)) if other != at]
    return _maximise(sets, free, held)[1] if free else _penalised(held, sets)


def _profile_bound(sets: RiskSets, at: int, beta: Floats, best: float, level: float, side: int) -> float:
    """Return where twice the fall of the profile reaches the quantile of chi-square."""
    fall = float(chdtri(1, 1 - level)) / 2

    def excess(value: float) -> float:
        """Return how far the profile lies above the bound."""
        return _profile(sets, at, value, beta) - best + fall

    step, end = 0.5, float(beta[at])
    while abs(end - beta[at]) < REACH:
        inner, end = end, end + side * step
        if excess(end) < 0:
            return float(optimize.brentq(excess, min(inner, end), max(inner, end), xtol=1e-7))
        step *= 1.6
    return side * math.inf


def fit_hazards(
    times: Floats,
    events: Floats,
    covariates: Floats,
    level: float,
    firth_below: float,
    strata: Floats | None = None,
    starts: Floats | None = None,
) -> Fit:
    """Fit a Cox model, by Firth's penalised likelihood where events are few or fall into one group.

    Parameters
    ----------
    times, events, covariates, strata, starts
        As for `risk_sets`.
    level
        Confidence level.
    firth_below
        Events per coefficient below which the likelihood is penalised.

    Returns
    -------
    Fit
        ``method`` tells which.
    """
    table = np.asarray(covariates, dtype=float).reshape(len(times), -1)
    happened = np.asarray(events, dtype=bool)
    two_valued = [column for column in table.T if len(np.unique(column)) == 2]
    one_sided = any(len(np.unique(column[happened])) < 2 for column in two_valued)
    few = happened.sum() < firth_below * table.shape[1]
    if few or one_sided:
        return fit_firth(times, events, table, level, strata, starts)
    try:
        return fit_cox(times, events, table, level, strata, starts)
    except np.linalg.LinAlgError:
        # No event has a choice of covariates among those at risk, of which Firth's likelihood makes NaN.
        return fit_firth(times, events, table, level, strata, starts)


def proportionality(
    times: Floats, events: Floats, covariate: Floats, strata: Floats | None = None, starts: Floats | None = None
) -> float:
    """Test whether the hazard ratio of a covariate stays the same over time.

    Parameters
    ----------
    times, events, strata, starts
        As for `risk_sets`.
    covariate
        (patients,) one covariate.

    Returns
    -------
    float
        Two-sided p of the score test against a change with the Kaplan-Meier transform of time, as cox.zph of the R
        package survival makes it; NaN with fewer than two events or without a maximum of the likelihood.

    References
    ----------
    Grambsch and Therneau (1994), https://doi.org/10.1093/biomet/81.3.515
    """
    sets = risk_sets(times, events, covariate, strata, starts)
    if len(sets.events) < 2:
        return math.nan
    fit = _newton(sets, 0.95)
    if not np.isfinite(fit.errors).all() or fit.errors[0] * sets.scale[0] > REACH:
        return math.nan
    found = partial_likelihood(fit.coefficients * sets.scale, sets)
    curve = kaplan_meier(times, events, starts)
    moments = _event_times(times, strata, sets)
    before = np.r_[1.0, curve.survival][np.searchsorted(curve.times, moments, side="left")]
    weight = (1 - before) - (1 - before).mean()
    residuals, variances = found.residuals[:, 0], found.variances[:, 0, 0]
    information = (weight**2 * variances).sum() - (weight * variances).sum() ** 2 / variances.sum()
    if not information > 0:
        return math.nan
    return float(chdtrc(1, (weight * residuals).sum() ** 2 / information))


def _event_times(times: Floats, strata: Floats | None, sets: RiskSets) -> Floats:
    """Return the time of each event in the order of the sets."""
    times = np.asarray(times, dtype=float)
    codes = np.zeros(len(times), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    return times[np.lexsort((-times, codes))][sets.events]


def interaction_p(
    times: Floats, events: Floats, is_a: Floats, levels: Floats, firth_below: float, strata: Floats | None = None
) -> float:
    """Test whether the hazard ratio of a group differs between the levels of a factor.

    Parameters
    ----------
    times, events
        As for `risk_sets`.
    is_a
        (patients,) true for the group.
    levels
        (patients,) level of the factor; each has a baseline hazard of its own, within the strata.
    firth_below
        As for `fit_hazards`.
    strata
        (patients,) stratum of each patient.

    Returns
    -------
    float
        p of the likelihood ratio; NaN when a level lacks a group or has no event.
    """
    names, codes = np.unique(levels, return_inverse=True)
    group, happened = np.asarray(is_a, dtype=float), np.asarray(events, dtype=bool)
    complete = all(len(np.unique(group[codes == at])) == 2 and happened[codes == at].any() for at in range(len(names)))
    if len(names) < 2 or not complete:
        return math.nan
    within = (
        codes
        if strata is None
        else np.unique(np.stack([codes, np.unique(strata, return_inverse=True)[1]]), axis=1, return_inverse=True)[
            1
        ].ravel()
    )
    terms = np.stack([group, *(group * (codes == at) for at in range(1, len(names)))], axis=1)
    full = fit_hazards(times, events, terms, 0.95, firth_below, within)
    if full.method == COX:
        null = fit_cox(times, events, group, 0.95, within).log
    else:
        sets = risk_sets(times, events, terms, within)
        null = _maximise(sets, [0], np.zeros(terms.shape[1]))[1]
    return float(chdtrc(len(names) - 1, max(2 * (full.log - null), 0)))
