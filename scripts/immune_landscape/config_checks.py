"""Rules that span the keys of a cohort's config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from immune_landscape.errors import Problem
from immune_landscape.identifiers import id_fault
from immune_landscape.schemas import Location, load_schema
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

LocationOf = Callable[[KeyPath], Location]
SIMULATED_ROOT = "simulated"


def is_simulated(config: Mapping[str, Any]) -> bool:
    """Return whether the data files are simulated from the sheets, so that none has to exist."""
    return config["data_root"] == SIMULATED_ROOT


def config_problems(config: Mapping[str, Any], unsound: set[str], place_of: LocationOf) -> list[Problem]:
    """Return what is wrong between keys of the config.

    Parameters
    ----------
    config
        Effective config.
    unsound
        Top-level keys that are already reported.
    place_of
        Tells the file and line of a key path.

    Returns
    -------
    list of Problem
        Unsafe ids, contrasts with unknown levels or columns, and clashing lists.
    """
    problems = _listed_ids(config, unsound, place_of)
    responders = config["responders"]
    both = sorted(set(responders["positive"]) & set(responders["negative"]))
    if both:
        path: KeyPath = ("responders",)
        message = f"{listed(both)} in both positive and negative"
        problems.append(Problem(*place_of(path), "responders", message, "clash"))
    problems += _column_keys(config, place_of)
    if "contrasts" not in unsound:
        problems += _contrast_names(config, place_of)
        for i, contrast in enumerate(config["contrasts"]):
            problems += _contrast_problems(contrast, ("contrasts", i), config, unsound, place_of)
    return problems


def _listed_ids(config: Mapping[str, Any], unsound: set[str], place_of: LocationOf) -> list[Problem]:
    problems = []
    for key in ("visits", "tissues"):
        for i, value in enumerate(config[key] if key not in unsound else ()):
            fault = id_fault(value, person=False)
            if fault:
                path: KeyPath = (key, i)
                problems.append(Problem(*place_of(path), dotted(path), fault[1], fault[0]))
        for first, second in case_twins(config[key] if key not in unsound else ()):
            message = f"{second} and {first} differ only in case"
            problems.append(Problem(*place_of((key,)), key, message, "case_twin"))
    return problems


def case_twins(values: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of different values that are equal but for case, each after its first."""
    seen: dict[str, str] = {}
    twins = []
    for value in values:
        first = seen.setdefault(value.casefold(), value)
        if first != value:
            twins.append((first, value))
    return twins


def _column_keys(config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    problems = []
    for sheet in ("patients", "samples"):
        standard = {**load_schema("patients")["properties"], **load_schema("samples")["properties"]}
        for name in config["extra_columns"].get(sheet, {}):
            if name in standard or name == "response":
                path: KeyPath = ("extra_columns", sheet, name)
                message = "is the name of a standard column; choose another"
                problems.append(Problem(*place_of(path), dotted(path), message, "clash"))
    # Both sheets are joined in the design table, where a name can stand for one column only.
    for name in config["extra_columns"].get("samples", {}):
        if name in config["extra_columns"].get("patients", {}):
            path = ("extra_columns", "samples", name)
            message = "is also an extra column of patients; give one of them another name"
            problems.append(Problem(*place_of(path), dotted(path), message, "clash"))
    problems += _known_column(("batch_key",), config["batch_key"], "samples", config, place_of)
    for i, name in enumerate(config["strata"]):
        problems += _known_column(("strata", i), name, "patients", config, place_of)
    return problems


def _known_column(
    path: KeyPath, name: str, sheet: str, config: Mapping[str, Any], place_of: LocationOf
) -> list[Problem]:
    known = [*load_schema(sheet)["properties"], *config["extra_columns"].get(sheet, {})]
    if name in known:
        return []
    message = f"{printable(name)} is not a column of {sheet}.tsv{did_you_mean(name, known)}"
    return [Problem(*place_of(path), dotted(path), message, "unknown_column")]


def _contrast_names(config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    problems = []
    first: dict[str, int] = {}
    for i, contrast in enumerate(config["contrasts"]):
        j = first.setdefault(contrast["name"].casefold(), i)
        if j != i:
            path: KeyPath = ("contrasts", i, "name")
            message = f"{contrast['name']} already names contrasts[{j}]"
            problems.append(Problem(*place_of(path), dotted(path), message, "duplicate_contrast"))
    return problems


def _contrast_problems(
    contrast: Mapping[str, Any],
    path: KeyPath,
    config: Mapping[str, Any],
    unsound: set[str],
    place_of: LocationOf,
) -> list[Problem]:
    problems = []
    lists = {"visit": "visits", "tissue": "tissues"}
    levels = {
        "reference": contrast["factor"],
        "target": contrast["factor"],
        "tissue": "tissue",
        "visit": "visit",
    }
    for key, factor in levels.items():
        known, value, here = config[lists[factor]], contrast[key], (*path, key)
        if value and value not in known and lists[factor] not in unsound:
            message = f"{printable(value)}, expected one of {listed(known)}{did_you_mean(value, known)}"
            problems.append(Problem(*place_of(here), dotted(here), message, "unknown_level"))
    here = (*path, "target")
    if contrast["estimand"] != "baseline" and not contrast["target"]:
        message = f"is needed by the estimand {contrast['estimand']}"
        problems.append(Problem(*place_of(here), dotted(here), message, "missing_key"))
    if contrast["target"] and contrast["target"] == contrast["reference"]:
        message = f"{contrast['target']} is also the reference"
        problems.append(Problem(*place_of(here), dotted(here), message, "clash"))
    for i, name in enumerate(contrast["strata"]):
        problems += _known_column((*path, "strata", i), name, "patients", config, place_of)
    return problems
