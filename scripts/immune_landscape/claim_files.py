"""Files of prior claims: where they lie, what they hold, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from immune_landscape.cell_types import RESOURCES
from immune_landscape.data_files import shown_path
from immune_landscape.errors import Problem, ProblemsError
from immune_landscape.schemas import fill_defaults, load_schema, schema_problems
from immune_landscape.strict_yaml import KeyPath, YamlFile, dotted, read_yaml
from immune_landscape.text_files import did_you_mean, listed, printable

FOLDER = RESOURCES / "claims"
ENDPOINTS = {"orr": "share", "dcr": "share", "pfs": "time", "os": "time"}
"""Endpoint -> what it is measured as."""

DAYS = {"days": 1.0, "weeks": 7.0, "months": 30.4375}
"""Unit of time -> days; a month is a twelfth of 365.25 days."""

POPULATIONS = ("evaluable", "all_treated")


def find_claims(folder: Path, name: str) -> Path | None:
    """Find a claims file by its name: the cohort's own wins over those that come with the workflow.

    Parameters
    ----------
    folder
        Cohort folder; its own claims lie in ``claims``.
    name
        Name without ``.yaml``.

    Returns
    -------
    pathlib.Path or None
        None when there is no such file.
    """
    found = (place / f"{name}.yaml" for place in _places(folder))
    return next((path for path in found if path.is_file()), None)


def known_claims(folder: Path) -> list[str]:
    """Return the names that `find_claims` finds.

    Parameters
    ----------
    folder
        Cohort folder.

    Returns
    -------
    list of str
        Sorted, each once.
    """
    return sorted({path.stem for place in _places(folder) for path in place.glob("*.yaml")})


def _places(folder: Path) -> tuple[Path, Path]:
    return Path(folder) / "claims", FOLDER


def read_claims(path: str | Path) -> dict[str, Any]:
    """Read a claims file and check it.

    Parameters
    ----------
    path
        File as `find_claims` returns.

    Returns
    -------
    dict
        ``name`` (of the file), ``source`` and ``claims``, every default filled in.

    Raises
    ------
    ProblemsError
        With every mistake of the file at once.
    """
    content, problems = examine_claims(path)
    if problems:
        raise ProblemsError(problems)
    return content


def examine_claims(path: str | Path) -> tuple[dict[str, Any], list[Problem]]:
    """Read a claims file as far as it can be read.

    Parameters
    ----------
    path
        File to read.

    Returns
    -------
    content : dict
        As `read_claims` returns; sound only without problems.
    problems : list of Problem
        Every mistake, with its line.
    """
    path = Path(path)
    file = read_yaml(path, shown_path(path))
    content = fill_defaults(load_schema("claims"), file.value)
    found = [] if not file.value and file.problems else schema_problems(load_schema("claims"), content, file.place)
    told = {problem.column for problem in file.problems}
    problems = [*file.problems, *(problem for problem in found if problem.column not in told)]
    if not problems:
        problems = list(_claim_problems(content["claims"], file))
    return {"name": path.stem, **content}, sorted(set(problems))


def _claim_problems(claims: list[dict[str, Any]], file: YamlFile) -> Iterator[Problem]:
    """Tell what is wrong between the keys of a claim, and between claims."""
    first: dict[str, int] = {}
    for at, claim in enumerate(claims):
        faults = [*_endpoint_faults(claim)] if claim["layer"] == "endpoints" else [*_effect_faults(claim)]
        before = first.setdefault(claim["id"], at)
        if before != at:
            faults.append(("id", f"{claim['id']} already names claims[{before}]", "duplicate_claim"))
        for key, message, kind in faults:
            path: KeyPath = ("claims", at, key)
            line = file.lines.get(path, file.lines[("claims", at)])
            yield Problem(file.label, line, dotted(path), message, kind)


Fault = tuple[str, str, str]


def _effect_faults(claim: Mapping[str, Any]) -> Iterator[Fault]:
    if claim["estimand"] == "level":
        yield "estimand", f"level is for endpoints, not for the layer {claim['layer']}", "clash"
    if claim["direction"] is None:
        yield "direction", "is needed: up or down", "missing_key"
    for key in ("value", "interval"):
        if claim[key] is not None:
            yield key, f"is for endpoints; the layer {claim['layer']} takes `direction` and `size`", "clash"
    for at, fallback in enumerate(claim["fallbacks"]):
        if fallback["layer"] == "endpoints":
            yield "fallbacks", f"item {at + 1}: an endpoint cannot stand in for an effect", "clash"


def _endpoint_faults(claim: Mapping[str, Any]) -> Iterator[Fault]:
    if claim["estimand"] != "level":
        yield "estimand", f"{claim['estimand']}, expected level for the layer endpoints", "not_allowed"
    if claim["feature"] not in ENDPOINTS:
        hint = did_you_mean(claim["feature"], ENDPOINTS)
        message = f"{printable(claim['feature'])}, expected one of {listed(ENDPOINTS)}{hint}"
        yield "feature", message, "not_allowed"
    elif unit_fault := _unit_fault(claim):
        yield "unit", unit_fault, "not_allowed"
    if unknown := [name for name in claim["parents"] if name not in POPULATIONS]:
        yield "parents", f"{listed(unknown)}, expected {' or '.join(POPULATIONS)}", "not_allowed"
    if claim["value"] is None:
        yield "value", "is needed for an endpoint", "missing_key"
    elif claim["interval"] and not claim["interval"][0] <= claim["value"] <= claim["interval"][1]:
        yield "interval", f"{claim['interval']} does not hold the value {claim['value']:g}", "clash"
    for key in ("direction", "size"):
        if claim[key] is not None:
            yield key, "is for effects; an endpoint takes `value`", "clash"
    if claim["fallbacks"]:
        yield "fallbacks", "an endpoint has none; list populations under parents", "clash"


def _unit_fault(claim: Mapping[str, Any]) -> str:
    allowed = ["share"] if ENDPOINTS[claim["feature"]] == "share" else list(DAYS)
    if claim["unit"] not in allowed:
        return f"{printable(claim['unit'])}, expected one of {listed(allowed)} for {claim['feature']}"
    shares = [claim["value"], *(claim["interval"] or [])]
    wrong = allowed == ["share"] and any(share is not None and not 0 <= share <= 1 for share in shares)
    return "a share lies within 0 and 1; write 31.6 % as 0.316" if wrong else ""
