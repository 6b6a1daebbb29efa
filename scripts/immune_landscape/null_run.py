"""What the thresholds of a contrast find in cohorts without a difference: its own, with the labels permuted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from immune_landscape.contrast_tests import ContrastSettings, adjusting_columns
from immune_landscape.freedman_lane import residual_plan, residual_statistic
from immune_landscape.labelings import Floats, LabelPlan, SignPlan, stratum_codes
from immune_landscape.patient_groups import PatientGroups
from immune_landscape.permutation import (
    ROUNDING,
    TIE_TOLERANCE,
    Statistic,
    as_matrix,
    label_statistic,
    patient_patterns,
    sign_statistic,
    step_down,
)


class NullRun(NamedTuple):
    """Findings in permuted cohorts.

    Attributes
    ----------
    tests
        Features tested in each cohort, each in the patients who have it.
    runs
        Permuted cohorts, the fewest of any feature.
    mean_found
        Features with p below the level, mean over cohorts.
    patients
        Patients who have all the features, in whom `mean_corrected` and `share_any` are found.
    mean_corrected
        Features with max-T p below the level, mean over cohorts.
    share_any
        Share of cohorts in which any feature has p below the level.
    """

    tests: int
    runs: int
    mean_found: float
    patients: int
    mean_corrected: float
    share_any: float


class _Cohorts(NamedTuple):
    """Absolute statistics of permuted cohorts, (cohorts, features), and what their maximum compares."""

    table: Floats
    scale: Floats
    patients: int

    def found(self, alpha: float) -> np.ndarray:
        """Return (cohorts,) numbers of features with p below the level."""
        return np.asarray((_ranks(self.table, self.scale) < alpha - TIE_TOLERANCE).sum(axis=1))


def null_findings(values: Floats, groups: PatientGroups, seed: int, settings: ContrastSettings) -> NullRun:
    """Count the findings of the same thresholds when labels are permuted.

    Parameters
    ----------
    values
        (patients, features) as compared; NaN where a patient has none.
    groups
        The patients; with `for_features` of the same features where the baseline is adjusted for.
    seed
        Seed of the cohorts drawn.
    settings
        Level and number of permuted cohorts, `null_draws`; all of them when there are no more.

    Returns
    -------
    NullRun
        Without runs, and with NaN, where nothing can be tested; with NaN for what needs the features together where
        the patients common to them cannot be tested.

    Notes
    -----
    A permuted cohort has the labels permuted within strata, the signs reversed for one group, or the residuals
    permuted where the contrast is adjusted. Each feature is tested in its own patients, as in the contrast. The
    findings of the maximum, and whether there is any, need features that keep one another: there every cohort is one
    reassignment of the patients complete in all features that have any test of their own, as the maximum has it.

    The p value of a permuted cohort is its rank among the permuted cohorts. This is the same test: permuting the
    labels of a cohort whose labels were permuted gives the same set of labelings, so all of them share the one
    distribution of which the cohorts drawn are a sample, and (b + 1) / (m + 1) with the m other cohorts is the p of a
    random sample. The same holds for signs. For residuals it holds but for the part of a permuted residual that the
    covariates explain, which a refit would take out first. It follows that `mean_found` is near the level times
    `tests`, or below it where few labelings leave gaps; the features' correlations decide `share_any` and
    `mean_corrected`.
    """
    values = as_matrix(values)
    own = {tuple(at): _cohorts(values, at, groups, seed, settings) for _, at in patient_patterns(values)}
    tested = {at: cohorts for at, cohorts in own.items() if cohorts is not None}
    if not tested:
        return NullRun(0, 0, np.nan, 0, np.nan, np.nan)
    features = np.sort(np.concatenate([np.array(at) for at in tested]))
    found = float(sum(cohorts.found(settings.alpha).mean() for cohorts in tested.values()))
    runs = min(len(cohorts.table) for cohorts in tested.values())
    together = next(iter(tested.values())) if len(tested) == 1 else _cohorts(values, features, groups, seed, settings)
    if together is None:
        return NullRun(len(features), runs, found, 0, np.nan, np.nan)
    corrected = float(_corrected(together.table, together.scale, settings.alpha).mean())
    share = float((together.found(settings.alpha) > 0).mean())
    return NullRun(len(features), runs, found, together.patients, corrected, share)


def _cohorts(
    values: Floats, features: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings
) -> _Cohorts | None:
    """Return the statistics of features in permuted cohorts of the patients who have them, none without a test."""
    statistic = _statistic(values, features, groups, seed, settings)
    if statistic is None:
        return None
    patients = int((~np.isnan(values[:, features]).any(axis=1)).sum())
    return _Cohorts(np.vstack(list(statistic.chunks())), statistic.scale, patients)


def _statistic(
    values: Floats, features: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings
) -> Statistic | None:
    """Return the statistic of features over the permuted cohorts of their common patients, none without a test."""
    rows = np.asarray(~np.isnan(values[:, features]).any(axis=1))
    runs = settings.null_draws
    if groups.one_group:
        signs = SignPlan(int(rows.sum()), seed, runs, runs)
        return sign_statistic(values[np.ix_(rows, features)], signs) if rows.sum() >= 2 else None
    kept = groups.take(rows)
    if min(kept.is_a.sum(), (~kept.is_a).sum()) < 2:
        return None
    if groups.adjusted:
        adjusters = adjusting_columns(kept, values.shape[1])
        own = adjusters[:, features] if adjusters.ndim == 3 else adjusters
        residuals = residual_plan(kept.is_a, own, seed, strata=kept.strata, max_exact=runs, draws=runs)
        return residual_statistic(values[np.ix_(rows, features)], own, residuals)
    labels = LabelPlan(kept.is_a, stratum_codes(kept.strata, int(rows.sum())), seed, runs, runs)
    return label_statistic(values[np.ix_(rows, features)], labels)


def _ranks(table: Floats, scale: Floats) -> Floats:
    """Return (cohorts, features) p values: the share of cohorts that are as extreme."""
    bar = table * (1 - TIE_TOLERANCE) - ROUNDING * scale
    below = [np.searchsorted(np.sort(column), least) for column, least in zip(table.T, bar.T, strict=True)]
    return np.asarray((len(table) - np.column_stack(below)) / len(table))


def _corrected(table: Floats, scale: Floats, alpha: float) -> np.ndarray:
    """Return (cohorts,) numbers of features whose step-down max-T p is below the level."""
    found = np.zeros(len(table), dtype=np.int64)
    # The largest statistic has the smallest p, and the first step compares it with all the largest.
    first = _ranks(table.max(axis=1, keepdims=True), scale[:1])[:, 0]
    for cohort in np.flatnonzero(first < alpha - TIE_TOLERANCE):
        stepped = step_down([table], table[cohort], scale)[1]
        found[cohort] = (stepped / len(table) < alpha - TIE_TOLERANCE).sum()
    return found
