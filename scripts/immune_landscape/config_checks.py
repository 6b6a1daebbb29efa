"""Rules that span the keys of a cohort's config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
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


def config_problems(config: Mapping[str, Any], folder: Path, unsound: set[str], place_of: LocationOf) -> list[Problem]:
    """Return what is wrong between keys of the config.

    Parameters
    ----------
    config
        Effective config.
    folder
        Folder of the cohort, which may hold claims of its own.
    unsound
        Top-level keys that are already reported.
    place_of
        Tells the file and line of a key path.

    Returns
    -------
    list of Problem
        Unsafe ids, contrasts with unknown levels or columns, unknown claims, clashing lists, a scheduler without dask.
    """
    problems = _listed_ids(config, unsound, place_of)
    responders = config["responders"]
    both = sorted(set(responders["positive"]) & set(responders["negative"]))
    if both:
        path: KeyPath = ("responders",)
        message = f"{listed(both)} in both positive and negative"
        problems.append(Problem(*place_of(path), "responders", message, "clash"))
    if config["scheduler"] and find_spec("distributed") is None:
        message = f"{config['scheduler']!r} needs the package distributed: install envs/workers.txt"
        problems.append(Problem(*place_of(("scheduler",)), "scheduler", message, "missing_package"))
    problems += _column_keys(config, place_of)
    problems += _second_sources(config, place_of)
    problems += _claims_problems(config, folder, place_of)
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
    for key in ("strata", "subgroups"):
        for i, name in enumerate(config["randomisation"][key]):
            problems += _known_column(("randomisation", key, i), name, "patients", config, place_of)
    return problems


def _second_sources(config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    """Return the extra columns whose ``same_as`` names no standard column of patients.tsv of the same type."""
    problems = []
    standard = {name: spec for name, spec in load_schema("patients")["properties"].items() if name != "patient"}
    for sheet in ("patients", "samples"):
        for name, spec in config["extra_columns"].get(sheet, {}).items():
            path: KeyPath = ("extra_columns", sheet, name, "same_as")
            fault = _same_as_fault(spec, standard if sheet == "patients" else {}) if spec["same_as"] else None
            if fault:
                problems.append(Problem(*place_of(path), dotted(path), *fault))
    return problems


def _same_as_fault(spec: Mapping[str, Any], standard: Mapping[str, Any]) -> tuple[str, str] | None:
    column = spec["same_as"]
    if not standard:
        return f"{printable(column)}, but only columns of patients.tsv have a second source", "clash"
    if column not in standard:
        message = f"{printable(column)} is not a standard column of patients.tsv: {listed(standard)}"
        return message + did_you_mean(column, standard), "unknown_column"
    numbers = ("number", "integer")
    if (standard[column]["type"] in numbers) != (spec["type"] in numbers):
        return f"{column} is of type {standard[column]['type']}, this column of type {spec['type']}", "clash"
    return None


def _claims_problems(config: Mapping[str, Any], folder: Path, place_of: LocationOf) -> list[Problem]:
    """Return the claims files that are not there, and the mistakes in those that are."""
    problems: list[Problem] = []
    if not config["claims"]:
        return problems
    from immune_landscape.claim_files import examine_claims, find_claims, known_claims

    for i, name in enumerate(config["claims"]):
        file = find_claims(folder, name)
        if file is not None:
            problems += examine_claims(file)[1]
            continue
        known, path = known_claims(folder), ("claims", i)
        message = f"no claims/{name}.yaml in the cohort's folder or in workflow/resources; known claims: "
        message += (listed(known) or "none") + did_you_mean(name, known)
        problems.append(Problem(*place_of(path), dotted(path), message, "unknown_claims"))
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
    problems = _unknown_levels(contrast, path, config, unsound, place_of) + _target_problems(contrast, path, place_of)
    names: list[tuple[KeyPath, str]]
    names = [((key, i), name) for key in ("strata", "covariates") for i, name in enumerate(contrast[key])]
    names += [(("group_column",), contrast["group_column"])] if contrast["group_column"] else []
    for key, name in names:
        problems += _known_column((*path, *key), name, "patients", config, place_of)
    return problems


def _unknown_levels(
    contrast: Mapping[str, Any],
    path: KeyPath,
    config: Mapping[str, Any],
    unsound: set[str],
    place_of: LocationOf,
) -> list[Problem]:
    problems = []
    lists = {"visit": "visits", "tissue": "tissues"}
    factor = contrast["factor"]
    named: list[tuple[KeyPath, str, str]] = [((key,), key, contrast[key]) for key in lists]
    if factor in lists:  # regions are those of samples.tsv, and checked with its samples
        named += [(("reference",), factor, contrast["reference"]), (("target",), factor, contrast["target"])]
        named += [(("targets", i), factor, level) for i, level in enumerate(contrast["targets"])]
    for key, of, value in named:
        known, here = config[lists[of]], (*path, *key)
        if value and value not in known and lists[of] not in unsound:
            message = f"{printable(value)}, expected one of {listed(known)}{did_you_mean(value, known)}"
            problems.append(Problem(*place_of(here), dotted(here), message, "unknown_level"))
    return problems


def _target_problems(contrast: Mapping[str, Any], path: KeyPath, place_of: LocationOf) -> list[Problem]:
    found: list[tuple[KeyPath, str, str]] = []
    if contrast["estimand"] != "baseline" and not contrast["target"] and not contrast["targets"]:
        found.append((("target",), f"or targets is needed by the estimand {contrast['estimand']}", "missing_key"))
    if contrast["target"] and contrast["targets"]:
        found.append((("targets",), f"given besides target {contrast['target']}; keep one of the two", "clash"))
    levels = [(("target",), contrast["target"]), *((("targets", i), x) for i, x in enumerate(contrast["targets"]))]
    for key, level in levels:
        if level and level == contrast["reference"]:
            found.append((key, f"{level} is also the reference", "clash"))
    return [Problem(*place_of((*path, *key)), dotted((*path, *key)), message, kind) for key, message, kind in found]
