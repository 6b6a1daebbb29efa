"""What in the sheets is unusual but allowed, told without stopping the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from immune_landscape.clinical_checks import clinical_notes
from immune_landscape.designs import group_column
from immune_landscape.errors import Problem
from immune_landscape.number_checks import measure_notes, population_notes
from immune_landscape.schemas import load_schema
from immune_landscape.sheet_tables import Table, Tables
from immune_landscape.text_files import listed, printable


def sheet_notes(tables: Tables, config: Mapping[str, Any]) -> list[Problem]:
    """Return what in the sheets is unusual but allowed.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config.

    Returns
    -------
    list of Problem
        Late baselines, missing visits, patients without samples, ages over 89, deaths not counted as progression
        events, sources that disagree on a patient, patients without a response, how shares are counted, and what the
        clinical sheets tell otherwise than patients.tsv.
    """
    notes = []
    if tables.patients is not None:
        notes += _patient_notes(tables.patients) + _disagreements(tables.patients, config)
    if tables.samples is not None:
        notes += _late_baselines(tables.samples, config)
    if tables.patients is not None and tables.samples is not None:
        notes += _gaps(tables.patients, tables.samples, config)
        notes += _without_response(tables.patients, tables.samples, config)
    if tables.populations is not None:
        notes += population_notes(tables.populations)
    if tables.measures is not None:
        notes += measure_notes(tables.measures)
    return notes + clinical_notes(tables, config)


def _patient_notes(table: Table) -> list[Problem]:
    frame, notes = table.frame, []
    for line in frame.index[frame["age"] > 89]:
        notes.append(table.at(line, "age", "over 89, kept as 90", "old_age"))
    same_time = (frame["pfs_time"] == frame["os_time"]) & (frame["os_event"] == 1) & (frame["pfs_event"] == 0)
    for line in frame.index[same_time]:
        notes.append(table.at(line, "pfs_event", "0 although the patient died at that time", "death_not_progression"))
    for line in frame.index[(frame["dlt"] == "yes") & (frame["dlt_evaluable"] == "no")]:
        notes.append(table.at(line, "dlt", "yes although dlt_evaluable is no", "dlt_not_evaluable"))
    return notes


def _disagreements(table: Table, config: Mapping[str, Any]) -> list[Problem]:
    """Name the patients of whom a second source says something else; a source that says nothing disagrees with none."""
    notes = []
    standard = load_schema("patients")["properties"]
    for name, extra in config["extra_columns"].get("patients", {}).items():
        column = extra["same_as"]
        if column not in standard or name not in table.frame:
            continue
        for line, first, second in table.frame[[column, name]].itertuples():
            one, other = _meant(first, standard[column]), _meant(second, standard[column])
            if one and other and one != other:
                message = f"{column} is {_shown(first)}, {name} is {_shown(second)}"
                notes.append(table.at(line, name, message, "sources_disagree"))
    return notes


def _meant(cell: Any, spec: Mapping[str, Any]) -> str:
    """Return what a cell says in the terms of a standard column, whatever its case and blanks."""
    if isinstance(cell, float):
        return f"{cell:g}" if cell == cell else ""
    bare = " ".join(cell.split()).casefold()
    known = spec.get("x-synonyms", {}).get(bare, bare)
    return {str(value).casefold(): str(value) for value in spec.get("enum", ())}.get(known.casefold(), known)


def _shown(cell: Any) -> str:
    return f"{cell:g}" if isinstance(cell, float) else printable(cell.strip())


def _late_baselines(table: Table, config: Mapping[str, Any]) -> list[Problem]:
    first = config["visits"][0] if len(config["visits"]) > 1 else None
    late = (table.frame["visit"] == first) & (table.frame["day"] > 0)
    message = f"{first} was taken after the first dose"
    return [table.at(line, "day", message, "late_baseline") for line in table.frame.index[late]]


def _gaps(patients: Table, samples: Table, config: Mapping[str, Any]) -> list[Problem]:
    notes: list[Problem] = []
    if not len(samples.frame):
        return notes
    visits = samples.frame.groupby("patient")["visit"].agg(set).to_dict()
    for line, patient in patients.frame["patient"].items():
        missing = [visit for visit in config["visits"] if visit not in visits.get(patient, ())]
        if patient and patient not in visits:
            notes.append(patients.at(line, "patient", f"{patient} has no sample", "no_sample"))
        elif patient and missing:
            notes.append(patients.at(line, "patient", f"{patient} has no sample at {listed(missing)}", "missing_visit"))
    return notes


def _without_response(patients: Table, samples: Table, config: Mapping[str, Any]) -> list[Problem]:
    """Name the patients whom contrasts by response leave out because nothing is known of their response."""
    if not any(group_column(contrast) == "response" for contrast in config["contrasts"]):
        return []
    counts = samples.frame["patient"].value_counts()
    notes = []
    for line, patient, response in patients.frame[["patient", "best_response"]].itertuples():
        if patient in counts and not response:
            message = f"{patient} has none; {_samples(int(counts[patient]))} left out of response contrasts"
            notes.append(patients.at(line, "best_response", message, "no_response"))
    return notes


def _samples(count: int) -> str:
    return "1 sample is" if count == 1 else f"{count} samples are"
