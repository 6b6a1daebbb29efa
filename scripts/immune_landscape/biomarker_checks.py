"""Rules of biomarkers.tsv, and of who is eligible by it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from immune_landscape.biomarker_rules import MARKER_CLASSES
from immune_landscape.config_checks import LocationOf
from immune_landscape.errors import Problem
from immune_landscape.masking import masked_columns, masked_table
from immune_landscape.patient_markers import (
    MARKERS,
    PLACE,
    POSITIVE,
    Rules,
    add_eligibility,
    choose_markers,
    list_conflicts,
    read_measurements,
)
from immune_landscape.schemas import load_schema
from immune_landscape.sheet_tables import Cells, Table, Tables
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

if TYPE_CHECKING:
    import pandas as pd

TOGETHER = (
    (*POSITIVE, "n_viable_tumour"),
    ("msi_markers_unstable", "msi_markers_tested"),
    ("n_nonsynonymous", "callable_mb"),
)
"""Columns of which one means nothing without the others; the last, what is divided by, may stand by itself."""

AT_MOST = {"n_pos_tumour": "n_viable_tumour", "msi_markers_unstable": "msi_markers_tested"}
NOTED = {"cps": "n_pos_tumour", "mmr": "mlh1", "msi": "msi_markers_unstable", "tmb": "n_nonsynonymous"}
"""Marker -> column at which its notes stand."""


def biomarker_problems(tables: Tables, config: Mapping[str, Any], place_of: LocationOf, faulty: Cells) -> list[Problem]:
    """Return what is wrong in biomarkers.tsv and in the keys that speak of it.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config.
    place_of
        Tells the file and line of a config key path.
    faulty
        Cells already reported.

    Returns
    -------
    list of Problem
        Rows told twice, samples that are another patient's or taken elsewhere, half of what belongs together, more
        positive than counted, and rules about columns or values that do not exist.
    """
    problems = _key_problems(tables, config, place_of)
    table = tables.biomarkers
    if table is not None:
        problems += _repeated_rows(table, faulty) + _sample_problems(table, tables.samples, config, faulty)
        problems += _half_told(table, faulty) + _too_many(table, faulty)
    return problems


def _repeated_rows(table: Table, faulty: Cells) -> list[Problem]:
    keys = ["patient", *PLACE]
    frame = table.frame.loc[table.sound_lines(tuple(keys), faulty), keys]
    problems = []
    for line in frame.index[frame.duplicated() & (frame["patient"] != "")]:
        first = int(frame.index[(frame == frame.loc[line]).all(axis=1)][0])
        patient = str(frame.at[line, "patient"])
        message = f"{patient} is already on line {first}; tell rows apart by visit, tissue or region"
        problems.append(table.at(line, "patient", message, "duplicate_row"))
    return problems


def _sample_problems(table: Table, samples: Table | None, config: Mapping[str, Any], faulty: Cells) -> list[Problem]:
    if samples is None or "sample" not in table.present:
        return []
    known = samples.frame.drop_duplicates("sample").set_index("sample")
    known = known.assign(tissue=known["tissue"].mask(known["tissue"] == "", config["tissues"][0]))
    problems = []
    for line in table.sound_lines(("sample",), faulty):
        row = table.frame.loc[line]
        if not row["sample"]:
            continue
        if row["sample"] not in known.index:
            message = (
                f"{printable(row['sample'])} is not in samples.tsv{did_you_mean(row['sample'], list(known.index))}"
            )
            problems.append(table.at(line, "sample", message, "unknown_sample"))
            continue
        for name in ("patient", "visit", "tissue", "region"):
            theirs = known.at[row["sample"], name]
            if row[name] and row[name] != theirs:
                told = f"{printable(theirs)} in samples.tsv" if theirs else "without one in samples.tsv"
                message = f"{printable(row[name])}, but {row['sample']} is {told}"
                problems.append(table.at(line, name, message, "clash"))
    return problems


def _half_told(table: Table, faulty: Cells) -> list[Problem]:
    problems = []
    for group in TOGETHER:
        frame = table.frame.loc[table.sound_lines(group, faulty), list(group)]
        told = frame.notna()
        for line, name in itertools.product(frame.index[told[list(group[:-1])].any(axis=1)], group):
            if not told.at[line, name]:
                others = listed(other for other in group if told.at[line, other])
                message = f"is empty although {others} is given; write 0 for none"
                problems.append(table.at(line, name, message, "missing_value"))
    return problems


def _too_many(table: Table, faulty: Cells) -> list[Problem]:
    problems = []
    for part, whole in AT_MOST.items():
        frame = table.frame.loc[table.sound_lines((part, whole), faulty), [part, whole]]
        for line, some, most in frame[frame[part] > frame[whole]].itertuples():
            problems.append(table.at(line, part, f"{some:g}, more than {whole} {most:g}", "out_of_range"))
    return problems


def _key_problems(tables: Tables, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    properties = {**load_schema("patients")["properties"], **config["extra_columns"].get("patients", {})}
    found: list[tuple[KeyPath, str, str]] = []
    for name, allowed in config["eligibility"].items():
        if name not in properties and name not in MARKERS:
            message = f"{printable(name)} is neither a marker nor a column of patients.tsv"
            hint = did_you_mean(name, [*MARKERS, *properties])
            found.append((("eligibility", name), message + hint, "unknown_column"))
            continue
        known = MARKER_CLASSES.get(name) or properties.get(name, {}).get("enum") or ()
        for at, value in enumerate(allowed):
            if known and str(value) not in map(str, known):
                message = f"{printable(str(value))}, expected one of {listed(known)}"
                found.append((("eligibility", name, at), message, "not_allowed"))
    settings = config["measure_biomarkers"]
    column = settings["stratum"]["column"]
    if column and column not in properties:
        message = f"{printable(column)} is not a column of patients.tsv{did_you_mean(column, list(properties))}"
        found.append((("measure_biomarkers", "stratum", "column"), message, "unknown_column"))
    if sorted(set(settings["cps_thresholds"])) != settings["cps_thresholds"]:
        found.append((("measure_biomarkers", "cps_thresholds"), "is not ascending", "not_allowed"))
    return [Problem(*place_of(path), dotted(path), message, kind) for path, message, kind in found]


def biomarker_notes(tables: Tables, config: Mapping[str, Any]) -> list[Problem]:
    """Return the conflicts between sources of a biomarker, and the patients outside the rule of eligibility.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config; ``eligibility`` and ``measure_biomarkers``.

    Returns
    -------
    list of Problem
        At the cell of biomarkers.tsv that was used, else at that of patients.tsv.
    """
    patients = tables.patients
    if patients is None or patients.frame["patient"].duplicated().any():
        return []
    known = {**config, "eligibility": told_eligibility(config)}
    chosen, conflicts = marker_tables(masked_table(patients.frame, config), _frame_of(tables.biomarkers), known)
    sheet, notes = tables.biomarkers, []
    for row in conflicts.to_dict("records") if sheet is not None else []:
        kind = f"biomarker_{row['kind']}"
        notes.append(_at(patients, sheet, row["patient"], row["marker"], f"{row['patient']}: {row['message']}", kind))
    for row in chosen[chosen["eligibility"].isin(["outside", "not known"])].to_dict("records"):
        allowed = listed(config["eligibility"][row["marker"]])
        told = f"{row['marker']} of {row['patient']} is {row['class'] or 'not known'}, eligible is {allowed}"
        kind = "not_eligible" if row["eligibility"] == "outside" else "eligibility_unknown"
        notes.append(_at(patients, sheet, row["patient"], row["marker"], told, kind))
    return notes


def _frame_of(table: Table | None) -> pd.DataFrame | None:
    return None if table is None else table.frame


def _at(patients: Table, sheet: Table | None, patient: str, marker: str, message: str, kind: str) -> Problem:
    """Place a note at the patient's first row of biomarkers.tsv, or in patients.tsv where that tells of it alone."""
    for table, column in ((sheet, NOTED.get(marker, "")), (patients, marker)):
        if table is not None and column:
            own = table.frame.index[table.frame["patient"] == patient]
            if len(own):
                return table.at(own[0], column, message, kind)
    return patients.at(1, marker, message, kind)


def marker_tables(
    patients: pd.DataFrame, sheet: pd.DataFrame | None, config: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of the biomarkers of each patient.

    Parameters
    ----------
    patients
        One row per patient.
    sheet
        Rows of biomarkers.tsv; none without the sheet.
    config
        ``visits``, ``eligibility`` and the section ``measure_biomarkers``.

    Returns
    -------
    chosen : pandas.DataFrame
        As from `patient_markers.add_eligibility`.
    conflicts : pandas.DataFrame
        As from `patient_markers.list_conflicts`.
    """
    settings = {name: value for name, value in config["measure_biomarkers"].items() if name in Rules._fields}
    rules = Rules(**settings)
    given = read_measurements(_empty_sheet() if sheet is None else sheet, rules)
    chosen = choose_markers(given, patients, config["visits"], rules)
    conflicts = list_conflicts(chosen, given, patients, rules)
    return add_eligibility(chosen, patients, config["eligibility"]), conflicts


def _empty_sheet() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(load_schema("biomarkers")["properties"]))


def told_eligibility(config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the rule of eligibility without the columns that a masked cohort keeps from its rules."""
    hidden = masked_columns(config)
    return {name: allowed for name, allowed in config["eligibility"].items() if name not in hidden}
