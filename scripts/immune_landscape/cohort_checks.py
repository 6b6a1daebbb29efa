"""Rules that span the rows and tables of a cohort."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immune_landscape.clinical_checks import clinical_problems
from immune_landscape.config_checks import LocationOf, case_twins, is_simulated
from immune_landscape.data_files import resolve_path
from immune_landscape.designs import WITHIN
from immune_landscape.errors import Problem
from immune_landscape.number_checks import feature_names, measure_problems, population_problems, unknown_measure
from immune_landscape.sheet_tables import Cells, Table, Tables
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

if TYPE_CHECKING:
    import pandas as pd

FILE_LAYERS = ("gex", "tcr", "bulk_tcr")


def sheet_problems(
    tables: Tables, config: Mapping[str, Any], unsound: set[str], place_of: LocationOf, faulty: Cells
) -> list[Problem]:
    """Return what is wrong between rows and between sheets.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config.
    unsound
        Top-level config keys that are already reported.
    place_of
        Tells the file and line of a config key path.
    faulty
        File, line and column of cells already reported, so as not to report them again.

    Returns
    -------
    list of Problem
        Duplicates, unknown references, impossible times and orders, and empty layers.
    """
    problems = []
    patients, samples = tables.patients, tables.samples
    if patients is not None:
        problems += [
            *_repeated_patients(patients),
            *_outcomes(patients, faulty),
            *_twins(patients, ("patient", "arm")),
        ]
    if samples is not None:
        problems += [*_repeated(samples, ["sample"], "duplicate_sample", faulty)]
        problems += [*_repeated_visits(samples, config, faulty), *_twins(samples, ("sample", "batch"))]
        problems += [*_shared_files(samples, config), *_visit_order(samples, config)]
    if patients is not None and samples is not None:
        problems += _unknown(samples, "patient", patients, faulty)
    problems += _numbers_per_sample(tables, faulty)
    problems += clinical_problems(tables, config, place_of, faulty)
    problems += _empty_layers(tables, config, place_of) if "layers" not in unsound else []
    return problems + _keys_without_data(tables, config, place_of)


def _keys_without_data(tables: Tables, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    """Return the config keys that ask for what no sheet holds."""
    problems = []
    wanted = config["absolute_counts"]
    if fault := unknown_measure(tables, wanted) if wanted else "":
        problems.append(Problem(*place_of(("absolute_counts",)), "absolute_counts", fault, "unknown_measure"))
    patients = tables.patients
    if config["responders"]["pfs_at_least"] is not None and patients is not None and _all_empty(patients, "pfs_time"):
        path: KeyPath = ("responders", "pfs_at_least")
        problems.append(Problem(*place_of(path), dotted(path), "needs pfs_time in patients.tsv", "missing_column"))
    return problems + _unknown_features(tables, config, place_of)


def _unknown_features(tables: Tables, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    """Return the declared features that a sheet does not have: a family without its member would test nothing."""
    names = feature_names(tables)
    problems = []
    for i, contrast in enumerate(config["contrasts"]):
        for layer in names.keys() & contrast["features"].keys():
            known = names[layer]
            for j, name in enumerate(contrast["features"][layer]):
                if name not in known:
                    path: KeyPath = ("contrasts", i, "features", layer, j)
                    message = f"{printable(name)} is not in {layer}.tsv{did_you_mean(name, known)}"
                    problems.append(Problem(*place_of(path), dotted(path), message, "unknown_feature"))
    return problems


def _all_empty(table: Table, column: str) -> bool:
    return bool(table.frame[column].isna().all())


def _repeated(table: Table, keys: list[str], kind: str, faulty: Cells) -> list[Problem]:
    seen: dict[tuple[str, ...], int] = {}
    problems = []
    for line, *values in table.frame[keys].itertuples():
        if line in table.broken or not all(values) or any((table.label, line, key) in faulty for key in keys):
            continue
        first = seen.setdefault(tuple(values), line)
        if first != line:
            what = " ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
            problems.append(table.at(line, keys[0], f"{what} already used on line {first}", kind))
    return problems


def _repeated_patients(table: Table) -> list[Problem]:
    problems = []
    first: dict[str, tuple[int, str]] = {}
    for line, patient, response in table.frame[["patient", "best_response"]].itertuples():
        if not patient or line in table.broken:
            continue
        before, earlier = first.setdefault(patient, (line, response))
        if before != line and response != earlier:
            message = (
                f"{printable(response)} for {patient}, but {printable(earlier)} on line {before}; keep the right row"
            )
            problems.append(table.at(line, "best_response", message, "conflicting_response"))
        elif before != line:
            message = f"patient {patient} already used on line {before}"
            problems.append(table.at(line, "patient", message, "duplicate_patient"))
    return problems


def _repeated_visits(table: Table, config: Mapping[str, Any], faulty: Cells) -> list[Problem]:
    frame = table.frame.assign(tissue=table.frame["tissue"].mask(table.frame["tissue"] == "", config["tissues"][0]))
    once = frame[~frame["sample"].duplicated() | (frame["sample"] == "")]
    problems = []
    for part, more in ((once[once["region"] == ""], ()), (once[once["region"] != ""], ("region",))):
        keys = ["patient", "visit", "tissue", *more]
        problems += _repeated(Table(table.label, part, table.present, table.broken), keys, "duplicate_visit", faulty)
    return problems + _whole_beside_regions(table, once)


def _whole_beside_regions(table: Table, frame: pd.DataFrame) -> list[Problem]:
    """Report samples without a region beside others of the same tissue that have one: what they are part of is open."""
    problems = []
    for _, rows in frame.groupby(["patient", "visit", "tissue"], sort=False):
        named = rows[rows["region"] != ""]
        for line in rows.index[rows["region"] == ""] if len(named) else []:
            there = f"region {named['region'].iloc[0]} of the same tissue and visit"
            message = f"is empty, but line {named.index[0]} is of {there}"
            problems.append(table.at(line, "region", message, "missing_region"))
    return problems


def _twins(table: Table, columns: tuple[str, ...]) -> list[Problem]:
    problems = []
    for column in columns:
        cells = table.frame[column]
        for first, second in case_twins(dict.fromkeys(cell for cell in cells if cell)):
            line = cells.index[cells == second][0]
            earlier = cells.index[cells == first][0]
            message = f"{printable(second)} and {printable(first)} (line {earlier}) differ only in case"
            problems.append(table.at(line, column, message, "case_twin"))
    return problems


def _unknown(table: Table, column: str, source: Table, faulty: Cells) -> list[Problem]:
    if column not in table.present or column not in source.present:
        return []
    known = list(dict.fromkeys(source.frame[column]))
    problems = []
    for line, value in table.frame[column].items():
        if not value or value in known or (table.label, line, column) in faulty:
            continue
        message = f"{printable(value)} is not in {Path(source.label).name}{did_you_mean(value, known)}"
        problems.append(table.at(line, column, message, f"unknown_{column}"))
    return problems


def _outcomes(table: Table, faulty: Cells) -> list[Problem]:
    problems = []
    for line, row in table.frame.iterrows():
        for kind in ("pfs", "os"):
            time, event = row[f"{kind}_time"], row[f"{kind}_event"]
            if not {(table.label, line, f"{kind}_{part}") for part in ("time", "event")} & faulty:
                problems += _half_outcome(table, line, kind, time, event)
        if row["pfs_time"] > row["os_time"]:
            message = f"{row['pfs_time']:g} is longer than os_time {row['os_time']:g}"
            problems.append(table.at(line, "pfs_time", message, "pfs_after_os"))
        if row["evaluable"] == "yes" and row["best_response"] == "NE":
            message = "yes although best_response is NE (not evaluable)"
            problems.append(table.at(line, "evaluable", message, "clash"))
    return problems


def _half_outcome(table: Table, line: Any, kind: str, time: float, event: float) -> list[Problem]:
    if math.isnan(time) == math.isnan(event):
        return []
    if math.isnan(time):
        return [
            table.at(
                line,
                f"{kind}_time",
                f"is empty although {kind}_event is {event:g}",
                "event_without_time",
            )
        ]
    message = f"is empty although {kind}_time is {time:g}"
    return [table.at(line, f"{kind}_event", message, "time_without_event")]


def _visit_order(table: Table, config: Mapping[str, Any]) -> list[Problem]:
    rank = {visit: i for i, visit in enumerate(config["visits"])}
    frame = table.frame[table.frame["visit"].isin(list(rank)) & table.frame["day"].notna()]
    problems = []
    for _, rows in frame.groupby(["patient", "tissue"], sort=False):
        ordered = rows.assign(rank=rows["visit"].map(rank)).sort_values("rank", kind="stable")
        for (_, one), (line, two) in itertools.pairwise(ordered.iterrows()):
            if two["rank"] > one["rank"] and two["day"] < one["day"]:
                message = f"{two['day']:g} at {two['visit']} is before day {one['day']:g} at {one['visit']}"
                problems.append(table.at(line, "day", message, "visit_order"))
    return problems


def _shared_files(table: Table, config: Mapping[str, Any]) -> list[Problem]:
    many = config["inputs"]["gex_sample_column"] is not None
    problems = []
    for column in FILE_LAYERS:
        seen: dict[tuple[str, str], int] = {}
        for line, path, label, sample in table.frame[[column, "gex_label", "sample"]].itertuples():
            # With a sample column one file may serve many samples, each under its own label.
            key = (path, (label or sample) if many and column != "bulk_tcr" else "")
            first = seen.setdefault(key, line) if path else line
            if first != line:
                message = f"{printable(path)} is already used on line {first}" + _shared_hint(column, many)
                problems.append(table.at(line, column, message, "file_used_twice"))
    return problems


def _shared_hint(column: str, many: bool) -> str:
    if column == "bulk_tcr":
        return ""
    return " for the same gex_label" if many else "; for one file with many samples set inputs.gex_sample_column"


def _numbers_per_sample(tables: Tables, faulty: Cells) -> list[Problem]:
    problems = []
    names = {"populations": "population", "measures": "measure"}
    for name, table in tables.optional().items():
        key = names[name]
        if tables.samples is not None:
            problems += _unknown(table, "sample", tables.samples, faulty)
        problems += _repeated(table, ["sample", key], f"duplicate_{key}", faulty)
        problems += measure_problems(table, faulty) if name == "measures" else population_problems(table, faulty)
    return problems


def held_layers(tables: Tables) -> list[str]:
    """Return the kinds of data that the sheets hold, in the order of the schema.

    Parameters
    ----------
    tables
        Typed sheets.

    Returns
    -------
    list of str
        Of gex, tcr, bulk_tcr, populations and measures.
    """
    held = []
    if tables.samples is not None:
        held += [name for name in FILE_LAYERS if (tables.samples.frame[name] != "").any()]
    return held + [name for name, table in tables.optional().items() if len(table.frame)]


def _empty_layers(tables: Tables, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    held = held_layers(tables)
    problems = []
    for i, layer in enumerate(config.get("layers", ())):
        if layer not in held and tables.samples is not None:
            path: KeyPath = ("layers", i)
            where = "samples.tsv" if layer in FILE_LAYERS else f"{layer}.tsv"
            message = f"{layer} is listed, but {where} holds none; the sheets hold {listed(held) or 'no data'}"
            problems.append(Problem(*place_of(path), dotted(path), message, "empty_layer"))
    return problems


def resolved_paths(
    samples: Table | None, root: Path, config: Mapping[str, Any]
) -> tuple[dict[str, list[str]], list[Problem]]:
    """Resolve the data paths of samples.tsv.

    Parameters
    ----------
    samples
        Typed samples.tsv.
    root
        Folder that paths are relative to.
    config
        Effective config. Without the layer of a column its paths are dropped.

    Returns
    -------
    resolved : dict of str to list of str
        Paths per column, empty where missing or faulty.
    problems : list of Problem
        One per faulty path.
    """
    resolved: dict[str, list[str]] = {}
    problems: list[Problem] = []
    if samples is None:
        return resolved, problems
    for column in FILE_LAYERS:
        resolved[column] = []
        wanted = column in config.get("layers", FILE_LAYERS)
        for line, cell in samples.frame[column].items():
            path, fault = _resolved(cell if wanted else "", root, config)
            resolved[column].append(path)
            if fault:
                problems.append(samples.at(line, column, fault[1], fault[0]))
    return resolved, problems


def _resolved(cell: str, root: Path, config: Mapping[str, Any]) -> tuple[str, tuple[str, str] | None]:
    if not cell:
        return "", None
    return resolve_path(cell, root, outside=config["paths_outside"], must_exist=not is_simulated(config))


def completed_config(config: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    """Return the config with what only the sheets can tell.

    Parameters
    ----------
    config
        Effective config.
    tables
        Typed sheets.

    Returns
    -------
    dict
        New config: ``layers`` present, ``simulated`` set for a simulation, and for each contrast
        the tissue or visit within which it is formed and the cohort's strata besides its own.
    """
    completed = copy.deepcopy(dict(config))
    completed.setdefault("layers", held_layers(tables))
    completed["simulated"] = config["simulated"] or is_simulated(config)
    source = {"visit": "visits", "tissue": "tissues"}
    for contrast in completed["contrasts"]:
        for key in WITHIN[contrast["factor"]]:
            contrast[key] = contrast[key] or next(iter(config[source[key]]), "")
        contrast["strata"] = list(dict.fromkeys([*config["strata"], *contrast["strata"]]))
    return completed
