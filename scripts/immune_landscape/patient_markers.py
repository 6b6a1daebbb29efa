"""Biomarkers of each patient: measurements read by their rules, held against what is given, one taken of several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from immune_landscape.biomarker_rules import (
    MMR_PROTEINS,
    Reading,
    clash_of,
    cps_class,
    panel_flag,
    read_cps,
    read_mmr,
    read_msi,
    read_tmb,
    tmb_class,
)

MARKERS = {"cps": ("cps",), "mmr": (), "msi": ("msi",), "tmb": ("tmb",)}
"""Marker -> column that gives it, in biomarkers.tsv and in patients.tsv."""

UNITS = {"cps": "score", "mmr": "proteins lost", "msi": "share of markers", "tmb": "mutations per Mb"}
POSITIVE = ("n_pos_tumour", "n_pos_lymphocytes", "n_pos_macrophages")
ASSAYS = {"cps": "pdl1_assay", "tmb": "tmb_panel"}
PLACE = ("sample", "visit", "tissue", "region")
RANK = {"": -1, "pMMR": 0, "dMMR": 1, "MSS": 0, "MSI-L": 1, "MSI-H": 2}
"""Class -> place among those of its marker; scores and burdens are ranked by their value."""

MEASURED = [
    *("patient", *PLACE, "marker", "value", "class", "source", "counts", "computed", "computed_class"),
    *("given", "given_class", "assay", "reason", "flag"),
]
CHOSEN = [*MEASURED, "measurements", "eligibility"]
CONFLICTS = ["patient", "marker", "kind", "computed", "given", "used", "message"]


class Rules(NamedTuple):
    """How measurements become classes; the settings of `measure_biomarkers`, which say what each is."""

    cps_thresholds: Sequence[float]
    min_viable: int
    msi_high_share: float
    msi_score_high: float | None
    tmb_high: float
    small_panel_mb: float
    tolerance: float
    prefer: str
    several: str
    stratum: Mapping[str, Any]


def read_measurements(sheet: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Read every measurement of the sheet.

    Parameters
    ----------
    sheet
        Rows of biomarkers.tsv, missing text empty and missing numbers NaN.
    rules
        Settings.

    Returns
    -------
    pandas.DataFrame
        `MEASURED`, and the index of its row in ``row``: one row per row of the sheet and marker that it tells of.
    """
    rows = [
        {**_place(row), "row": at, "marker": marker, **found}
        for at, row in zip(sheet.index, sheet.to_dict("records"), strict=True)
        for marker, found in _readings(row, rules)
    ]
    return pd.DataFrame(rows, columns=[*MEASURED, "row"])


def _place(row: Mapping[Any, Any]) -> dict[str, str]:
    return {name: _text(row.get(name)) for name in ("patient", *PLACE)}


def _text(cell: Any) -> str:
    return "" if cell is None or cell != cell else str(cell)


def _readings(row: Mapping[Any, Any], rules: Rules) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the markers of a row, each with what is computed, given and used."""
    for marker in MARKERS:
        computed, given = _computed(marker, row, rules), _given(marker, row, rules)
        if computed is None and given is None:
            continue
        flag = ""
        if marker == "tmb" and row["callable_mb"] == row["callable_mb"]:
            flag = panel_flag(row["callable_mb"], small_panel_mb=rules.small_panel_mb)
        told = {"assay": _text(row.get(ASSAYS.get(marker, ""))), "flag": flag}
        yield marker, _settled(computed, given, rules) | told


def _computed(marker: str, row: Mapping[Any, Any], rules: Rules) -> Reading | None:
    """Read the counts of a marker; None where the row has none."""
    known = {name for name, cell in row.items() if cell == cell and cell != ""}
    if marker == "cps" and {*POSITIVE, "n_viable_tumour"} <= known:
        counts = [row[name] for name in POSITIVE]
        return read_cps(counts, row["n_viable_tumour"], rules.cps_thresholds, least=rules.min_viable)
    if marker == "mmr" and known & set(MMR_PROTEINS):
        return read_mmr({name: _text(row[name]) for name in MMR_PROTEINS})
    if marker == "msi" and {"msi_markers_unstable", "msi_markers_tested"} <= known:
        return read_msi(row["msi_markers_unstable"], row["msi_markers_tested"], high_share=rules.msi_high_share)
    if marker == "msi" and "msi_score" in known and rules.msi_score_high is not None:
        return Reading(row["msi_score"], "MSI-H" if row["msi_score"] >= rules.msi_score_high else "MSS")
    if marker == "tmb" and {"n_nonsynonymous", "callable_mb"} <= known:
        return read_tmb(row["n_nonsynonymous"], row["callable_mb"], high=rules.tmb_high)
    return None


def _given(marker: str, row: Mapping[Any, Any], rules: Rules) -> Reading | None:
    """Return what a sheet says of a marker; None where it says nothing."""
    [cell] = [row.get(name, "") for name in MARKERS[marker]] or [""]
    if cell is None or cell != cell or cell == "":
        return None
    if marker == "cps":
        return Reading(float(cell), cps_class(float(cell), rules.cps_thresholds))
    if marker == "tmb":
        return Reading(float(cell), tmb_class(float(cell), rules.tmb_high))
    return Reading(math.nan, "", "reported as unknown") if cell == "unknown" else Reading(math.nan, str(cell))


def _settled(computed: Reading | None, given: Reading | None, rules: Rules) -> dict[str, Any]:
    """Choose between what is computed and what is given."""
    order = (given, computed) if rules.prefer == "given" else (computed, given)
    options = [reading for reading in order if reading is not None]
    used = next((reading for reading in options if reading.named), options[0])
    blank = Reading(math.nan, "")
    one, other = computed or blank, given or blank
    # A status is given without its number, which the counts still have where they agree.
    numbers = [
        reading.value for reading in (used, one) if reading.named == used.named and reading.value == reading.value
    ]
    return {
        "value": numbers[0] if numbers else math.nan,
        "class": used.named,
        "source": "computed" if used is computed else "given",
        "counts": "" if computed is None else "read" if computed.named else "unreadable",
        "computed": one.value,
        "computed_class": one.named,
        "given": other.value,
        "given_class": other.named,
        "reason": "; ".join(dict.fromkeys(part.reason for part in (one, other) if part.reason)),
    }


def choose_markers(
    measurements: pd.DataFrame, patients: pd.DataFrame, visits: Sequence[str], rules: Rules
) -> pd.DataFrame:
    """Take one measurement of each marker per patient.

    Parameters
    ----------
    measurements
        As from `read_measurements`.
    patients
        One row per patient; ``cps``, ``msi`` and ``tmb`` give what biomarkers.tsv does not.
    visits
        Visits in order; the earliest is taken, and of several at one visit the highest or the first.
    rules
        Settings.

    Returns
    -------
    pandas.DataFrame
        `CHOSEN`, one row per patient and marker that anybody has, in the order of the patients.
    """
    order = {visit: at for at, visit in enumerate(visits)}
    groups = dict(tuple(measurements.groupby(["patient", "marker"], sort=False)))
    held = [name for name in MARKERS if name in set(measurements["marker"]) or _is_given(patients, name)]
    panels = {name for name in measurements.loc[measurements["marker"] == "tmb", "assay"] if name}
    rows = []
    for patient in patients.to_dict("records"):
        for marker in held:
            row = _chosen(groups.get((patient["patient"], marker)), patient, marker, order, rules)
            if marker == "tmb" and row["assay"] and len(panels) > 1:
                more = f"{len(panels)} panels in the cohort, not harmonised"
                row["flag"] = "; ".join(part for part in (row["flag"], more) if part)
            rows.append(row)
    return pd.DataFrame(rows, columns=CHOSEN)


def _is_given(patients: pd.DataFrame, marker: str) -> bool:
    columns = [name for name in MARKERS[marker] if name in patients]
    return bool(columns) and bool((patients[columns].notna() & (patients[columns] != "")).any(axis=None))


def _chosen(
    rows: pd.DataFrame | None, patient: Mapping[Any, Any], marker: str, order: Mapping[str, int], rules: Rules
) -> dict[str, Any]:
    own = _given(marker, patient, rules)
    told = {"patient": patient["patient"], "marker": marker, "measurements": 0, "eligibility": ""}
    blank = dict.fromkeys((*PLACE, "assay", "flag"), "")
    if rows is None:
        told |= blank | _settled(None, own or Reading(math.nan, "", "not measured"), rules)
        return told if own else told | {"source": ""}
    place = rows["visit"].map(lambda visit: order.get(visit, 0))
    earliest = rows[place == place.min()]
    rank = earliest["value"].fillna(-1.0) if marker in ("cps", "tmb") else earliest["class"].map(RANK)
    best = earliest.loc[rank.idxmax()] if rules.several == "highest" else earliest.iloc[0]
    row = {name: best[name] for name in MEASURED} | told | {"measurements": len(rows)}
    if own and not row["given_class"]:
        computed = Reading(row["computed"], row["computed_class"], row["reason"]) if row["counts"] else None
        row |= _settled(computed, own, rules)
    if len(earliest) > 1:
        row["reason"] = "; ".join(part for part in (row["reason"], f"{rules.several} of {len(earliest)}") if part)
    return row


def list_conflicts(
    chosen: pd.DataFrame, measurements: pd.DataFrame, patients: pd.DataFrame, rules: Rules
) -> pd.DataFrame:
    """List where two sources disagree on a patient.

    Parameters
    ----------
    chosen
        As from `choose_markers`.
    measurements
        As from `read_measurements`: those that were not chosen are held against what is given with them, too.
    patients
        One row per patient.
    rules
        Settings.

    Returns
    -------
    pandas.DataFrame
        `CONFLICTS`. Kinds: ``computed_given`` (computed against given, beyond `Rules.tolerance` or in another class),
        ``given_unreadable`` (given, though the counts cannot be read), ``sheets_differ`` (patients.tsv against
        biomarkers.tsv), ``mmr_msi`` (proteins against microsatellites) and ``stratum`` (class of the score against the
        stratum that the patient was randomised in).
    """
    known = patients.set_index("patient")
    rows = []
    for row in chosen.to_dict("records"):
        patient = known.loc[row["patient"]].to_dict()
        rows += [*_against_given(row, rules), *_between_sheets(row, patient, rules)]
        rows += _against_stratum(row, patient, rules) if row["marker"] == "cps" else []
    for row in _others(chosen, measurements):
        rows += list(_against_given(row, rules))
    classes = chosen.set_index(["patient", "marker"])["class"].to_dict()
    for name in patients["patient"]:
        mmr, msi = (classes.get((name, marker), "") for marker in ("mmr", "msi"))
        if told := clash_of(mmr, msi):
            rows.append(_conflict(str(name), "mmr", "mmr_msi", mmr, msi, "both", told))
    places = {name: at for at, name in enumerate(patients["patient"])}
    table = pd.DataFrame(rows, columns=CONFLICTS)
    return table.sort_values("patient", key=lambda names: names.map(places), kind="stable", ignore_index=True)


def _others(chosen: pd.DataFrame, measurements: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the measurements that were not chosen."""
    place = ["patient", "marker", *PLACE]
    taken = pd.MultiIndex.from_frame(chosen[place].astype(str))
    rest = ~pd.MultiIndex.from_frame(measurements[place].astype(str)).isin(taken)
    return list(measurements[rest].to_dict("records"))


def _where(row: Mapping[Any, Any]) -> str:
    """Tell where a measurement was taken, as far as the sheet says."""
    return ", ".join(str(row[name]) for name in PLACE if row[name])


def _conflict(patient: str, marker: str, kind: str, *told: str) -> dict[str, str]:
    return dict(zip(CONFLICTS, (patient, marker, kind, *told), strict=True))


def _shown(value: float, named: str) -> str:
    return f"{value:.3g} ({named})" if value == value and named else named or "not evaluable"


def _against_given(row: Mapping[Any, Any], rules: Rules) -> Iterator[dict[str, str]]:
    if not row["given_class"] or not row["counts"]:
        return
    texts = _shown(row["computed"], row["computed_class"]), _shown(row["given"], row["given_class"])
    place = str(row["patient"]), str(row["marker"])
    place_told = f" ({_where(row)})" if _where(row) else ""
    if row["counts"] == "unreadable":
        told = f"{texts[1]} is given, but the counts cannot be read: {row['reason']}{place_told}"
        yield _conflict(*place, "given_unreadable", *texts, row["source"], told)
        return
    gap = abs(row["computed"] - row["given"])
    if row["computed_class"] != row["given_class"] or (gap == gap and gap > rules.tolerance):
        told = f"counts give {texts[0]}, but {texts[1]} is given; what is {row['source']} is used{place_told}"
        yield _conflict(*place, "computed_given", *texts, row["source"], told)


def _between_sheets(row: Mapping[Any, Any], patient: Mapping[Any, Any], rules: Rules) -> Iterator[dict[str, str]]:
    own = _given(row["marker"], patient, rules)
    if own is None or not own.named or not row["given_class"] or row["measurements"] == 0:
        return
    gap = abs(own.value - row["given"])
    if own.named != row["given_class"] or (gap == gap and gap > rules.tolerance):
        first, second = _shown(row["given"], row["given_class"]), _shown(own.value, own.named)
        told = f"biomarkers.tsv gives {first}, patients.tsv {second}"
        yield _conflict(str(row["patient"]), str(row["marker"]), "sheets_differ", first, second, row["source"], told)


def stratum_by_score(value: float, stratum: Mapping[str, Any]) -> str:
    """Return the name of the stratum that a score belongs to; empty for NaN."""
    return "" if value != value else str(stratum["high" if value >= stratum["cut"] else "low"])


def _against_stratum(row: Mapping[Any, Any], patient: Mapping[Any, Any], rules: Rules) -> Iterator[dict[str, str]]:
    dealt = _text(patient.get(rules.stratum["column"])) if rules.stratum["column"] else ""
    found = stratum_by_score(row["value"], rules.stratum) if rules.stratum["column"] else ""
    if dealt and found and dealt != found:
        told = f"score {row['value']:.3g} belongs to {found}, but the patient is in {dealt}"
        yield _conflict(str(row["patient"]), "cps", "stratum", found, dealt, dealt, told)


def add_eligibility(chosen: pd.DataFrame, patients: pd.DataFrame, rule: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Say which patients lie outside a rule of eligibility.

    Parameters
    ----------
    chosen
        As from `choose_markers`.
    patients
        One row per patient.
    rule
        Marker or column of the patients -> values allowed. A marker is judged by its class.

    Returns
    -------
    pandas.DataFrame
        The table with ``eligibility``: ``eligible``, ``outside`` or ``not known``, empty for a marker without a rule;
        columns of the patients that the rule names have rows of their own after the markers.
    """
    from immune_landscape.patient_outcomes import texts_of

    tables = [chosen]
    for name in (name for name in rule if name not in set(chosen["marker"])):
        own = pd.DataFrame({"patient": patients["patient"].to_list(), "marker": name, "measurements": 0})
        words = dict.fromkeys(_TEXTS, "") | {"class": texts_of(patients, name).to_list(), "source": "given"}
        tables.append(own.assign(**words).reindex(columns=CHOSEN))
    table = pd.concat([part for part in tables if len(part)] or tables, ignore_index=True)
    table["eligibility"] = [
        _judged(named, rule.get(marker)) for marker, named in table[["marker", "class"]].itertuples(index=False)
    ]
    places = {name: at for at, name in enumerate(patients["patient"])}
    return table.sort_values("patient", key=lambda names: names.map(places), kind="stable", ignore_index=True)


_TEXTS = (
    *PLACE,
    "class",
    "source",
    "counts",
    "computed_class",
    "given_class",
    "assay",
    "reason",
    "flag",
    "eligibility",
)
TEXTS = (*_TEXTS, "patient", "marker", "kind", "used", "message", "by", "group")
"""Columns of words that may look like numbers."""


def _judged(named: str, allowed: Sequence[Any] | None) -> str:
    if allowed is None:
        return ""
    if named in ("", "unknown"):
        return "not known"
    return "eligible" if named in map(_plain, allowed) else "outside"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
