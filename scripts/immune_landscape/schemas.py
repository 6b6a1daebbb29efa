"""Schemas of the cohort folder: the only home of defaults, and readable validation against them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from immune_landscape.errors import Problem
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

FOLDER = Path(__file__).resolve().parents[2] / "workflow" / "schemas"
TYPE_NAMES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}

Location = tuple[str, int]


NUMBER_OR_WORD = re.compile(r"[+-]?\d+|[+-]?\d*\.\d+|true|false|null")
"""What stands for a number, a truth value or nothing in YAML 1.2."""


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Load one schema of ``workflow/schemas``.

    Parameters
    ----------
    name
        File name without ``.schema.yaml``, such as ``patients`` or ``settings/check_inputs``.

    Returns
    -------
    dict
        The schema. It is shared: copy before changing it.
    """
    import yaml

    # The C parser is ten times faster, and these files are the project's own.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = FOLDER.joinpath(f"{name}.schema.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=loader)


def section_names() -> list[str]:
    """Return the names of the rules that have a settings section, sorted."""
    return sorted(path.name.removesuffix(".schema.yaml") for path in (FOLDER / "settings").glob("*.schema.yaml"))


@cache
def config_schema() -> dict[str, Any]:
    """Return the schema of the effective config: that of cohort.yaml and one section per rule.

    Returns
    -------
    dict
        The schema. It is shared: copy before changing it.
    """
    cohort = load_schema("cohort")
    sections = {name: load_schema(f"settings/{name}") for name in section_names()}
    return {**cohort, "properties": {**cohort["properties"], **sections}}


def fill_defaults(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value with every missing key that has a default filled in, at every level.

    Parameters
    ----------
    schema
        JSON Schema of the value.
    value
        Value to complete; not changed.

    Returns
    -------
    Any
        A new value.
    """
    if isinstance(value, dict):
        return _fill_object(schema, value)
    if isinstance(value, list):
        return [fill_defaults(schema.get("items", {}), item) for item in value]
    if isinstance(value, float) and schema.get("type") == "integer" and value.is_integer():
        return int(value)
    return value


def _fill_object(schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", {})
    filled = {
        key: fill_defaults(properties.get(key, rest if isinstance(rest, dict) else {}), item)
        for key, item in value.items()
    }
    for key, sub in properties.items():
        if key not in filled and "default" in sub:
            filled[key] = fill_defaults(sub, copy.deepcopy(sub["default"]))
    return filled


def typed(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value given on the command line with the types that its schema asks for.

    Snakemake hands nested values of ``--config`` over as text. What does not read as the type stays as it is, to be
    told by the validation.

    Parameters
    ----------
    schema
        JSON Schema of the value.
    value
        Value as given; not changed.

    Returns
    -------
    Any
        A new value.
    """
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        return {key: typed(properties.get(key, {}), item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(schema.get("items", {}), item) for item in value]
    kinds = schema.get("type", "string")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if not isinstance(value, str) or ("string" in kinds and not {"number", "integer"} & kinds):
        return value
    import yaml

    read = yaml.safe_load(value) if NUMBER_OR_WORD.fullmatch(value) else value
    return read if isinstance(read, (bool, int, float)) or read is None else value


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``lower`` overlaid by ``upper``; mappings merge key by key, all else is replaced.

    Parameters
    ----------
    lower
        Values that give way.
    upper
        Values that stay.

    Returns
    -------
    dict
        A new dict.
    """
    merged = {key: copy.deepcopy(value) for key, value in lower.items()}
    for key, value in upper.items():
        below = merged.get(key)
        nested = below if isinstance(below, dict) and isinstance(value, Mapping) else None
        merged[key] = copy.deepcopy(value) if nested is None else merge(nested, value)
    return merged


def schema_problems(schema: Mapping[str, Any], value: Any, place_of: Callable[[KeyPath], Location]) -> list[Problem]:
    """Return everything in which a value departs from its schema, in words.

    Parameters
    ----------
    schema
        JSON Schema, draft 2020-12.
    value
        Value to check.
    place_of
        Tells the file and line of a key path.

    Returns
    -------
    list of Problem
        One per mistake: value found, values allowed, and the likely key for a misspelt one.
    """
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    problems = []
    for error in validator.iter_errors(value):
        for path, message, kind in _worded(error):
            problems.append(Problem(*place_of(path), dotted(path), message, kind))
    return problems


def _worded(error: Any) -> list[tuple[KeyPath, str, str]]:
    path: KeyPath = tuple(error.absolute_path)
    found, rule, schema = error.instance, error.validator_value, error.schema
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        unknown = [key for key in found if key not in known]
        return [((*path, key), _unknown_key(key, known), "unknown_key") for key in unknown]
    if error.validator == "required":
        missing = [key for key in rule if key not in found and f"'{key}'" in error.message]
        return [((*path, key), "required key is missing", "missing_key") for key in missing]
    if error.validator == "type":
        return [(path, _wrong_type(found, rule), "wrong_type")]
    if error.validator == "enum":
        hint = did_you_mean(found, rule) if isinstance(found, str) else ""
        return [(path, f"{printable(found)}, expected one of {listed(rule)}{hint}", "not_allowed")]
    if error.validator == "format":
        return [(path, f"{printable(found)} is not a valid {rule}", "not_allowed")]
    if "x-expected" in schema and error.validator in ("pattern", "minLength", "maxLength"):
        return [(path, f"{printable(found)}, expected {schema['x-expected']}", "not_allowed")]
    return [(path, _bounds(error.validator, found, rule), "not_allowed")]


def _unknown_key(key: Any, known: list[str]) -> str:
    return f"unknown key{did_you_mean(str(key), known) or '; known keys: ' + listed(sorted(known))}"


def _wrong_type(found: Any, rule: str | list[str]) -> str:
    types = [rule] if isinstance(rule, str) else list(rule)
    expected = " or ".join(TYPE_NAMES[name] for name in types)
    if found is None:
        return f"is empty, expected {expected}; delete the key to use its default"
    if isinstance(found, (bool, int, float)) and "string" in types:
        word = str(found).lower() if isinstance(found, bool) else found
        return f'{word} is not text here; quote this value: "{word}"'
    if isinstance(found, str) and {"number", "integer"} & set(types) and _is_number(found):
        return f"{printable(found)} is text, expected {expected}; write it unquoted, with a decimal point"
    return f"{printable(found)}, expected {expected}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _bounds(keyword: str, found: Any, rule: Any) -> str:
    words = {
        "minimum": f"expected {rule} or more",
        "maximum": f"expected {rule} or less",
        "exclusiveMinimum": f"expected more than {rule}",
        "exclusiveMaximum": f"expected less than {rule}",
        "minItems": f"expected at least {rule} item(s)",
        "maxItems": f"expected at most {rule} item(s)",
        "minLength": f"expected at least {rule} character(s)",
        "maxLength": f"expected at most {rule} characters",
        "uniqueItems": "expected no item twice",
        "pattern": f"expected text that matches {rule}",
    }
    return f"{printable(found)}, {words.get(keyword, f'breaks the rule {keyword}: {printable(rule)}')}"
