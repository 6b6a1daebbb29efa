"""The part of the summary page that holds the clinical endpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from immune_landscape.display_text import counted, format_p, shown, shown_strata
from immune_landscape.html_parts import Html, bullets, join, table, tag
from immune_landscape.measure_biomarkers import AGREES
from immune_landscape.measure_safety import ANY_TERM
from immune_landscape.patient_outcomes import COUNTED, EVERYBODY
from immune_landscape.report_links import link_part

ENDPOINTS = {
    "orr": "Objective response rate",
    "dcr": "Disease control rate",
    "pfs": "Median progression-free survival",
    "os": "Median overall survival",
}
POPULATIONS = {
    "evaluable": "evaluable",
    "all_treated": "all treated",
    "intention_to_treat": "intention to treat",
}
SHOWN = ("all", "arm")
"""Groups on the page; dose levels and strata are in the table."""

MARKER_NAMES = {
    "cps": "PD-L1 combined positive score",
    "mmr": "Mismatch repair",
    "msi": "Microsatellites",
    "tmb": "Tumour mutational burden",
}

MEASURES = {
    "rate_difference": "Difference of rates",
    "hazard_ratio": "Hazard ratio",
    "mean_difference": "Restricted means",
}


def clinical_section(tables: Mapping[str, pd.DataFrame | None], study: Mapping[str, Any]) -> Html | None:
    """Write rates and medians of all patients and of each arm, the arms compared, safety and doses.

    Parameters
    ----------
    tables
        By name, None or absent for what was not run: ``endpoints``, ``comparisons``, ``safety``, ``mtd``, as from
        `measure_endpoints`, `compare_outcomes`, `measure_safety` and `measure_doses`; ``marker_classes`` and
        ``marker_conflicts`` as from `measure_biomarkers`; ``links`` as from `link_outcomes`.
    study
        Facts of the cohort.

    Returns
    -------
    Html or None
        None when no endpoint is given.
    """
    parts = [_endpoints(tables.get("endpoints"), study), _comparisons(tables.get("comparisons"), study)]
    markers = _markers(tables.get("marker_classes"), tables.get("marker_conflicts"))
    parts.append(link_part(tables.get("links"), study))
    parts.append(bullets([*_safety(tables.get("safety")), *_doses(tables.get("mtd")), *markers]) or None)
    kept = [part for part in parts if part is not None]
    return join(kept) if kept else None


def _endpoints(endpoints: pd.DataFrame | None, study: Mapping[str, Any]) -> Html | None:
    if endpoints is None:
        return None
    known = endpoints[endpoints["endpoint"].isin(list(ENDPOINTS)) & endpoints["by"].isin(SHOWN)]
    widest = list(POPULATIONS)[-1] if list(POPULATIONS)[-1] in set(known["population"]) else "all_treated"
    # Where arms were randomised nobody may leave a curve; a single arm is told of in both populations, as trials do.
    both = known["endpoint"].isin(list(COUNTED)) | (widest == "all_treated")
    evaluable = (known["population"] == "evaluable") & both
    known = known[known["estimate"].notna() & (evaluable | (known["population"] == widest))]
    if known.empty:
        return None
    rows = [
        [
            ENDPOINTS[row["endpoint"]],
            shown(study, row["group"]),
            POPULATIONS[row["population"]],
            f"{row['events']:.0f}/{row['n']:.0f}",
            f"{_number(row, 'estimate')} [{_number(row, 'low')}, {_number(row, 'high')}]",
        ]
        for row in known.to_dict("records")
    ]
    unit = str(study.get("time_unit") or "")
    text = (
        "Rates in percent with exact intervals; medians of Kaplan-Meier curves"
        + (f" in {unit}" if unit else "")
        + " with log-log intervals. Evaluable patients have an assessed response: whoever died before it is left out. "
        + "Levels are those of measure_endpoints, whose table has more groups."
    )
    headings = ["Endpoint", "Patients", "Population", "Events / n", "Estimate"]
    return join([tag("p", text, class_="small"), table(headings, rows, numbers=(3, 4))])


def _number(row: Mapping[Any, Any], name: str) -> str:
    """Write a rate in percent, or a time; an infinite time is not reached."""
    value = float(row[name])
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "not reached"
    return f"{100 * value:.1f}" if row["unit"] == "share" else f"{value:.1f}"


def _comparisons(comparisons: pd.DataFrame | None, study: Mapping[str, Any]) -> Html | None:
    if comparisons is None:
        return None
    known = comparisons[comparisons["measure"].isin(list(MEASURES)) & comparisons["estimate"].notna()]
    # With strata the stratified ratio is the one that the design asks for; it stands last.
    known = known.drop_duplicates(["endpoint", "measure", "population", "by", "group_a", "group_b"], keep="last")
    if known.empty:
        return None
    rows = [
        [
            f"{MEASURES[row['measure']]}, {row['endpoint'].upper()}",
            f"{shown(study, str(row['group_a']))} against {shown(study, str(row['group_b']))}",
            f"{row['events_a']:.0f}/{row['n_a']:.0f}, {row['events_b']:.0f}/{row['n_b']:.0f}",
            f"{row['estimate']:.2f} [{_bounds(row)}]",
            format_p(row["p"]),
            _how(row, study),
        ]
        for row in known.to_dict("records")
    ]
    return table(["Compared", "Groups", "Events / n", "Estimate", "p", "How"], rows, numbers=(2, 3, 4))


def _bounds(row: Mapping[Any, Any]) -> str:
    return "no interval" if pd.isna(row["low"]) else f"{row['low']:.2f}, {row['high']:.2f}"


def _how(row: Mapping[Any, Any], study: Mapping[str, Any]) -> str:
    landmark = "" if pd.isna(row["landmark"]) else f", from {row['landmark']:g} on"
    return f"{row['method']}{shown_strata(study, row['strata'])}{landmark} ({POPULATIONS[row['population']]})"


def _safety(safety: pd.DataFrame | None) -> list[str]:
    if safety is None:
        return []
    own = safety[(safety["by"] == EVERYBODY) & (safety["relation"] == "any") & (safety["term"] == ANY_TERM)]
    found = {row["grades"]: row for row in own.to_dict("records")}
    lines = []
    for grades, name in (("any", "an adverse event"), ("3-4", "one of grade 3 or 4 at worst"), ("5", "one of grade 5")):
        row = found[grades]
        bounds = f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %" if row["n"] else "no patient treated"
        lines.append(f"{int(row['patients'])} of {counted(int(row['n']), 'treated patient')} had {name} ({bounds}).")
    return lines


def _doses(mtd: pd.DataFrame | None) -> list[str]:
    if mtd is None:
        return []
    row = mtd.iloc[0]
    n = int(row["evaluable"])
    bounds = f" ({100 * row['low']:.1f} to {100 * row['high']:.1f} %)" if n else ""
    what = f"Dose-limiting toxicity in {int(row['dlt'])} of {counted(n, 'evaluable patient')}{bounds}."
    reached = f"{row['mtd']}" if row["mtd"] else f"{row['status']}"
    top = f"; maximum administered dose {row['maximum_administered']}" if row["maximum_administered"] else ""
    return [f"{what} Maximum tolerated dose: {reached} ({row['note']}){top}."]


def _markers(classes: pd.DataFrame | None, conflicts: pd.DataFrame | None) -> list[str]:
    """Tell the classes of each biomarker among all patients, and how many patients have sources that disagree."""
    if classes is None:
        return []
    lines = []
    everybody = classes[(classes["by"] == EVERYBODY) & (classes["class"] != AGREES)]
    for marker, own in everybody.groupby("marker", sort=False):
        told = ", ".join(
            f"{count} {named.replace('_', ' ')}" for named, count in zip(own["class"], own["patients"], strict=True)
        )
        n, unread = int(own["n"].iloc[0]), int(own["not_evaluable"].iloc[0])
        lines.append(f"{MARKER_NAMES[str(marker)]}: {told} of {counted(n, 'patient')}; {unread} not evaluable.")
    if conflicts is not None and len(conflicts):
        patients = counted(conflicts["patient"].nunique(), "patient")
        lines.append(f"Sources disagree on a biomarker of {patients}: measure_biomarkers/conflicts.tsv.")
    return lines
