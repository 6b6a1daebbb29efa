"""Compare expression between groups of patients, gene by gene in each subset, and against permuted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from immune_landscape.ambient import AMBIENT_COLUMNS, Cleaned, ambient_effects, without_ambient
from immune_landscape.contrast_tests import ContrastSettings, find_reach, why_untestable
from immune_landscape.expression_null import (
    NullGenes,
    empirical_fdr,
    group_model,
    inflation_of,
    null_genes,
    null_plan,
)
from immune_landscape.expression_panels import Panel, panel_of
from immune_landscape.moderated_t import Model, Moderated, moderated_t, permuted_t
from immune_landscape.multiple_tests import false_discovery_rates
from immune_landscape.pseudobulk import Pseudobulk
from immune_landscape.seeds import seed_of
from immune_landscape.set_effects import (
    SET_COLUMNS,
    GeneSets,
    chosen_sets,
    pool_rates,
    set_effects,
    sets_of_subset,
    watch_means,
    without_ambient_sets,
)
from immune_landscape.shrinkage import shrink_effects
from immune_landscape.signature_registry import Signature

GENE_COLUMNS = [
    "contrast", "subset", "gene", "n_a", "n_b", "mean_log_cpm", "effect", "shrunken", "ci_low", "ci_high",
    "t", "p", "fdr", "fdr_pooled", "empirical_fdr", "loo_low", "loo_high", "loo_flips", "loo_patient",
    "calibrated", "status", "note",
]  # fmt: skip
SUBSET_COLUMNS = [
    "contrast", "estimand", "family", "subset", "group_a", "group_b", "n_a", "n_b", "genes", "found", "found_carried",
    "fdr", "inflation", "null_inflation", "null_inflation_low", "null_inflation_high", "inflation_share",
    "null_runs", "null_median_found", "null_mean_found", "null_high_found", "null_share_any", "list_fdr",
    "prior_df", "calibrated", "status", "note",
]  # fmt: skip
DIFFERENCE_COLUMNS = [
    "contrast", "subset", "gene", "patient", "group", "before", "after", "difference", "relative",
]  # fmt: skip
COUNTED = ("found", "found_carried", "null_runs")
SPREAD = (0.025, 0.975)
"""Quantiles of permuted cohorts that are reported."""

CARRIED = 0.5
"""Share of the effect that must be left without a patient, or that patient carries it."""


def compare_expression(
    pseudobulk: Pseudobulk,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    testing: ContrastSettings,
    seed: int,
    *,
    min_count: float,
    min_share: float,
    normalisation: str,
    prior_count: float,
    min_first: int,
    min_second: int,
    fdr: float,
    max_null_share: float,
    top: int,
    gene_sets: Sequence[str],
    min_set_genes: int,
    ambient_controls: Mapping[str, Sequence[str]],
) -> dict[str, pd.DataFrame]:
    """Test, per contrast, subset and gene, whether the patient-level difference in expression is zero.

    Parameters
    ----------
    pseudobulk
        Raw counts summed per sample and subset.
    design
        One row per sample, with the columns that the contrasts name as groups, strata and covariates.
    contrasts
        Contrasts of the cohort.
    testing
        Level, and number of permuted cohorts; without `intervals` there are no permuted cohorts, refits without one
        patient and shrunken effects.
    seed
        Seed of the permuted cohorts.
    min_count
        Counts that a gene needs in a sample of median depth.
    min_share
        Share of samples in which it needs them.
    normalisation
        ``tmm``, trimmed mean of M values, or ``library``, counts alone.
    prior_count
        Counts added to every gene before the logarithm.
    min_first, min_second
        Patients that the first and second group need; for the change in all patients the latter.
    fdr
        False discovery rate at which a gene counts as found.
    max_null_share
        Median number of genes found in permuted cohorts, as a share of those found, above which a subset is marked as
        not calibrated.
    top
        Genes per subset whose patients are listed.
    gene_sets
        Signatures of markers.yaml that are tested as sets, in the subsets of their branch.
    min_set_genes
        Genes of a set that must be expressed in the subset.
    ambient_controls
        Sets of genes that no kind of cell expresses together, from which ambient RNA is bounded.

    Returns
    -------
    dict
        ``genes``: one row per contrast, subset and gene expressed, the most convincing effects first (`GENE_COLUMNS`);
        ``subsets``: one row per contrast and subset (`SUBSET_COLUMNS`); ``differences``: values of each patient for
        the first genes (`DIFFERENCE_COLUMNS`), `relative` being what is compared less its mean in the second group;
        ``gene_sets``: one row per contrast, subset tested and set (`set_effects.SET_COLUMNS`); ``ambient``: one row
        per gene reported, that is found or among the first (`ambient.AMBIENT_COLUMNS`).

    Raises
    ------
    DesignError
        A contrast names an unknown estimand or a column that the design does not have, or a gene set is unknown.

    Notes
    -----
    A patient's value is the log2 of counts per million of the sum over the subset's cells, or its change where the
    contrast is of changes; the effect is the mean of the first group less that of the second (or the mean of all), in
    a linear model with strata, covariates and, where the contrast adjusts for it, the value at the reference. It is
    tested by a moderated t [1]_ (`moderated_t.moderated_t`: no trend of the variance with expression, no weights);
    intervals are at the level of `testing`. `fdr` is Benjamini and Hochberg's rate within contrast and subset,
    `fdr_pooled` over all subsets of the contrast, `shrunken` the effect by `shrinkage.shrink_effects`.

    The same is done with `testing.null_draws` permuted cohorts (labels within strata, signs for one group, residuals
    where adjusted). `empirical_fdr` compares each gene's statistic with theirs; `list_fdr` is the mean number
    found in them over the number found; `inflation` is that of the statistics, `null_inflation` its median in permuted
    cohorts and `inflation_share` the share of them with as much. Genes vary together, so permuted cohorts differ
    widely: `null_share_any` is the share in which any gene is found.

    `loo_low` to `loo_high` is the range of the effect when one patient is left out, `loo_flips` the number of patients
    without whom p is on the other side of the level, `loo_patient` the one without whom the effect differs most. A
    gene found that without one patient has half the effect or less, or no p below the level, is noted as carried
    by that patient.

    Sets of genes are tested against the same permuted cohorts (`set_effects.set_effects`), and the effects of the
    genes reported, and the means of the sets, are given once more without the counts that may be ambient
    (`ambient.ambient_counts`).

    In a subset with too few patients effects are given, and no p.

    References
    ----------
    .. [1] Smyth (2004), https://doi.org/10.2202/1544-6115.1027
    """
    logs: dict[str, Any] = {"normalisation": normalisation, "prior_count": prior_count}
    expressed: dict[str, Any] = {"min_count": min_count, "min_share": min_share}
    signatures = chosen_sets(gene_sets)
    limits = _Limits(
        expressed, logs, min_first, min_second, fdr, max_null_share, top, signatures, min_set_genes, ambient_controls
    )
    parts: list[list[_Compared]] = []
    for contrast in contrasts:
        derived = seed_of(seed, str(contrast["name"]))
        found = []
        for subset in pseudobulk.subsets:
            panel = panel_of(pseudobulk, subset, design, contrast, **expressed, **logs)
            found.append(_compare_subset(panel, pseudobulk.whole, contrast, testing, derived, limits))
        parts.append(found)
    return _tables(parts)


def _tables(parts: list[list[_Compared]]) -> dict[str, pd.DataFrame]:
    """Stack what was found in the subsets of each contrast."""
    each = [subset for contrast in parts for subset in contrast]
    genes = _stacked([_pooled([subset.genes for subset in contrast]) for contrast in parts], GENE_COLUMNS)
    sets = [pool_rates([subset.sets for subset in contrast]) for contrast in parts]
    return {
        "genes": genes.astype({"loo_flips": "Int64", "calibrated": "boolean"}),
        "subsets": _subsets_table([subset.row for subset in each]),
        "differences": _stacked([subset.differences for subset in each], DIFFERENCE_COLUMNS),
        "gene_sets": _stacked(sets, SET_COLUMNS),
        "ambient": _stacked([subset.ambient for subset in each], AMBIENT_COLUMNS),
    }


class _Limits(NamedTuple):
    """Settings: `expressed` and `logs` are those of `expression_panels.panel_of`."""

    expressed: dict[str, Any]
    logs: dict[str, Any]
    min_first: int
    min_second: int
    fdr: float
    max_null_share: float
    top: int
    signatures: Sequence[Signature]
    min_set_genes: int
    ambient_controls: Mapping[str, Sequence[str]]


class _Compared(NamedTuple):
    genes: pd.DataFrame
    row: dict[str, Any]
    differences: pd.DataFrame
    sets: pd.DataFrame
    ambient: pd.DataFrame


def _compare_subset(
    panel: Panel,
    whole: pd.DataFrame,
    contrast: Mapping[str, Any],
    testing: ContrastSettings,
    seed: int,
    limits: _Limits,
) -> _Compared:
    reason = _why_not(panel, testing, seed, limits)
    row = _described(panel, contrast, limits, reason)
    shared = {name: row[name] for name in ("contrast", "subset", "n_a", "n_b")}
    if not panel.has_effects:
        return _Compared(pd.DataFrame(), row, pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    columns: dict[str, Any] = {"gene": panel.genes.to_numpy(dtype=object), "mean_log_cpm": panel.level}
    columns |= {"note": "", "loo_patient": ""}
    tested, sets = (_plain_effects(panel), pd.DataFrame()) if reason else _tested(panel, row, testing, seed, limits)
    genes = pd.DataFrame(columns | tested).assign(**shared, status=row["status"]).reindex(columns=GENE_COLUMNS)
    rank = genes["shrunken"].fillna(genes["effect"]).abs()
    order = pd.DataFrame({"rank": -rank, "p": genes["p"]}).sort_values(["rank", "p"], kind="stable").index
    genes = genes.loc[order]
    differences = _differences(panel, contrast, order[: limits.top])
    if reason or not testing.intervals:
        return _Compared(genes, row, differences, sets, pd.DataFrame())
    cleaned = without_ambient(panel, whole, controls=limits.ambient_controls, **limits.logs)
    sets = without_ambient_sets(sets, _sets_of(panel, limits), cleaned.t).assign(**shared)
    keys = {name: row[name] for name in ("contrast", "subset")}
    return _Compared(genes, row, differences, sets, _ambient(panel, genes, cleaned, limits).assign(**keys))


def _ambient(panel: Panel, genes: pd.DataFrame, cleaned: Cleaned, limits: _Limits) -> pd.DataFrame:
    """Return what is left of the genes found, and of the first ones, without counts that may be ambient."""
    reported = genes[(np.arange(len(genes)) < limits.top) | (genes["fdr"] <= limits.fdr)]
    return ambient_effects(panel.genes, reported.set_index("gene")["effect"], cleaned)


def _sets_of(panel: Panel, limits: _Limits) -> GeneSets:
    return sets_of_subset(panel.subset, limits.signatures, panel.genes, min_genes=limits.min_set_genes)


def _why_not(panel: Panel, testing: ContrastSettings, seed: int, limits: _Limits) -> str:
    """Return why the genes of a subset are not tested; empty when they are."""
    first, second = panel.sizes
    groups = panel.groups
    if groups.one_group and first < limits.min_second:
        return f"{first} patients with enough cells, {limits.min_second} needed"
    if not groups.one_group and (first < limits.min_first or second < limits.min_second):
        return f"{first} / {second} patients with enough cells, {limits.min_first} / {limits.min_second} needed"
    if not len(panel.genes):
        return "no gene with {min_count:g} counts in {min_share:.0%} of the samples".format(**limits.expressed)
    everyone = np.ones(len(groups.table), dtype=bool)
    reason = why_untestable(groups, everyone, find_reach(groups, everyone, seed, testing), testing.alpha)
    if reason:
        return reason
    return "" if group_model(groups, len(panel.genes)) else "the groups cannot be told from what is adjusted for"


def _described(panel: Panel, contrast: Mapping[str, Any], limits: _Limits, reason: str) -> dict[str, Any]:
    first, second = panel.sizes
    notes = [*panel.notes, *panel.groups.notes, reason]
    return {
        "contrast": contrast["name"],
        "estimand": contrast["estimand"],
        "family": contrast.get("family", "primary"),
        "subset": panel.subset,
        "group_a": panel.groups.groups[0],
        "group_b": panel.groups.groups[1],
        "n_a": first,
        "n_b": second,
        "genes": len(panel.genes),
        "fdr": limits.fdr,
        "status": "not_testable" if reason else "tested",
        "note": "; ".join(note for note in notes if note),
    }


def _plain_effects(panel: Panel) -> dict[str, np.ndarray]:
    is_a, values = panel.groups.is_a, panel.numbers.compared
    effects = values[is_a].mean(axis=0)
    return {"effect": effects if panel.groups.one_group else effects - values[~is_a].mean(axis=0)}


def _tested(
    panel: Panel, row: dict[str, Any], testing: ContrastSettings, seed: int, limits: _Limits
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the columns of the genes and the table of sets, and add to the row of the subset what sums them up."""
    groups, values = panel.groups, panel.numbers.compared
    model = group_model(groups, values.shape[1])
    assert model is not None, "subsets without a model are not tested"
    result = moderated_t(values, model)
    reach = stdtrit(result.df, 1 - testing.alpha / 2) * result.error
    rates = false_discovery_rates(result.p)
    found = rates <= limits.fdr
    row |= {
        "found": int(found.sum()),
        "inflation": float(inflation_of(np.abs(result.t)[None], result.df[None])[0]),
        "prior_df": float(result.prior.df),
    }
    columns = {"effect": result.effect, "t": result.t, "p": result.p, "fdr": rates}
    columns |= {"ci_low": result.effect - reach, "ci_high": result.effect + reach}
    if not testing.intervals:
        return columns, pd.DataFrame()
    null, sets = _permuted(panel, model, result, testing.null_draws, seed, limits)
    row |= _calibration(null, row["found"], row["inflation"], limits)
    columns |= {"shrunken": shrink_effects(result.effect, result.p), "calibrated": row["calibrated"]}
    columns |= {"empirical_fdr": empirical_fdr(np.abs(result.t), null.exceeding)}
    columns |= _influence(panel, result, found, testing.alpha)
    return columns | {"note": _noted(columns.pop("carried"), row)}, sets


def _permuted(
    panel: Panel, model: Model, result: Moderated, draws: int, seed: int, limits: _Limits
) -> tuple[NullGenes, pd.DataFrame]:
    """Repeat the test in permuted cohorts; return their genes, and the sets tested against them."""
    values, means = panel.numbers.compared, list[np.ndarray]()
    sets = _sets_of(panel, limits)
    plan = null_plan(panel.groups, values.shape[1], seed, draws)
    cohorts = watch_means(permuted_t(values, model, plan), sets, means)
    null = null_genes(cohorts, np.abs(result.t), limits.fdr)
    return null, set_effects(result.t, sets, np.concatenate(means), exact=plan.exact)


def _calibration(null: NullGenes, found: int, inflation: float, limits: _Limits) -> dict[str, Any]:
    middle, mean = float(np.median(null.found)), float(null.found.mean())
    return {
        "null_runs": len(null.found),
        "null_median_found": middle,
        "null_mean_found": mean,
        "null_share_any": float((null.found > 0).mean()),
        "null_high_found": float(np.quantile(null.found, SPREAD[1])),
        "null_inflation": float(np.median(null.inflation)),
        "null_inflation_low": float(np.quantile(null.inflation, SPREAD[0])),
        "null_inflation_high": float(np.quantile(null.inflation, SPREAD[1])),
        "inflation_share": float((null.inflation >= inflation).mean()),
        "list_fdr": min(mean / found, 1.0) if found else np.nan,
        "calibrated": middle <= limits.max_null_share * found,
    }


def _noted(carried: np.ndarray, row: dict[str, Any]) -> np.ndarray:
    row["found_carried"] = int((carried != "").sum())
    return np.where(carried == "", "", "carried by " + carried).astype(object)


def _influence(panel: Panel, result: Moderated, found: np.ndarray, alpha: float) -> dict[str, np.ndarray]:
    """Fit again without each patient; tell the range of effects, and who carries a gene that is found."""
    names = panel.groups.table["patient"].astype(str).to_numpy(dtype=object)
    effects, p = _refits(panel)
    fitted = ~np.isnan(effects).all(axis=1)
    if not fitted.any():
        return {"carried": np.full(len(found), "", dtype=object)}
    moved = np.abs(effects - result.effect)
    # Without a fit there is no p below the level: a finding that needs the patient is carried.
    held = p < alpha
    lost = found & ~(held & (effects / result.effect >= CARRIED))
    first_lost = names[np.argmax(lost, axis=0)]
    return {
        "loo_low": np.nanmin(effects, axis=0),
        "loo_high": np.nanmax(effects, axis=0),
        "loo_flips": (held != (result.p < alpha)).sum(axis=0),
        "loo_patient": names[np.nanargmax(moved, axis=0)],
        "carried": np.where(lost.any(axis=0), first_lost, ""),
    }


def _refits(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Return (patients, genes) effects and p without each patient, NaN where the others cannot be compared."""
    values = panel.numbers.compared
    effects, p = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for at in range(len(values)):
        others = np.arange(len(values)) != at
        groups = panel.groups.take(others)
        sizes = [groups.is_a.sum()] if groups.one_group else [groups.is_a.sum(), (~groups.is_a).sum()]
        model = group_model(groups, values.shape[1]) if min(sizes) >= 2 else None
        if model is not None:
            refit = moderated_t(values[others], model)
            effects[at], p[at] = refit.effect, refit.p
    return effects, p


def _differences(panel: Panel, contrast: Mapping[str, Any], order: pd.Index) -> pd.DataFrame:
    """Return the values of each patient for some genes; `relative` to the mean of the second group, if there is one."""
    at, groups = order.to_numpy(), panel.groups
    compared = panel.numbers.compared[:, at]
    relative = compared if groups.one_group else compared - compared[~groups.is_a].mean(axis=0)
    patients = len(groups.table)
    blank = np.full((patients, len(at)), np.nan)
    columns = {
        "gene": np.repeat(panel.genes.to_numpy(dtype=object)[at], patients),
        "patient": np.tile(groups.table["patient"].astype(str).to_numpy(dtype=object), len(at)),
        "group": np.tile(groups.table["group"].astype(str).to_numpy(dtype=object), len(at)),
        "before": panel.numbers.before[:, at].ravel(order="F"),
        "after": panel.numbers.after[:, at].ravel(order="F"),
        "difference": (compared if groups.paired else blank).ravel(order="F"),
        "relative": relative.ravel(order="F"),
    }
    return pd.DataFrame(columns).assign(contrast=contrast["name"], subset=panel.subset)[DIFFERENCE_COLUMNS]


def _pooled(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack the genes of a contrast's subsets and add the rate over all of them."""
    genes = _stacked(parts, GENE_COLUMNS)
    p = genes["p"].to_numpy(dtype=float)
    tested = ~np.isnan(p)
    pooled = np.full(len(p), np.nan)
    pooled[tested] = false_discovery_rates(p[tested]) if tested.any() else []
    return genes.assign(fdr_pooled=pooled)


def _stacked(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _subsets_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=SUBSET_COLUMNS)
    return table.astype({"calibrated": "boolean"} | dict.fromkeys(COUNTED, "Int64"))
