"""Compare composition between groups of patients: one number per patient, then a permutation test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_values import measured_design
from immune_landscape.contrast_engine import Feature, compare_features, family_of, influence_table, null_table
from immune_landscape.contrast_tests import ContrastSettings, contrasts_table
from immune_landscape.estimates import adjusted_difference
from immune_landscape.measure_composition import is_unassigned
from immune_landscape.patient_groups import PatientGroups, PatientValues, compared_patients
from immune_landscape.seeds import seed_of

DIFFERENCE_COLUMNS = [
    "contrast", "parent", "subset", "patient", "group", "before", "after", "difference",
    "before_proportion", "after_proportion",
]  # fmt: skip
WHOLE = "all"
"""Parent that holds every cell."""

DEFAULT_PARENTS = (WHOLE, "nk", "t")
"""Denominators of a contrast that declares none."""

REFERENCE_COLUMNS = ["contrast", "parent", "subset", "reference", "effect", "same_sign", "steady", "share_same_sign"]


def compare_composition(
    composition: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    testing: ContrastSettings,
    seed: int,
    absolute: pd.Series | None = None,
    *,
    pseudo_count: float,
    min_cells: int,
    max_sparse_share: float,
    min_reference_share: float,
) -> dict[str, pd.DataFrame]:
    """Test, per contrast and subset, whether the patient-level log-ratio difference is zero.

    Parameters
    ----------
    composition
        Table of `measure_composition`.
    design
        One row per sample, with the columns that the contrasts name as strata.
    contrasts
        Contrasts of the cohort: `name`, `estimand`, `reference`, `target`, and optionally
        `factor`, `family`, `subsets`, `parents` (denominators), `strata` and `covariates`.
    testing
        Level, power and number of labelings.
    seed
        Seed of the labelings drawn when there are too many to enumerate.
    absolute
        Sample -> all cells counted here per volume of blood; none where no such measure is given.
    pseudo_count
        Cells added to every count before taking logarithms.
    min_cells
        Cells below which a subset counts as sparse in a sample.
    max_sparse_share
        Share of a contrast's samples, above which a sparse subset is left out of testing.
    min_reference_share
        Share of the parent's cells, above which a subset serves as a reference in the sweep.

    Returns
    -------
    dict
        ``contrasts``: one row per contrast, parent and subset, whatever its status. ``differences``: one row per
        contrast, parent, subset and patient. ``references``: one row per contrast, parent, subset and reference, with
        the effect as centred log ratio (``clr``), relative to each common subset and, where known, in ``absolute``
        counts, and the share of references that agree in sign with the first. ``influence``: effect and p without
        each patient. ``null``: findings of the same thresholds under permuted labels.

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
    by `permute_labels`, with covariates or baseline by `freedman_lane`, and the change in all patients is
    tested by `flip_signs`. `p_maxt` holds the error rate over the contrast's family: the subsets it lists,
    or all tested subsets of all parents but the unassigned cells. A subset that the contrast lists is expected
    to change, so that it is no `steady` reference: it is listed among the references, but `share_same_sign`
    counts the others where there are any. `mde` is in the units of `effect` for
    one test, `mde_d` and `mde_d_family` in standard deviations (`sd`, pooled) for one test and for the
    family (Bonferroni).
    """
    floors = _Floors(pseudo_count, min_cells, max_sparse_share, min_reference_share)
    volumes = _per_cell(composition, absolute)
    tests: list[dict[str, Any]] = []
    influence: list[dict[str, Any]] = []
    null: list[dict[str, Any]] = []
    differences: list[pd.DataFrame] = []
    references: list[dict[str, Any]] = []
    for contrast in contrasts:
        groups = compared_patients(measured_design(design, composition["sample"], contrast), contrast)
        panels = [
            _panel_of(str(parent), part, groups, floors)
            for parent, part in composition.groupby("parent", sort=False)
            if parent in (contrast.get("parents") or DEFAULT_PARENTS)
        ]
        if not panels:
            continue
        features = [feature for panel in panels for feature in _features_of(panel, contrast, floors)]
        derived = seed_of(seed, str(contrast["name"]))
        placed = {**contrast, "family": family_of(contrast, "composition")}
        compared = compare_features(features, _joined_values(panels), groups, placed, testing, derived)
        tests += compared.rows + _rows_of_absent(compared.rows, contrast)
        influence += compared.influence
        null += compared.null
        differences += [_differences_of(panel, groups, contrast) for panel in panels]
        for panel in panels:
            references += _sweep_references(panel, compared.rows, groups, contrast, volumes, floors)
    return {
        "contrasts": contrasts_table(tests, "subset"),
        "differences": pd.concat(differences, ignore_index=True)
        if differences
        else pd.DataFrame(columns=DIFFERENCE_COLUMNS),
        "references": pd.DataFrame(references, columns=REFERENCE_COLUMNS),
        "influence": influence_table(influence, "subset"),
        "null": null_table(null),
    }


def absolute_counts(measures: pd.DataFrame, name: str) -> pd.Series | None:
    """Look up the cells per volume of blood of each sample.

    Parameters
    ----------
    measures
        ``sample, measure, value``.
    name
        Measure that gives them; empty for none.

    Returns
    -------
    pandas.Series or None
        Sample -> value.
    """
    rows = measures[measures["measure"] == name] if name else measures.iloc[:0]
    return rows.set_index("sample")["value"].astype(float) if len(rows) else None


class _Floors(NamedTuple):
    pseudo_count: float
    min_cells: int
    max_sparse_share: float
    min_reference_share: float


@dataclass(frozen=True)
class _Panel:
    """One parent's cells of the patients of a contrast.

    `counts` is samples x subsets; `kept` marks patients with cells in each sample; `ratios` and `proportions` are
    NaN for the others.
    """

    parent: str
    subsets: list[str]
    counts: pd.DataFrame
    kept: np.ndarray
    ratios: PatientValues
    proportions: PatientValues
    sparse_samples: np.ndarray
    zero_samples: np.ndarray
    samples: int
    sparse: np.ndarray


def _panel_of(parent: str, part: pd.DataFrame, groups: PatientGroups, floors: _Floors) -> _Panel:
    counts = _counts_of(part)
    subsets = [str(name) for name in counts.columns]
    shares = counts.div(counts.sum(axis=1).where(counts.sum(axis=1) > 0), axis=0)
    kept = ~np.isnan(groups.patient_values(shares).compared).any(axis=1)
    weighed = groups.weights["patient"].isin(groups.table.loc[kept, "patient"]) & (groups.weights["weight"] != 0)
    used = counts.reindex(groups.weights.loc[weighed, "sample"]).to_numpy()
    few = (used < floors.min_cells).sum(axis=0)
    sparse = few > floors.max_sparse_share * len(used)
    ratios = groups.patient_values(log_ratios(counts, sparse, floors.pseudo_count))
    proportions = groups.patient_values(shares)
    blank = [np.where(kept[:, None], array, np.nan) for array in ratios]
    return _Panel(
        parent, subsets, counts, kept, PatientValues(*blank), proportions,
        few, (used == 0).sum(axis=0), len(used), sparse,
    )  # fmt: skip


def _counts_of(part: pd.DataFrame) -> pd.DataFrame:
    """Return samples x subsets, in the order in which they come; NaN where a sample has no row of a subset."""
    row, samples = pd.factorize(part["sample"])
    column, subsets = pd.factorize(part["subset"])
    counts = np.full((len(samples), len(subsets)), np.nan)
    counts[row, column] = part["cells"]
    return pd.DataFrame(counts, index=samples, columns=subsets)


def log_ratios(counts: pd.DataFrame, sparse: np.ndarray, pseudo_count: float) -> pd.DataFrame:
    """Return log ratios to the geometric mean of the dense subsets and of the sparse ones pooled.

    Parameters
    ----------
    counts
        Samples x subsets.
    sparse
        (subsets,) those that are pooled in the mean; they get ratios of their own too.
    pseudo_count
        Cells added to every count.

    Returns
    -------
    pandas.DataFrame
        As `counts`, natural logarithm; NaN for samples without any cell.
    """
    cells = counts.to_numpy()
    rest = cells[:, sparse].sum(axis=1, keepdims=True)
    parts = np.hstack([cells[:, ~sparse], rest]) if sparse.any() else cells
    centre = np.log(parts + pseudo_count).mean(axis=1, keepdims=True)
    ratios = np.log(cells + pseudo_count) - centre
    return pd.DataFrame(ratios, index=counts.index, columns=counts.columns).where(counts.sum(axis=1) > 0)


def _joined_values(panels: list[_Panel]) -> PatientValues:
    return PatientValues(*(np.hstack(arrays) for arrays in zip(*(panel.ratios for panel in panels), strict=True)))


def _features_of(panel: _Panel, contrast: Mapping[str, Any], floors: _Floors) -> list[Feature]:
    without_ratio = int((~panel.sparse).sum()) + int(panel.sparse.any()) < 2
    features = []
    for at, subset in enumerate(panel.subsets):
        notes = []
        if panel.sparse[at]:
            few = f"{panel.sparse_samples[at]} of {panel.samples} samples"
            notes.append(f"fewer than {floors.min_cells} cells in {few}")
        if panel.zero_samples[at]:
            notes.append(f"no cells in {panel.zero_samples[at]} of {panel.samples} samples")
        if without_ratio and not panel.sparse[at]:
            notes.append("one subset holds all cells, so there is no ratio")
        status = "too_sparse" if panel.sparse[at] else "not_testable" if without_ratio else "tested"
        keys = {"parent": panel.parent, "subset": subset}
        features.append(Feature(keys, _in_family(subset, contrast), status, notes, f"cells of parent {panel.parent}"))
    return features


def _in_family(subset: str, contrast: Mapping[str, Any]) -> bool:
    declared = contrast.get("subsets") or []
    return subset in declared if declared else not is_unassigned(subset)


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
    family = family_of(contrast, "composition")
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


def _differences_of(panel: _Panel, groups: PatientGroups, contrast: Mapping[str, Any]) -> pd.DataFrame:
    """Return the long table of the values of the patients kept."""
    kept, count = panel.kept, len(panel.subsets)
    blank = np.full((int(kept.sum()), count), np.nan)
    columns = {
        "before": panel.ratios.before[kept],
        "after": panel.ratios.after[kept],
        "difference": panel.ratios.compared[kept] if groups.paired else blank,
        "before_proportion": panel.proportions.before[kept],
        "after_proportion": panel.proportions.after[kept],
    }
    frame = pd.DataFrame({name: array.ravel(order="F") for name, array in columns.items()})
    frame["contrast"], frame["parent"] = contrast["name"], panel.parent
    frame["subset"] = np.repeat(np.array(panel.subsets, dtype=object), int(kept.sum()))
    frame["patient"] = groups.table.loc[kept, "patient"].astype(str).tolist() * count
    frame["group"] = groups.table.loc[kept, "group"].astype(str).tolist() * count
    return frame[DIFFERENCE_COLUMNS]


def _per_cell(composition: pd.DataFrame, absolute: pd.Series | None) -> pd.Series | None:
    """Return, by sample, the log of the blood cells per volume that one cell counted here stands for."""
    if absolute is None:
        return None
    whole = composition[composition["parent"] == WHOLE]
    total = whole.groupby("sample")["cells"].sum().astype(float)
    found = absolute.reindex(total.index).where(lambda known: known > 0)
    return np.log(found / total.where(total > 0))


def _sweep_references(
    panel: _Panel,
    rows: list[dict[str, Any]],
    groups: PatientGroups,
    contrast: Mapping[str, Any],
    volumes: pd.Series | None,
    floors: _Floors,
) -> list[dict[str, Any]]:
    """Return each effect relative to the centre, to each common subset of the parent, and in absolute counts."""
    own = [row for row in rows if row["parent"] == panel.parent and np.isfinite(row.get("effect", np.nan))]
    used = panel.counts[panel.counts.index.isin(groups.weights["sample"])].sum()
    shares = used / max(used.sum(), 1.0)
    common = {row["subset"]: row["effect"] for row in own if shares[row["subset"]] > floors.min_reference_share}
    steady = (set(common) - set(contrast.get("subsets") or []) or set(common)) | {"clr", "absolute"}
    absolute = _absolute_effects(panel, groups, volumes, floors.pseudo_count)
    swept = []
    for row in own:
        # A log ratio to one subset is the difference of two centred log ratios, so effects subtract.
        relative = {name: row["effect"] - other for name, other in common.items() if name != row["subset"]}
        relative |= {"absolute": absolute[row["subset"]]} if row["subset"] in absolute else {}
        same = {name: bool(np.sign(effect) == np.sign(row["effect"])) for name, effect in relative.items()}
        counted = [agrees for name, agrees in same.items() if name in steady]
        share = float(np.mean(counted)) if counted else np.nan
        for name, effect in {"clr": row["effect"], **relative}.items():
            agrees = same.get(name, True)
            swept.append([row["contrast"], panel.parent, row["subset"], name, effect, agrees, name in steady, share])
    return [dict(zip(REFERENCE_COLUMNS, line, strict=True)) for line in swept]


def _absolute_effects(
    panel: _Panel, groups: PatientGroups, volumes: pd.Series | None, pseudo_count: float
) -> dict[str, float]:
    """Return subset -> effect on the log of cells per volume, over the patients whose counts are known."""
    if volumes is None:
        return {}
    counts = panel.counts + pseudo_count
    logs = counts.apply(np.log).add(volumes.reindex(panel.counts.index), axis=0)
    values = groups.patient_values(logs).compared
    known = ~np.isnan(values).any(axis=1)
    is_a = groups.is_a[known]
    if not is_a.any() or not (groups.one_group or (~is_a).any()):
        return {}
    inner = groups.take(known)
    effects = values[known].mean(axis=0) if inner.one_group else adjusted_difference(values[known], is_a, inner.strata)
    return dict(zip(panel.subsets, map(float, effects), strict=True))
