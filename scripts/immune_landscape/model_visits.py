"""All visits of a patient in one mixed model, beside the primary test of one number per patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from immune_landscape.compare_composition import log_ratios
from immune_landscape.designs import covariate_matrix, group_names, grouped_samples, target_levels
from immune_landscape.mixed_models import MixedFit, NoFitError, estimate_combination, fit_mixed, joint_test

COLUMNS = [
    "layer", "contrast", "parent", "feature", "target", "visits", "patients", "samples", "missing",
    "estimate", "ci_low", "ci_high", "df", "p", "df_interaction", "p_interaction", "effect", "same_sign", "note",
]  # fmt: skip
LEAST_VISITS = 3


def model_visits(
    layers: Mapping[str, pd.DataFrame],
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    tested: pd.DataFrame,
    alpha: float,
    pseudo_count: float,
    *,
    min_patients: int,
) -> pd.DataFrame:
    """Fit every feature at all visits, where a contrast has more than two: secondary rows beside its primary test.

    Parameters
    ----------
    layers
        Layer -> its numbers per sample: the table of `measure_composition` under ``composition``, and else
        ``sample, parent, feature, value``.
    design
        One row per sample, with the columns that the contrasts name as groups and covariates.
    contrasts
        Contrasts of the cohort.
    tested
        Table of `merge_contrasts`: ``layer, contrast, parent, feature, effect, status``; says which subsets of the
        composition are too sparse, and the effect of the primary test.
    alpha
        Level of the intervals.
    pseudo_count
        Cells added to every count before log ratios, as in `compare_composition`.
    min_patients
        Patients with a value that a visit needs in each group; a visit with fewer is left out and named.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: one row per layer, contrast, parent, feature and target of the contrast; a contrast without such a
        model has one row, which says why. ``estimate`` is the change from the reference to the target, first minus
        second group (without groups: the change), in the units of the layer (centred log ratio for composition).
        ``p`` is that of the target alone, ``p_interaction`` that of all visits together; neither is corrected.
        ``missing`` counts pairs of patient and visit without a value. ``effect`` is that of the primary test, and
        ``same_sign`` whether the estimate agrees with it.

    Notes
    -----
    Values are explained by visit, group, group by visit, the covariates of the contrast, and a random intercept of the
    patient (restricted maximum likelihood); tests and intervals are those of Kenward and Roger. Patients who lack a
    visit stay in with the others, which supposes that visits are missing for reasons that what was measured tells.
    Covariates are those of patients and shift all their visits alike. Strata and the adjustment for the baseline, which
    belong to the primary test, do not enter.
    """
    rows: list[dict[str, Any]] = []
    for contrast in contrasts:
        panel, reason = _panel_of(design, contrast, min_patients)
        own = tested[tested["contrast"] == contrast["name"]]
        made = _rows_of_contrast(panel, layers, own, alpha, pseudo_count) if panel else [{"note": reason}]
        rows += [{"contrast": contrast["name"], **row} for row in made]
    table = pd.DataFrame(rows, columns=COLUMNS)
    texts = ["layer", "parent", "feature", "target"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "")
    counts = dict.fromkeys(["visits", "patients", "samples", "missing"], "Int64")
    return table.astype(counts | {"same_sign": "boolean"})


def _rows_of_contrast(
    panel: _Panel, layers: Mapping[str, pd.DataFrame], tested: pd.DataFrame, alpha: float, pseudo_count: float
) -> Iterator[dict[str, Any]]:
    """Yield the rows of all layers of one contrast."""
    for layer, table in layers.items():
        primary = tested[tested["layer"] == layer]
        effects = dict(zip(zip(primary["parent"], primary["feature"], strict=True), primary["effect"], strict=True))
        values = _composition(table, primary, pseudo_count) if layer == "composition" else _features(table)
        for key, numbers in values:
            keys = {"layer": layer, "parent": key[0], "feature": key[1]}
            for row in _rows_of(panel, numbers, float(effects.get(key, np.nan)), alpha):
                yield keys | row


@dataclass(frozen=True)
class _Panel:
    """Samples of a contrast: `sample, patient, group, level` with the covariates, and what is asked of them."""

    samples: pd.DataFrame
    covariates: list[str]
    groups: list[str]
    reference: str
    targets: list[str]
    min_patients: int
    notes: list[str]

    def levels_of(self, samples: pd.DataFrame) -> list[str]:
        """Return the levels that enough patients of every group have, the reference first."""
        pairs = samples.drop_duplicates(["patient", "level"])
        held = pd.crosstab(pairs["level"], pairs["group"])
        enough = held.reindex(columns=self.groups, fill_value=0).min(axis=1) >= self.min_patients
        kept = [str(level) for level in dict.fromkeys(self.samples["level"]) if enough.get(level, False)]
        return sorted(kept, key=lambda level: level != self.reference)


def _panel_of(design: pd.DataFrame, contrast: Mapping[str, Any], min_patients: int) -> tuple[_Panel | None, str]:
    """Gather the samples of a contrast, or say why it has no model of all visits."""
    if contrast["estimand"] == "baseline":
        return None, "compares one visit"
    samples = grouped_samples(design, contrast)
    groups = group_names(contrast, samples["group"])
    samples, covariates, notes = _with_covariates(samples[samples["group"].isin(groups)], design, contrast)
    targets = target_levels(contrast)
    panel = _Panel(samples, covariates, groups, str(contrast["reference"]), targets, min_patients, notes)
    levels = panel.levels_of(samples)
    if len(levels) < LEAST_VISITS:
        who = "all patients" if contrast["estimand"] == "change" else "each group"
        return (
            None,
            f"{len(levels)} visits with at least {min_patients} patients in {who}: the primary test says it all",
        )
    return panel, ""


def _with_covariates(
    samples: pd.DataFrame, design: pd.DataFrame, contrast: Mapping[str, Any]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Add one column per coded covariate, leaving out patients who lack one."""
    names = list(contrast.get("covariates") or [])
    if not names or samples.empty:
        return samples, [], []
    patients = list(dict.fromkeys(samples["patient"]))
    matrix, complete = covariate_matrix(design, patients, names)
    columns = [f"covariate {at}" for at in range(matrix.shape[1])]
    coded = pd.DataFrame(matrix, index=patients, columns=columns)[complete]
    lost = [str(patient) for patient, known in zip(patients, complete, strict=True) if not known]
    notes = [f"left out for want of a covariate: {', '.join(lost)}"] if lost else []
    return samples.join(coded, on="patient", how="inner"), columns, notes


Numbers = Iterator[tuple[tuple[str, str], pd.Series]]


def _features(table: pd.DataFrame) -> Numbers:
    """Yield the values by sample of each parent and feature."""
    for (parent, feature), part in table.groupby(["parent", "feature"], sort=False):
        yield (str(parent), str(feature)), part.drop_duplicates("sample").set_index("sample")["value"].astype(float)


def _composition(table: pd.DataFrame, primary: pd.DataFrame, pseudo_count: float) -> Numbers:
    """Yield the centred log ratios of each subset that is not too sparse, as the primary test has them."""
    for parent, rows in primary.groupby("parent", sort=False):
        part = table[table["parent"] == parent]
        if part.empty:
            continue
        counts = part.pivot_table(index="sample", columns="subset", values="cells", aggfunc="sum", sort=False)
        sparse = set(rows.loc[rows["status"] == "too_sparse", "feature"])
        pooled = np.array([subset in sparse for subset in counts.columns], dtype=bool)
        ratios = log_ratios(counts.astype(float), pooled, pseudo_count)
        for subset in ratios.columns[~pooled]:
            yield (str(parent), str(subset)), ratios[subset]


def _rows_of(panel: _Panel, values: pd.Series, effect: float, alpha: float) -> Iterator[dict[str, Any]]:
    """Yield one row per target of a feature."""
    known = panel.samples.assign(value=values.reindex(panel.samples["sample"]).to_numpy(dtype=float))
    known = known[known["value"].notna()]
    levels = panel.levels_of(known)
    used = known[known["level"].isin(levels)]
    fit, fault = _fit(panel, used, levels)
    counts = _counts(used, levels)
    for target in panel.targets:
        told = fault or ("" if target in levels else f"too few patients at {target}")
        found: dict[str, Any] = {}
        if fit is not None and not told:
            found = _estimated(fit, len(levels) - 1, levels.index(target) - 1, effect, alpha)
        notes = [*panel.notes, _left_out(panel, levels), told]
        yield {"target": target, **counts, "effect": effect, **found, "note": "; ".join(filter(None, notes))}


def _counts(used: pd.DataFrame, levels: list[str]) -> dict[str, int]:
    patients, pairs = used["patient"].nunique(), len(used.drop_duplicates(["patient", "level"]))
    missing = patients * len(levels) - pairs
    return {"visits": len(levels), "patients": patients, "samples": len(used), "missing": missing}


def _left_out(panel: _Panel, levels: list[str]) -> str:
    """Name the visits that are in the sheets but not in the model."""
    gone = [str(level) for level in dict.fromkeys(panel.samples["level"]) if level not in levels]
    return f"visits left out for want of {panel.min_patients} patients a group: {', '.join(gone)}" if gone else ""


def _fit(panel: _Panel, used: pd.DataFrame, levels: list[str]) -> tuple[MixedFit | None, str]:
    """Fit one feature; the last columns of its model are those that are tested, one per visit after the reference."""
    if panel.reference not in levels:
        return None, f"too few patients at {panel.reference}"
    if len(levels) < LEAST_VISITS:
        return None, f"{len(levels)} visits with a value: the primary test says it all"
    visits = np.column_stack([used["level"] == level for level in levels[1:]]).astype(float)
    others = [np.ones((len(used), 1)), used[panel.covariates].to_numpy(dtype=float)]
    if len(panel.groups) == 2:
        first = used["group"].eq(panel.groups[0]).to_numpy(dtype=float)[:, None]
        others, visits = [*others, first, visits], visits * first
    model = np.hstack([*others, visits])
    try:
        return fit_mixed(used["value"].to_numpy(dtype=float), model, pd.factorize(used["patient"])[0]), ""
    except NoFitError as error:
        return None, str(error)


def _estimated(fit: MixedFit, tested: int, place: int, effect: float, alpha: float) -> dict[str, Any]:
    """Return the estimate of one visit with its interval, and the test of all visits, among the last columns."""
    rows = np.eye(len(fit.coefficients))[-tested:]
    single, joint = estimate_combination(fit, rows[place]), joint_test(fit, rows)
    reach = -float(stdtrit(single.df, alpha / 2)) * single.error
    same = pd.NA if np.isnan(effect) else bool(np.sign(single.estimate) == np.sign(effect))
    bounds = {"ci_low": single.estimate - reach, "ci_high": single.estimate + reach}
    tests = {"df": single.df, "p": single.p, "df_interaction": joint.df_error, "p_interaction": joint.p}
    return {"estimate": single.estimate, **bounds, **tests, "same_sign": same}
