"""Compare composition between groups of patients: one number per patient, then a permutation test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import (
    ContrastSettings,
    contrasts_table,
    describe_patients,
    detectable,
    estimate_features,
    find_reach,
    run_test,
    why_untestable,
)
from immune_landscape.measure_composition import is_unassigned
from immune_landscape.patient_groups import PatientGroups, compared_patients
from immune_landscape.seeds import seed_of

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
    floors = _Floors(pseudo_count, min_cells, max_sparse_share, min_reference_share)
    settings = ContrastSettings(alpha, power, max_exact, draws)
    tests: list[dict[str, Any]] = []
    differences: list[pd.DataFrame] = []
    references: list[dict[str, Any]] = []
    for contrast in contrasts:
        patients = compared_patients(design, contrast)
        panels = [
            _panel_of(str(parent), part, patients, floors)
            for parent, part in composition.groupby("parent", sort=False)
            if parent in (contrast.get("parents") or DEFAULT_PARENTS)
        ]
        rows = _test_panels(panels, patients, contrast, seed_of(seed, str(contrast["name"])), floors, settings)
        tests += rows + _rows_of_absent(rows, contrast)
        differences += [_differences_of(panel, patients, contrast) for panel in panels]
        for panel in panels:
            references += _sweep_references(panel, rows, floors.min_reference_share)
    return (
        contrasts_table(tests, "subset"),
        pd.concat(differences, ignore_index=True) if differences else pd.DataFrame(columns=DIFFERENCE_COLUMNS),
        pd.DataFrame(references, columns=REFERENCE_COLUMNS),
    )


class _Floors(NamedTuple):
    pseudo_count: float
    min_cells: int
    max_sparse_share: float
    min_reference_share: float


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


def _panel_of(parent: str, part: pd.DataFrame, patients: PatientGroups, floors: _Floors) -> _Panel:
    counts = part.pivot_table(index="sample", columns="subset", values="cells", aggfunc="sum", sort=False)
    subsets = [str(name) for name in part["subset"].drop_duplicates()]
    counts = counts.reindex(columns=subsets).astype(float)
    before = counts.reindex(patients.table["sample_reference"]).fillna(0.0).to_numpy()
    after = counts.reindex(patients.table["sample_target"]).fillna(0.0).to_numpy() if patients.paired else before
    kept = (before.sum(axis=1) > 0) & (after.sum(axis=1) > 0)
    stacked = np.vstack([before[kept], after[kept]]) if patients.paired else before[kept]
    few = (stacked < floors.min_cells).sum(axis=0)
    sparse = few > floors.max_sparse_share * len(stacked)
    before_ratio = _log_ratios(before, kept, sparse, floors.pseudo_count)
    after_ratio = _log_ratios(after, kept, sparse, floors.pseudo_count)
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
    panels: list[_Panel],
    patients: PatientGroups,
    contrast: Mapping[str, Any],
    seed: int,
    floors: _Floors,
    settings: ContrastSettings,
) -> list[dict[str, Any]]:
    """Return the rows of all parents, the maximum being taken over the declared family."""
    rows = [row for panel in panels for row in _described(panel, patients, contrast, seed, floors, settings)]
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
        row | found.get(index, {}) | {"mde_d_family": detectable(row["n_a"], row["n_b"], settings, size)}
        for index, row in enumerate(rows)
    ]


def _in_family(subset: str, contrast: Mapping[str, Any]) -> bool:
    declared = contrast.get("subsets") or []
    return subset in declared if declared else not is_unassigned(subset)


def _run_tests(
    values: np.ndarray, at: np.ndarray, patients: PatientGroups, seed: int, settings: ContrastSettings
) -> dict[int, dict[str, Any]]:
    result = run_test(values[:, at], patients, seed, settings)
    return {
        int(index): {"statistic": result.statistic[k], "p": result.p[k], "p_maxt": result.p_maxt[k]}
        for k, index in enumerate(at)
    }


def _described(
    panel: _Panel,
    patients: PatientGroups,
    contrast: Mapping[str, Any],
    seed: int,
    floors: _Floors,
    settings: ContrastSettings,
) -> list[dict[str, Any]]:
    """Return one row per subset with estimate, status and note, but no p value."""
    reach = find_reach(patients, panel.kept, seed, settings)
    reason = why_untestable(patients, panel.kept, reach, settings.alpha) or _without_ratio(panel)
    shared = describe_patients(contrast, patients, panel.kept, reach, settings) | {"parent": panel.parent}
    estimates = estimate_features(panel.compared, patients, panel.kept, seed, settings, bare=bool(reason))
    rows = []
    for at, subset in enumerate(panel.subsets):
        status = "too_sparse" if panel.sparse[at] else "not_testable" if reason else "tested"
        notes = [*_notes_of(panel, at, patients, floors), reason if status == "not_testable" else ""]
        found = {} if panel.sparse[at] else estimates[at]
        rows.append({**shared, **found, "subset": subset, "status": status, "note": _joined_notes(notes)})
    return [row | {"mde": row["mde_d"] * row.get("sd", np.nan)} for row in rows]


def _without_ratio(panel: _Panel) -> str:
    parts = int((~panel.sparse).sum()) + int(panel.sparse.any())
    return "one subset holds all cells, so there is no ratio" if parts < 2 else ""


def _notes_of(panel: _Panel, at: int, patients: PatientGroups, floors: _Floors) -> list[str]:
    notes = []
    lost = patients.table.loc[~panel.kept, "patient"].astype(str).tolist()
    if lost:
        notes.append(f"left out for want of cells of parent {panel.parent}: {', '.join(lost)}")
    if panel.sparse[at]:
        few = f"{panel.sparse_samples[at]} of {panel.samples} samples"
        notes.append(f"fewer than {floors.min_cells} cells in {few}")
    if panel.zero_samples[at]:
        notes.append(f"no cells in {panel.zero_samples[at]} of {panel.samples} samples")
    return [*notes, *patients.notes]


def _joined_notes(notes: Sequence[str]) -> str:
    return "; ".join(note for note in notes if note)


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


def _sweep_references(panel: _Panel, rows: list[dict[str, Any]], min_share: float) -> list[dict[str, Any]]:
    """Return each effect relative to the centre and to each common subset of the parent."""
    own = [row for row in rows if row["parent"] == panel.parent and np.isfinite(row.get("effect", np.nan))]
    cells = (panel.before + panel.after)[panel.kept].sum(axis=0)
    shares = dict(zip(panel.subsets, cells / max(cells.sum(), 1.0), strict=True))
    common = {row["subset"]: row["effect"] for row in own if shares[row["subset"]] > min_share}
    swept = []
    for row in own:
        # A log ratio to one subset is the difference of two centred log ratios, so effects subtract.
        relative = {name: row["effect"] - other for name, other in common.items() if name != row["subset"]}
        same = {name: bool(np.sign(effect) == np.sign(row["effect"])) for name, effect in relative.items()}
        share = float(np.mean(list(same.values()))) if same else np.nan
        for name, effect in {"clr": row["effect"], **relative}.items():
            swept.append([row["contrast"], panel.parent, row["subset"], name, effect, same.get(name, True), share])
    return [dict(zip(REFERENCE_COLUMNS, line, strict=True)) for line in swept]
