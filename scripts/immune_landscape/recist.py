"""Response by RECIST 1.1: of each assessment from its parts, and of each patient from the assessments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from immune_landscape.patient_outcomes import texts_of

CR, PR, SD, PD, NE = "CR", "PR", "SD", "PD", "NE"
NON_CR_NON_PD, NONE = "non_CR_non_PD", "none"
PARTIAL, GROWTH, LEAST_GROWTH = 0.7, 1.2, 5.0
"""Sum of diameters over baseline of a partial response, over nadir of a progression, and its least growth in mm."""

WORDS = ("non_target", "new_lesion", "nodes_below_10mm", "assessable")
"""Columns of an assessment that hold words; empty where a sheet lacks them."""

TOLERANCE = 1e-9
"""Sums are written with decimals: 0.7 * 50 is 35, but not to the last digit."""

TIMEPOINT_COLUMNS = [
    *("patient", "day", "target_sum", "baseline_sum", "nadir", "change", "change_from_nadir"),
    *("target", "non_target", "new_lesion", "response"),
]
RESPONSE_COLUMNS = [
    "patient",
    "assessments",
    "derived",
    "given",
    "used",
    "best_change",
    "first_progression_day",
    "note",
]


class Rule(NamedTuple):
    """What a protocol adds to RECIST 1.1.

    Attributes
    ----------
    confirmation
        Whether a response counts only when a later assessment confirms it.
    min_interval_days
        Least days between a response and its confirmation.
    min_stable_days
        Least days from the start at which a disease that has not progressed counts as stable.
    """

    confirmation: bool
    min_interval_days: float
    min_stable_days: float


def overall_response(target: str, non_target: str, new_lesion: bool) -> str:
    """Return the response at one time point from its three parts.

    Parameters
    ----------
    target
        CR, PR, SD, PD, NE, or none for a patient without target lesions.
    non_target
        CR, non_CR_non_PD, PD, NE, or none for a patient without non-target lesions.
    new_lesion
        Whether there is any.

    Returns
    -------
    str
        CR, PR, SD, PD, NE, or non_CR_non_PD for a patient without target lesions.

    References
    ----------
    Eisenhauer et al. (2009), tables 1 and 2, https://doi.org/10.1016/j.ejca.2008.10.026
    """
    if new_lesion or PD in (target, non_target):
        return PD
    if target == NONE:
        return {CR: CR, NON_CR_NON_PD: NON_CR_NON_PD}.get(non_target, NE)
    if target == CR:
        return CR if non_target in (CR, NONE) else PR
    return target


def target_response(total: float, baseline: float, nadir: float, *, only_small_nodes: bool) -> str:
    """Return the response of the target lesions.

    Parameters
    ----------
    total
        Sum of diameters in mm; NaN when not all were measured.
    baseline, nadir
        Sum at baseline, and the smallest before this assessment, baseline included.
    only_small_nodes
        Whether all that is left are nodes with a short axis below 10 mm, which is a complete response.

    Returns
    -------
    str
        CR, PR, SD, PD, NE, or none without target lesions at baseline.

    Notes
    -----
    Progression needs both 20 % and 5 mm over the nadir, and comes before a partial response.
    """
    if pd.isna(baseline):
        return NONE
    if pd.isna(total):
        return NE
    if total <= TOLERANCE or only_small_nodes:
        return CR
    if total >= GROWTH * nadir - TOLERANCE and total - nadir >= LEAST_GROWTH - TOLERANCE:
        return PD
    return PR if total <= PARTIAL * baseline + TOLERANCE else SD


def time_points(assessments: pd.DataFrame) -> pd.DataFrame:
    """Derive the response at every assessment after baseline.

    Parameters
    ----------
    assessments
        One row per assessment: ``patient``, ``day``, ``target_sum``, ``non_target``, ``new_lesion``, and
        ``nodes_below_10mm``, ``assessable`` where given. Baseline is a patient's last assessment up to day 0.

    Returns
    -------
    pandas.DataFrame
        `TIMEPOINT_COLUMNS`, by patient in the order of the sheet and by day, baseline included without a response;
        sums in mm, changes in percent of baseline and of nadir (NaN from a sum of zero).
    """
    rows: list[dict[str, Any]] = []
    assessments = assessments.assign(**{name: texts_of(assessments, name) for name in WORDS})
    for _, own in assessments.groupby("patient", sort=False):
        own = own.sort_values("day", kind="stable")
        baseline = own[own["day"] <= 0].tail(1)
        if len(baseline):
            rows += _followed(baseline.iloc[0].to_dict(), own[own["day"] > 0].to_dict("records"))
    return pd.DataFrame(rows, columns=TIMEPOINT_COLUMNS)


def _followed(baseline: Mapping[Any, Any], later: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Walk through the assessments of a patient with the nadir so far."""
    start = nadir = float(baseline["target_sum"])
    without = baseline.get("non_target") in ("", NONE)
    told = {"target_sum": start, "baseline_sum": start, "non_target": NONE if without else baseline["non_target"]}
    rows = [{"patient": baseline["patient"], "day": baseline["day"], "new_lesion": "no"} | told | {"response": ""}]
    for row in later:
        seen = row.get("assessable") != "no"
        total = float(row["target_sum"]) if seen else float("nan")
        target = target_response(total, start, nadir, only_small_nodes=row.get("nodes_below_10mm") == "yes")
        other = (row["non_target"] or (NONE if without else NE)) if seen else (NONE if without else NE)
        rows.append(
            {"patient": row["patient"], "day": row["day"], "target_sum": total, "baseline_sum": start, "nadir": nadir}
            | {"change": _percent(total, start), "change_from_nadir": _percent(total, nadir), "target": target}
            | {"non_target": other, "new_lesion": row["new_lesion"]}
            | {"response": overall_response(target, other, row["new_lesion"] == "yes")}
        )
        nadir = min(nadir, total) if total == total else nadir
    return rows


def _percent(total: float, reference: float) -> float:
    return 100 * (total - reference) / reference if reference > 0 else float("nan")


def best_response(days: Sequence[float], responses: Sequence[str], rule: Rule) -> tuple[str, str]:
    """Return the best overall response of a patient, and why it is not a better one.

    Parameters
    ----------
    days
        Days of the assessments after baseline, rising.
    responses
        Response at each.
    rule
        What the protocol adds.

    Returns
    -------
    best : str
        CR, PR, SD, PD or NE. Nothing after the first progression counts.
    note : str
        Empty, or what the best response lacks.

    References
    ----------
    Eisenhauer et al. (2009), section 4.4 and table 3, https://doi.org/10.1016/j.ejca.2008.10.026
    """
    end = next((at for at, response in enumerate(responses) if response == PD), len(responses))
    known = list(zip(days[:end], responses[:end], strict=True))
    notes: list[str] = []
    for wanted, counting in ((CR, (CR,)), (PR, (PR, CR))):
        if not any(response in counting for _, response in known):
            continue
        if not rule.confirmation or _is_confirmed(known, counting, rule.min_interval_days):
            return wanted, "; ".join(notes)
        notes.append(f"{wanted} not confirmed")
    stable = [(day, response) for day, response in known if response != NE]
    if any(day >= rule.min_stable_days for day, _ in stable):
        only = {response for _, response in stable} == {NON_CR_NON_PD}
        return SD, "; ".join([*notes, *(["non-CR/non-PD, without target lesions"] if only else [])])
    notes += [f"not stable for {rule.min_stable_days:g} days"] if stable else []
    return (PD if end < len(responses) else NE), "; ".join(notes)


def _is_confirmed(known: Sequence[tuple[float, str]], counting: Sequence[str], least: float) -> bool:
    """Return whether a response is followed by another late enough, with nothing but NE between."""
    start: float | None = None
    for day, response in known:
        if response in counting:
            if start is not None and day - start >= least:
                return True
            start = day if start is None else start
        elif response != NE:
            start = None
    return False


def patient_responses(
    points: pd.DataFrame, given: Mapping[str, str], rule: Rule, *, derived_wins: bool
) -> pd.DataFrame:
    """Derive the best overall response of every patient and hold it against the one given.

    Parameters
    ----------
    points
        As from `time_points`.
    given
        Patient -> best response on the sheet of patients, empty where it is not given.
    rule
        What the protocol adds.
    derived_wins
        Whether the derived response is used where both are there and differ.

    Returns
    -------
    pandas.DataFrame
        `RESPONSE_COLUMNS`, one row per patient of `given`: number of assessments after baseline, response derived,
        given and used, smallest change of the sum in percent of baseline up to the first progression, and its day.
    """
    rows = []
    parts = dict(list(points.groupby("patient", sort=False)))
    for patient, told in given.items():
        own = parts.get(patient)
        row: dict[str, Any] = {
            "patient": patient,
            "assessments": 0,
            "derived": "",
            "given": told,
            "used": told,
            "note": "",
        }
        if own is not None:
            row |= _derived(own[own["response"] != ""], rule)
            clash = bool(told) and told != row["derived"]
            row["used"] = row["derived"] if derived_wins or not told else told
            words = [f"given {told}, derived {row['derived']}"] if clash else []
            row["note"] = "; ".join([*words, *([row["note"]] if row["note"] else [])])
        rows.append(row)
    return pd.DataFrame(rows, columns=RESPONSE_COLUMNS)


def _derived(own: pd.DataFrame, rule: Rule) -> dict[str, Any]:
    best, note = best_response(own["day"].tolist(), own["response"].tolist(), rule)
    progressed = own.loc[own["response"] == PD, "day"]
    first = progressed.min()
    until = own if pd.isna(first) else own[own["day"] <= first]
    return {
        "assessments": len(own),
        "derived": best,
        "note": note,
        "best_change": until["change"].min(),
        "first_progression_day": first,
    }
