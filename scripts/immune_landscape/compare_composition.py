"""Compare composition between groups of patients: one number per patient, then a permutation test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.estimates import (
    Interval,
    adjusted_difference,
    hodges_lehmann,
    invert_labels,
    invert_signs,
    min_attainable_p,
    minimum_detectable_effect,
)
from immune_landscape.labelings import LabelPlan, SignPlan, stratum_codes
from immune_landscape.measure_composition import UNASSIGNED
from immune_landscape.patient_groups import PatientGroups, compared_patients
from immune_landscape.permutation import flip_signs, permute_labels
from immune_landscape.seeds import seed_of

CONTRAST_COLUMNS = [
    "contrast", "estimand", "family", "parent", "subset", "group_a", "group_b", "n_a", "n_b",
    "effect", "ci_low", "ci_high", "ci_method", "hodges_lehmann", "statistic", "p", "p_maxt",
    "labelings", "exact", "min_p", "sd", "mde", "mde_d", "mde_d_family", "status", "note",
]  # fmt: skip
DIFFERENCE_COLUMNS = [
    "contrast", "parent", "subset", "patient", "group", "before", "after", "difference",
    "before_proportion", "after_proportion",
]  # fmt: skip
DEFAULT_PARENTS = ("all", "nk", "t")
"""Denominators of a contrast that declares none."""

REFERENCE_COLUMNS = ["contrast", "parent", "subset", "reference", "effect", "same_sign", "share_same_sign"]


def compare_composition(
    composition: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    seed: int,
    *,
    pseudo_count: float,
    min_cells: int,
    max_sparse_share: float,
    min_reference_share: float,
    alpha: float,
    power: float,
    max_exact: int,
    draws: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Test, per contrast and subset, whether the patient-level log-ratio difference is zero.

    Parameters
    ----------
    composition
        Table of `measure_composition`.
    design
        One row per sample, with the columns that the contrasts name as strata.
    contrasts
        Contrasts of the cohort: `name`, `estimand`, `reference`, `target`, and optionally
        `factor`, `family`, `subsets`, `parents` (denominators) and `strata`.
    seed
        Seed of the labelings drawn when there are too many to enumerate.
    pseudo_count
        Cells added to every count before taking logarithms.
    min_cells
        Cells below which a subset counts as sparse in a sample.
    max_sparse_share
        Share of a contrast's samples, above which a sparse subset is left out of testing.
    min_reference_share
        Share of the parent's cells, above which a subset serves as a reference in the sweep.
    alpha
        Two-sided significance level of intervals and detectable effects.
    power
        Probability at which an effect counts as detectable.
    max_exact
        Labelings enumerated at most; with more of them, `draws` random ones are used.
    draws
        Random labelings.

    Returns
    -------
    contrasts
        One row per contrast, parent and subset, whatever its status.
    differences
        One row per contrast, parent, subset and patient.
    references
        One row per contrast, parent, subset and reference: the effect with the centred log ratio
        (``clr``) and relative to each common subset, and the share of references that agree in
        sign with the former.

    Raises
    ------
    DesignError
        A contrast names an unknown estimand or a column that the design does not have.

    Notes
    -----
    Values are centred log ratios (natural logarithm) over the parent's subsets that pass the
    sparsity floor and one part that pools the sparse ones: singly they would fill the geometric
    mean with pseudo-counts, left out they would take their cells out of the composition. Patients who
    lack cells of the parent in a sample are left out and counted in the note. Groups are compared
    by `permute_labels`, and the change in all patients is tested by `flip_signs`. `p_maxt` holds
    the error rate over the contrast's family: the subsets it lists, or all tested subsets of all
    parents but the unassigned cells. Arms are compared on the change, without adjustment for
    baseline. `mde` is in the units of `effect` for one test, `mde_d` and `mde_d_family` in
    standard deviations (`sd`, pooled) for one test and for the family (Bonferroni).
    """
    settings = _Settings(pseudo_count, min_cells, max_sparse_share, min_reference_share, alpha, power, max_exact, draws)
    tests: list[dict[str, Any]] = []
    differences: list[pd.DataFrame] = []
    references: list[dict[str, Any]] = []
    for contrast in contrasts:
        patients = compared_patients(design, contrast)
        panels = [
            _panel_of(str(parent), part, patients, settings)
            for parent, part in composition.groupby("parent", sort=False)
            if parent in (contrast.get("parents") or DEFAULT_PARENTS)
        ]
        rows = _test_panels(panels, patients, contrast, seed_of(seed, str(contrast["name"])), settings)
        tests += rows + _rows_of_absent(rows, contrast)
        differences += [_differences_of(panel, patients, contrast) for panel in panels]
        for panel in panels:
            references += _sweep_references(panel, rows, settings)
    return (
        _typed_contrasts(tests),
        pd.concat(differences, ignore_index=True) if differences else pd.DataFrame(columns=DIFFERENCE_COLUMNS),
        pd.DataFrame(references, columns=REFERENCE_COLUMNS),
    )


class _Settings(NamedTuple):
    pseudo_count: float
    min_cells: int
    max_sparse_share: float
    min_reference_share: float
    alpha: float
    power: float
    max_exact: int
    draws: int


@dataclass(frozen=True)
class _Panel:
    """One parent's counts (patients x subsets); `kept` marks patients with cells in each sample.

    `compared`, `before_ratio` and `after_ratio` are log ratios, NaN for the patients not kept.
    """

    parent: str
    subsets: list[str]
    kept: np.ndarray
    before: np.ndarray
    after: np.ndarray
    before_ratio: np.ndarray
    after_ratio: np.ndarray
    compared: np.ndarray
    sparse_samples: np.ndarray
    zero_samples: np.ndarray
    samples: int
    sparse: np.ndarray


def _panel_of(parent: str, part: pd.DataFrame, patients: PatientGroups, settings: _Settings) -> _Panel:
    counts = part.pivot_table(index="sample", columns="subset", values="cells", aggfunc="sum", sort=False)
    subsets = [str(name) for name in part["subset"].drop_duplicates()]
    counts = counts.reindex(columns=subsets).astype(float)
    before = counts.reindex(patients.table["sample_reference"]).fillna(0.0).to_numpy()
    after = counts.reindex(patients.table["sample_target"]).fillna(0.0).to_numpy() if patients.paired else before
    kept = (before.sum(axis=1) > 0) & (after.sum(axis=1) > 0)
    stacked = np.vstack([before[kept], after[kept]]) if patients.paired else before[kept]
    few = (stacked < settings.min_cells).sum(axis=0)
    sparse = few > settings.max_sparse_share * len(stacked)
    before_ratio = _log_ratios(before, kept, sparse, settings.pseudo_count)
    after_ratio = _log_ratios(after, kept, sparse, settings.pseudo_count)
    values = after_ratio - before_ratio if patients.paired else before_ratio
    return _Panel(
        parent, subsets, kept, before, after, before_ratio, after_ratio, values,
        few, (stacked == 0).sum(axis=0), len(stacked), sparse,
    )  # fmt: skip


def _log_ratios(counts: np.ndarray, kept: np.ndarray, sparse: np.ndarray, pseudo_count: float) -> np.ndarray:
    """Return log ratios to the geometric mean of the dense subsets and of the sparse ones pooled."""
    rest = counts[:, sparse].sum(axis=1, keepdims=True)
    parts = np.hstack([counts[:, ~sparse], rest]) if sparse.any() else counts
    centre = np.log(parts + pseudo_count).mean(axis=1, keepdims=True)
    return np.where(kept[:, None], np.log(counts + pseudo_count) - centre, np.nan)


def _test_panels(
    panels: list[_Panel], patients: PatientGroups, contrast: Mapping[str, Any], seed: int, settings: _Settings
) -> list[dict[str, Any]]:
    """Return the rows of all parents, the maximum being taken over the declared family."""
    rows = [row for panel in panels for row in _described(panel, patients, contrast, seed, settings)]
    if not rows:
        return []
    values = np.hstack([panel.compared for panel in panels])
    tested = np.array([row["status"] == "tested" for row in rows])
    member = np.array([_in_family(row["subset"], contrast) for row in rows])
    size = max(1, int((tested & member).sum()))
    found: dict[int, dict[str, Any]] = {}
    for at in (np.flatnonzero(tested & member), np.flatnonzero(tested & ~member)):
        found |= _run_tests(values, at, patients, seed, settings) if len(at) else {}
    for index in map(int, np.flatnonzero(tested & ~member)):
        found[index] |= {"p_maxt": np.nan, "note": _joined_notes([rows[index]["note"], "outside the family"])}
    return [
        row | found.get(index, {}) | {"mde_d_family": _detectable(row["n_a"], row["n_b"], settings, size)}
        for index, row in enumerate(rows)
    ]


def _in_family(subset: str, contrast: Mapping[str, Any]) -> bool:
    declared = contrast.get("subsets") or []
    return subset in declared if declared else subset != UNASSIGNED


def _run_tests(
    values: np.ndarray, at: np.ndarray, patients: PatientGroups, seed: int, settings: _Settings
) -> dict[int, dict[str, Any]]:
    chosen, most, draws = values[:, at], settings.max_exact, settings.draws
    if patients.one_group:
        result = flip_signs(chosen, seed, max_exact=most, draws=draws)
    else:
        strata = patients.strata
        result = permute_labels(chosen, patients.is_a, seed, strata=strata, max_exact=most, draws=draws)
    return {
        int(index): {"statistic": result.statistic[k], "p": result.p[k], "p_maxt": result.p_maxt[k]}
        for k, index in enumerate(at)
    }


def _described(
    panel: _Panel, patients: PatientGroups, contrast: Mapping[str, Any], seed: int, settings: _Settings
) -> list[dict[str, Any]]:
    """Return one row per subset with estimate, status and note, but no p value."""
    is_a = patients.is_a[panel.kept]
    count_a, count_b = int(is_a.sum()), int((~is_a).sum())
    labelings, exact, smallest = _reach(panel, patients, seed, settings)
    reason = _untestable(panel, patients, (count_a, count_b), labelings, smallest, settings)
    shared = {
        "contrast": contrast["name"],
        "estimand": contrast["estimand"],
        "family": contrast.get("family", "primary"),
        "parent": panel.parent,
        "group_a": patients.groups[0],
        "group_b": patients.groups[1],
        "n_a": count_a,
        "n_b": count_b,
        "labelings": labelings,
        "exact": exact,
        "min_p": smallest,
        "mde_d": _detectable(count_a, count_b, settings, 1),
    }
    estimates = _estimates(panel, patients, seed, settings, bool(reason))
    rows = []
    for at, subset in enumerate(panel.subsets):
        status = "too_sparse" if panel.sparse[at] else "not_testable" if reason else "tested"
        notes = [*_notes_of(panel, at, patients, settings), reason if status == "not_testable" else ""]
        rows.append({**shared, **estimates[at], "subset": subset, "status": status, "note": _joined_notes(notes)})
    return [row | {"mde": row["mde_d"] * row.get("sd", np.nan)} for row in rows]


def _reach(panel: _Panel, patients: PatientGroups, seed: int, settings: _Settings) -> tuple[int, bool, float]:
    """Return the labelings compared, whether they are all, and the smallest p value they can give."""
    count = int(panel.kept.sum())
    plan: LabelPlan | SignPlan = SignPlan(count, seed, settings.max_exact, settings.draws)
    if not patients.one_group:
        strata = None if patients.strata is None else patients.strata[panel.kept]
        is_a = patients.is_a[panel.kept]
        plan = LabelPlan(is_a, stratum_codes(strata, count), seed, settings.max_exact, settings.draws)
    labelings = plan.count if plan.exact else plan.draws
    return labelings, plan.exact, min_attainable_p(labelings, plan.exact, plan.mirrored)


def _untestable(
    panel: _Panel,
    patients: PatientGroups,
    sizes: tuple[int, int],
    labelings: int,
    smallest: float,
    settings: _Settings,
) -> str:
    """Return why no subset of the parent can be tested; empty when they can."""
    needed = sizes[:1] if patients.one_group else sizes
    if min(needed) < 2:
        return "fewer than two patients in a group"
    if (~panel.sparse).sum() + panel.sparse.any() < 2:
        return "one subset holds all cells, so there is no ratio"
    if labelings == 1:
        return "groups and strata are confounded: no label can be exchanged"
    if smallest > settings.alpha:
        return f"{labelings} labelings: the smallest attainable p, {smallest:.3g}, exceeds {settings.alpha:g}"
    return ""


def _notes_of(panel: _Panel, at: int, patients: PatientGroups, settings: _Settings) -> list[str]:
    notes = []
    lost = patients.table.loc[~panel.kept, "patient"].astype(str).tolist()
    if lost:
        notes.append(f"left out for want of cells of parent {panel.parent}: {', '.join(lost)}")
    if panel.sparse[at]:
        few = f"{panel.sparse_samples[at]} of {panel.samples} samples"
        notes.append(f"fewer than {settings.min_cells} cells in {few}")
    if panel.zero_samples[at]:
        notes.append(f"no cells in {panel.zero_samples[at]} of {panel.samples} samples")
    return [*notes, *patients.notes]


def _joined_notes(notes: Sequence[str]) -> str:
    return "; ".join(note for note in notes if note)


def _estimates(
    panel: _Panel, patients: PatientGroups, seed: int, settings: _Settings, bare: bool
) -> list[dict[str, Any]]:
    """Return effect, interval and spread per subset; no interval when `bare`, nothing when sparse."""
    values, is_a = panel.compared[panel.kept], patients.is_a[panel.kept]
    strata = None if patients.strata is None else patients.strata[panel.kept]
    effects = _effects(values, is_a, strata, patients.one_group)
    intervals = [Interval(-np.inf, np.inf, "none: not testable")] * len(panel.subsets)
    level = 1 - settings.alpha
    if not bare and patients.one_group:
        intervals = invert_signs(values, seed, level=level)
    elif not bare:
        intervals = invert_labels(values, is_a, seed, strata=strata, level=level)
    first, second = values[is_a], values[~is_a]
    usable = (~panel.sparse) & (len(first) > 0) & (patients.one_group or len(second) > 0)
    return [
        {
            "effect": effects[at],
            "ci_low": intervals[at].low,
            "ci_high": intervals[at].high,
            "ci_method": intervals[at].method,
            "hodges_lehmann": hodges_lehmann(first[:, at], None if patients.one_group else second[:, at]),
            "sd": _pooled_sd(first[:, at], second[:, at]),
        }
        if usable[at]
        else {}
        for at in range(len(panel.subsets))
    ]


def _effects(values: np.ndarray, is_a: np.ndarray, strata: np.ndarray | None, one_group: bool) -> np.ndarray:
    """Return the mean (difference) per subset, adjusted for strata; NaN without patients in a group."""
    if one_group:
        return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
    if not is_a.any() or is_a.all():
        return np.full(values.shape[1], np.nan)
    return adjusted_difference(values, is_a, strata)


def _pooled_sd(first: np.ndarray, second: np.ndarray) -> float:
    freedom = max(len(first) - 1, 0) + max(len(second) - 1, 0)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in (first, second) if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def _detectable(count_a: int, count_b: int, settings: _Settings, tests: int) -> float:
    return minimum_detectable_effect(count_a, count_b, power=settings.power, alpha=settings.alpha, tests=tests)


def _rows_of_absent(rows: list[dict[str, Any]], contrast: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each subset that the contrast lists and no parent holds."""
    present = {row["subset"] for row in rows}
    shared = {
        "contrast": contrast["name"],
        "estimand": contrast["estimand"],
        "parent": "",
        "n_a": 0,
        "n_b": 0,
    }
    family = contrast.get("family", "primary")
    return [
        {
            **shared,
            "family": family,
            "subset": subset,
            "status": "not_testable",
            "note": "not in the composition table",
        }
        for subset in contrast.get("subsets") or []
        if subset not in present
    ]


def _typed_contrasts(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    texts = ["group_a", "group_b", "ci_method"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "")
    return table.astype({"labelings": "Int64", "exact": "boolean"})


def _differences_of(panel: _Panel, patients: PatientGroups, contrast: Mapping[str, Any]) -> pd.DataFrame:
    """Return the long table of the values of the patients kept."""
    kept, count = panel.kept, len(panel.subsets)
    blank = np.full((int(kept.sum()), count), np.nan)
    columns = {
        "before": panel.before_ratio[kept],
        "after": panel.after_ratio[kept] if patients.paired else blank,
        "difference": panel.compared[kept] if patients.paired else blank,
        "before_proportion": _proportions(panel.before[kept]),
        "after_proportion": _proportions(panel.after[kept]) if patients.paired else blank,
    }
    frame = pd.DataFrame({name: array.ravel(order="F") for name, array in columns.items()})
    frame["contrast"], frame["parent"] = contrast["name"], panel.parent
    frame["subset"] = np.repeat(np.array(panel.subsets, dtype=object), int(kept.sum()))
    frame["patient"] = patients.table.loc[kept, "patient"].astype(str).tolist() * count
    frame["group"] = patients.table.loc[kept, "group"].astype(str).tolist() * count
    return frame[DIFFERENCE_COLUMNS]


def _proportions(cells: np.ndarray) -> np.ndarray:
    return cells / cells.sum(axis=1, keepdims=True)


def _sweep_references(panel: _Panel, rows: list[dict[str, Any]], settings: _Settings) -> list[dict[str, Any]]:
    """Return each effect relative to the centre and to each common subset of the parent."""
    own = [row for row in rows if row["parent"] == panel.parent and np.isfinite(row.get("effect", np.nan))]
    cells = (panel.before + panel.after)[panel.kept].sum(axis=0)
    shares = dict(zip(panel.subsets, cells / max(cells.sum(), 1.0), strict=True))
    common = {row["subset"]: row["effect"] for row in own if shares[row["subset"]] > settings.min_reference_share}
    swept = []
    for row in own:
        # A log ratio to one subset is the difference of two centred log ratios, so effects subtract.
        relative = {name: row["effect"] - other for name, other in common.items() if name != row["subset"]}
        same = {name: bool(np.sign(effect) == np.sign(row["effect"])) for name, effect in relative.items()}
        share = float(np.mean(list(same.values()))) if same else np.nan
        for name, effect in {"clr": row["effect"], **relative}.items():
            swept.append([row["contrast"], panel.parent, row["subset"], name, effect, same.get(name, True), share])
    return [dict(zip(REFERENCE_COLUMNS, line, strict=True)) for line in swept]
