"""Established models of composition beside the permutation test: do they give the effect the same sign?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_values import measured_design
from immune_landscape.moderated_t import linear_model, moderated_t
from immune_landscape.patient_groups import PatientGroups, compared_patients

COLUMNS = [
    "contrast", "parent", "subset", "model", "scale", "n_a", "n_b",
    "effect", "ci_low", "ci_high", "p", "same_sign", "role", "note",
]  # fmt: skip
PRIMARY = "clr_permutation"
SCALES = {
    PRIMARY: "clr",
    "ancova": "clr",
    "change_score": "clr",
    "binomial": "log odds",
    "propeller_logit": "logit",
    "propeller_asin": "asin",
}
"""Model -> scale of its effect, in the order of the rows of a subset."""

NO_ERROR = "too few patients, or groups told by covariates or strata: no error can be estimated"

SEPARATED = 15.0
"""Log odds beyond which a coefficient of the binomial model has run off to infinity."""


def model_composition(
    composition: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    tested: pd.DataFrame,
    differences: pd.DataFrame,
    alpha: float,
    *,
    pseudo_count: float,
) -> pd.DataFrame:
    """Estimate each effect of composition again with other models, as rows of concordance.

    Parameters
    ----------
    composition
        Table of `measure_composition`.
    design
        One row per sample, with the columns that the contrasts name as groups, strata and covariates.
    contrasts
        Contrasts of the cohort.
    tested
        Table ``contrasts`` of `compare_composition`: the models are fitted where its status is ``tested``.
    differences
        Table ``differences`` of `compare_composition`: centred log ratios of the patients compared.
    alpha
        Level of the intervals.
    pseudo_count
        Cells added to every count before the logit of proportions.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: one row per subset tested and model, effects first minus second group; `role` is ``primary`` for
        the permutation test, whose row is copied, and ``concordance`` for the others. Without an estimate `same_sign`
        is missing and `note` says why.

    Notes
    -----
    The p values of concordance rows are not corrected and make no finding: what counts is whether signs agree.

    ``binomial``
        Quasi-binomial regression of the subset's cells among the parent's: an intercept for every patient, time and
        group by time (two groups), Pearson dispersion, t interval. Of patients with none of the cells, or with
        no other cells, at every visit nothing can be learnt; they are left out. At one visit: group alone.
    ``propeller_asin``, ``propeller_logit``
        Proportions transformed (arcsine of the square root; logit), differences within patients, moderated t over the
        parent's tested subsets (Phipson 2022). With complete pairs the difference is the fit with
        patients as blocks. The prior variance is not made robust to outlying subsets, which propeller does.
    ``ancova``
        Centred log ratio at follow-up on that at the reference and the group (two visits, two groups).
    ``change_score``
        The plain change, in place of ``ancova`` for contrasts whose primary test adjusts for the reference.

    Covariates and strata of the contrast enter all models. A beta-binomial model is left out: by maximum likelihood
    with an effect for every patient its dispersion is estimated as if those effects were known, which with two
    samples per patient halves it, and no estimate free of that bias (restricted or with random patients) exists in
    the libraries used.

    References
    ----------
    Phipson 2022, doi:10.1093/bioinformatics/btac582; McCullagh and Nelder 1989, Generalized Linear Models, section 4.5
    (quasi-binomial).
    """
    rows: list[dict[str, Any]] = []
    for contrast in contrasts:
        groups = compared_patients(measured_design(design, composition["sample"], contrast), contrast)
        own = tested[(tested["contrast"] == contrast["name"]) & (tested["status"] == "tested")]
        for parent, primary in own.groupby("parent", sort=False):
            part = composition[composition["parent"] == parent]
            ratios = differences[(differences["contrast"] == contrast["name"]) & (differences["parent"] == parent)]
            panel = _panel_of(part, groups, [str(name) for name in primary["subset"]], ratios)
            rows += _rows_of(panel, primary, alpha, pseudo_count)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"same_sign": "boolean"})


class Estimate(NamedTuple):
    """One coefficient.

    Attributes
    ----------
    effect, low, high, p
        Estimate, t interval and two-sided p; NaN where there is none.
    n_a, n_b
        Patients in the fit.
    note
        Why there is no estimate, or who was left out.
    """

    effect: float
    low: float
    high: float
    p: float
    n_a: int
    n_b: int
    note: str = ""


@dataclass(frozen=True)
class _Panel:
    """Patients of a contrast with cells of one parent: counts by sample, and what differences are adjusted for."""

    groups: PatientGroups
    subsets: list[str]
    counts: pd.DataFrame
    totals: pd.Series
    ratios: pd.DataFrame

    @property
    def sizes(self) -> tuple[int, int]:
        """Return the patients of each group."""
        is_a = self.groups.is_a
        return int(is_a.sum()), int((~is_a).sum())


def _panel_of(part: pd.DataFrame, groups: PatientGroups, subsets: list[str], ratios: pd.DataFrame) -> _Panel:
    counts = part.pivot_table(index="sample", columns="subset", values="cells", aggfunc="sum", sort=False)
    counts = counts.astype(float)
    ratios = ratios.assign(patient=ratios["patient"].astype(str))
    kept = groups.table["patient"].astype(str).isin(ratios["patient"]).to_numpy()
    return _Panel(groups.take(kept), subsets, counts, counts.sum(axis=1), ratios)


def patient_columns(groups: PatientGroups) -> tuple[np.ndarray, np.ndarray]:
    """Return the linear model of one number per patient.

    Parameters
    ----------
    groups
        Patients of a contrast.

    Returns
    -------
    tested : numpy.ndarray, shape (patients,)
        Column whose coefficient is the effect: membership of the first group, or the intercept for one group.
    others : numpy.ndarray, shape (patients, columns)
        Intercept, strata and covariates; nothing for one group.
    """
    ones = np.ones((len(groups.table), 1))
    if groups.one_group:
        return ones[:, 0], ones[:, :0]
    blocks = [ones]
    if groups.strata is not None:
        blocks.append(pd.get_dummies(pd.Series(groups.strata), drop_first=True).to_numpy(dtype=float))
    if groups.covariates is not None:
        blocks.append(groups.covariates)
    return groups.is_a.astype(float), np.hstack(blocks)


def _rows_of(panel: _Panel, primary: pd.DataFrame, alpha: float, pseudo_count: float) -> Iterator[dict[str, Any]]:
    """Yield the rows of one parent, models together for each subset."""
    found = _estimates_of(panel, alpha, pseudo_count)
    for at, row in enumerate(primary.to_dict("records")):
        keys = {name: row[name] for name in ("contrast", "parent", "subset")}
        own = {name: row[name] for name in ("n_a", "n_b", "effect", "ci_low", "ci_high", "p")}
        told = {"same_sign": True, "role": "primary", "note": ""}
        yield {**keys, "model": PRIMARY, "scale": SCALES[PRIMARY], **own, **told}
        for model, estimates in found.items():
            yield {**keys, "model": model, "scale": SCALES[model], **_columns_of(estimates[at], row["effect"])}


def _columns_of(estimate: Estimate, primary: float) -> dict[str, Any]:
    same = pd.NA if np.isnan(estimate.effect) else bool(np.sign(estimate.effect) == np.sign(primary))
    bounds = {"ci_low": estimate.low, "ci_high": estimate.high}
    kept = {name: value for name, value in estimate._asdict().items() if name not in ("low", "high")}
    return {**kept, **bounds, "same_sign": same, "role": "concordance"}


def _estimates_of(panel: _Panel, alpha: float, pseudo_count: float) -> dict[str, list[Estimate]]:
    """Fit the models that answer the question of a panel; each gives one estimate per subset."""
    found: dict[str, list[Estimate]] = {}
    if panel.groups.paired and not panel.groups.one_group:
        adjust = not panel.groups.adjust_baseline
        found["ancova" if adjust else "change_score"] = _fit_ratios(panel, alpha, adjust=adjust)
    found["binomial"] = [_binomial_of(panel, subset, alpha) for subset in panel.subsets]
    found["propeller_logit"] = _propeller(panel, _logits(panel.counts, pseudo_count), alpha)
    found["propeller_asin"] = _propeller(panel, panel.counts.div(panel.totals, axis=0).apply(_arcsines), alpha)
    return found


def _arcsines(shares: pd.Series) -> pd.Series:
    return np.arcsin(np.sqrt(shares))


def _logits(counts: pd.DataFrame, pseudo_count: float) -> pd.DataFrame:
    cells = counts + pseudo_count
    return cells.apply(np.log) - cells.rsub(cells.sum(axis=1), axis=0).apply(np.log)


def _propeller(panel: _Panel, transformed: pd.DataFrame, alpha: float) -> list[Estimate]:
    """Fit transformed proportions of all subsets, their variances moderated together."""
    known = transformed[panel.subsets].where(panel.totals > 0)
    return _fit_columns(panel, panel.groups.patient_values(known).compared, *patient_columns(panel.groups), alpha)


def _fit_ratios(panel: _Panel, alpha: float, *, adjust: bool) -> list[Estimate]:
    """Fit the centred log ratios of each subset by itself.

    Adjusted for the value at the reference, the change has the coefficient that the follow-up has.
    """
    tested, others = patient_columns(panel.groups)
    order = panel.groups.table["patient"].astype(str)
    estimates = []
    for subset in panel.subsets:
        own = panel.ratios[panel.ratios["subset"] == subset].set_index("patient").reindex(order)
        beside = np.column_stack([others, own["before"].to_numpy(dtype=float)]) if adjust else others
        estimates += _fit_columns(panel, own[["difference"]].to_numpy(dtype=float), tested, beside, alpha)
    return estimates


def _fit_columns(
    panel: _Panel, values: np.ndarray, tested: np.ndarray, others: np.ndarray, alpha: float
) -> list[Estimate]:
    """Fit one coefficient in (patients, features) values, whose variances are moderated if there are several."""
    model = linear_model(tested, others)
    if model is None:
        return [_missing(panel, NO_ERROR)] * values.shape[1]
    fit = moderated_t(values, model)
    return [_with_interval(*each, alpha, panel) for each in zip(fit.effect, fit.error, fit.df, strict=True)]


def _with_interval(effect: float, error: float, freedom: float, alpha: float, panel: _Panel) -> Estimate:
    from scipy import stats

    reach = float(stats.t.isf(alpha / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(effect) / error, freedom)) if error > 0 else np.nan
    return Estimate(float(effect), float(effect) - reach, float(effect) + reach, p, *panel.sizes)


def _missing(panel: _Panel, note: str) -> Estimate:
    return Estimate(np.nan, np.nan, np.nan, np.nan, *panel.sizes, note)


def _binomial_of(panel: _Panel, subset: str, alpha: float) -> Estimate:
    """Fit one subset, leaving out patients in whom it is absent, or alone, at every visit."""
    used = _samples_of(panel.groups)
    used["cells"] = panel.counts[subset].reindex(used["sample"]).to_numpy()
    used["rest"] = panel.totals.reindex(used["sample"]).to_numpy() - used["cells"]
    by_patient = used.groupby("patient")[["cells", "rest"]].sum()
    telling = by_patient.index[(by_patient > 0).all(axis=1)] if panel.groups.paired else by_patient.index
    kept = panel.groups.table["patient"].isin(telling).to_numpy()
    inner = _Panel(panel.groups.take(kept), [subset], panel.counts, panel.totals, panel.ratios)
    lost = panel.groups.table.loc[~kept, "patient"].astype(str).tolist()
    note = f"left out, absent or alone at every visit: {', '.join(lost)}" if lost else ""
    used = used[used["patient"].isin(telling)]
    matrix = _sample_matrix(inner.groups, used)
    counts = used[["cells", "rest"]].to_numpy(dtype=float)
    found = _fit_binomial(counts, matrix, alpha, inner) if len(used) else _missing(inner, NO_ERROR)
    return found._replace(note="; ".join(text for text in (note, found.note) if text))


def _samples_of(groups: PatientGroups) -> pd.DataFrame:
    """Return the samples used with their place in time, centred within each patient.

    The weights that sum up a patient's samples are those of least squares on time: time is their rescaled self, so
    that the coefficient of time means the same as the summary, be it a last value, a mean or a slope.
    """
    used = groups.weights[(groups.weights["weight"] != 0) & groups.weights["patient"].isin(groups.table["patient"])]
    squares = (used["weight"] ** 2).groupby(used["patient"]).transform("sum")
    return used[["patient", "sample"]].assign(time=used["weight"] / squares).reset_index(drop=True)


def _sample_matrix(groups: PatientGroups, used: pd.DataFrame) -> np.ndarray:
    """Return (samples, columns) patients and whatever differs between them by time; at one visit the latter alone."""
    at = pd.Index(groups.table["patient"]).get_indexer(used["patient"])
    tested, others = patient_columns(groups)
    between = np.column_stack([others, tested])[at]
    if not groups.paired:
        return between
    return np.hstack([np.eye(len(groups.table))[at], between * used["time"].to_numpy()[:, None]])


def _fit_binomial(counts: np.ndarray, matrix: np.ndarray, alpha: float, panel: _Panel) -> Estimate:
    """Fit (samples, 2) cells and others; the last column of the matrix is tested."""
    import statsmodels.api as sm

    rank = int(np.linalg.matrix_rank(matrix))
    if rank == len(matrix) or rank == int(np.linalg.matrix_rank(matrix[:, :-1])):
        return _missing(panel, NO_ERROR)
    totals = counts.sum(axis=1)
    # As weights, not as pairs of counts: the dispersion of pairs leaves out that they are counts (statsmodels 0.15).
    model = sm.GLM(counts[:, 0] / totals, matrix, family=sm.families.Binomial(), var_weights=totals)
    with warnings.catch_warnings():
        # Counts that are zero on one side send a coefficient to infinity, which is told by its size below.
        warnings.simplefilter("ignore")
        fitted = model.fit(scale="X2")
    effect, error = float(fitted.params[-1]), float(fitted.bse[-1])
    if not fitted.converged or not np.isfinite(error) or abs(effect) > SEPARATED:
        return _missing(panel, "no finite estimate: cells on one side of the comparison only")
    return _with_interval(effect, error, len(matrix) - rank, alpha, panel)
