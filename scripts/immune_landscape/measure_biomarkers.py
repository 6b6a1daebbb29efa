"""Measure biomarkers: the class of each patient, and how many patients of each arm and stratum are in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.biomarker_rules import MARKER_CLASSES, cps_classes
from immune_landscape.patient_markers import (
    Rules,
    add_eligibility,
    choose_markers,
    list_conflicts,
    read_measurements,
    stratum_by_score,
)
from immune_landscape.patient_outcomes import groupings, texts_of
from immune_landscape.proportions import exact_share

SUMMARY_COLUMNS = ["marker", "by", "group", "class", "patients", "n", "share", "low", "high", "not_evaluable"]
AGREES = "as_stratum"
"""Row that counts the patients whose score belongs to the stratum that they were randomised in."""

PANEL = "tmb_panel"


def measure_biomarkers(
    patients: pd.DataFrame,
    sheet: pd.DataFrame,
    study: Mapping[str, Any],
    *,
    cps_thresholds: Sequence[float],
    min_viable: int,
    msi_high_share: float,
    msi_score_high: float | None,
    tmb_high: float,
    small_panel_mb: float,
    tolerance: float,
    prefer: str,
    several: str,
    stratum: Mapping[str, Any],
    level: float,
) -> dict[str, pd.DataFrame]:
    """Class the biomarkers of each patient and count the classes.

    Parameters
    ----------
    patients
        One row per patient; ``arm``, ``dose_level`` and strata make groups; ``cps``, ``msi`` and ``tmb`` are as given.
    sheet
        Rows of biomarkers.tsv.
    study
        Facts of the cohort: ``visits``, ``randomisation``, ``eligibility``.
    cps_thresholds
        PD-L1 scores at which classes begin.
    min_viable
        Viable tumour cells that a score needs.
    msi_high_share
        Share of unstable markers from which an instability is high.
    msi_score_high
        Score by sequencing from which it is; None for none.
    tmb_high
        Mutations per Mb from which a burden is high.
    small_panel_mb
        Callable megabases below which a burden is flagged.
    tolerance
        Difference between a computed and a given number that rounding explains.
    prefer
        ``given`` or ``computed``: which is used where both are there.
    several
        ``highest`` or ``first``: which measurement counts of several at the earliest visit.
    stratum
        ``column`` of the randomisation's stratum, ``cut``, and the names of the ``high`` and ``low`` one.
    level
        Confidence level.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``biomarkers``: one row per patient and marker, with ``arm`` (`patient_markers.CHOSEN`). ``measurements``: one
        per row of the sheet and marker. ``conflicts``: sources that disagree (`patient_markers.list_conflicts`).
        ``summary``: `SUMMARY_COLUMNS`, patients of each class among those evaluable with the interval of Clopper and
        Pearson; PD-L1 scores are counted below the first threshold and at or above each, mutational burdens also by
        panel.
    """
    rules = Rules(
        cps_thresholds, min_viable, msi_high_share, msi_score_high, tmb_high, small_panel_mb, tolerance, prefer,
        several, stratum,
    )  # fmt: skip
    words = [str(name) for name in sheet if not pd.api.types.is_numeric_dtype(sheet[name])]
    filled = sheet.assign(**{name: texts_of(sheet, name) for name in words})
    known = patients.assign(msi=texts_of(patients, "msi"))
    measured = read_measurements(filled, rules)
    chosen = choose_markers(measured, known, study["visits"], rules)
    counted = pd.DataFrame(_summary(chosen, known, study, rules, level), columns=SUMMARY_COLUMNS)
    told = add_eligibility(chosen, known, study.get("eligibility") or {})
    told.insert(1, "arm", told["patient"].map(dict(zip(known["patient"], texts_of(known, "arm"), strict=True))))
    return {
        "biomarkers": told,
        "measurements": measured.drop(columns="row"),
        "conflicts": list_conflicts(chosen, measured, known, rules),
        "summary": counted,
    }


def _summary(
    chosen: pd.DataFrame, patients: pd.DataFrame, study: Mapping[str, Any], rules: Rules, level: float
) -> Iterator[dict[str, Any]]:
    # Told from the patients alone: an extra column may be named as one of a measurement.
    everyone = list(groupings(patients, study))
    for marker, own in chosen.groupby("marker", sort=False):
        table = patients.merge(own, on="patient", suffixes=("_of_patient", ""), validate="one_to_one")
        groups = [(by, name, table["patient"].isin(patients.loc[those, "patient"])) for by, name, those in everyone]
        if marker == "tmb":
            panels = [name for name in dict.fromkeys(table["assay"]) if name]
            groups += [(PANEL, name, table["assay"] == name) for name in panels if len(panels) > 1]
        for by, group, members in groups:
            facts = {"marker": marker, "by": by, "group": group}
            inside = table[members]
            rows = inside[inside["class"] != ""]
            for named, count in _counts(str(marker), rows, rules):
                share = exact_share(count, len(rows), level)
                told = {"class": named, "patients": count, "n": len(rows), "not_evaluable": len(inside) - len(rows)}
                yield facts | told | {"share": share.estimate, "low": share.low, "high": share.high}
            if marker == "cps" and rules.stratum["column"]:
                people = patients.set_index("patient").loc[inside["patient"]]
                yield facts | _agreement(texts_of(people, rules.stratum["column"]), inside["value"], rules, level)


def _counts(marker: str, rows: pd.DataFrame, rules: Rules) -> Iterator[tuple[str, int]]:
    if marker == "cps":
        yield cps_classes(rules.cps_thresholds)[0], int((rows["value"] < rules.cps_thresholds[0]).sum())
        for bound in rules.cps_thresholds:
            yield f"at_least_{bound:g}", int((rows["value"] >= bound).sum())
        return
    for named in MARKER_CLASSES[marker]:
        yield named, int((rows["class"] == named).sum())


def _agreement(strata: pd.Series, scores: pd.Series, rules: Rules, level: float) -> dict[str, Any]:
    """Count the patients whose stratum is that of their score, among those of whom both are known."""
    dealt = strata.to_numpy()
    found = np.array([stratum_by_score(score, rules.stratum) for score in scores], dtype=object)
    both = (dealt != "") & (found != "")
    count, n = int((dealt[both] == found[both]).sum()), int(both.sum())
    share = exact_share(count, n, level)
    told = {"class": AGREES, "patients": count, "n": n, "not_evaluable": int((~both).sum())}
    return told | {"share": share.estimate, "low": share.low, "high": share.high}
