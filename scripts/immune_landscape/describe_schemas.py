"""Render the schemas as the tables of config/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from immune_landscape.schemas import load_schema, section_names

README = Path(__file__).resolve().parents[2] / "config" / "README.md"
BEGIN = "<!-- begin: tables made from workflow/schemas; do not edit -->"
END = "<!-- end: tables made from workflow/schemas -->"
SHEETS = (
    *("patients", "samples", "populations", "measures", "assessments", "adverse_events", "biomarkers"),
    "donor_cells",
)
FORMS = {"slug": "id", "study-code": "id", "path": "path", "text": "text"}

Schema = Mapping[str, Any]


def render_reference() -> str:
    """Return the tables of every key and column, in Markdown.

    Returns
    -------
    str
        cohort.yaml, the sheets, and one table per rule that has settings.
    """
    parts = ["## cohort.yaml", _keys(load_schema("cohort"))]
    for name in SHEETS:
        schema = load_schema(name)
        parts += [f"## {schema['title']}", schema["description"], _columns(schema)]
    parts += [
        "## Settings of the rules",
        "Each is a section of cohort.yaml or config.yaml, named like its rule.",
    ]
    for name in section_names():
        schema = load_schema(f"settings/{name}")
        parts += [f"### {name}", _one_line(schema.get("description", "")), _keys(schema)]
    return "\n\n".join(part for part in parts if part) + "\n"


def with_reference(text: str) -> str:
    """Return the text of config/README.md with its tables made anew.

    Parameters
    ----------
    text
        Text with the two markers.

    Returns
    -------
    str
        The same text, but for what stands between the markers.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render_reference()}\n{END}{after}"


def _keys(schema: Schema) -> str:
    rows = [
        f"| `{path}` | {_type(sub)} | {_default(sub, required)} | {_allowed(sub)} | {_text(sub)} |"
        for path, sub, required in _walk(schema, "")
    ]
    head = ["| Key | Type | Default | Allowed | Meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) if rows else ""


def _walk(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, sub in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, sub, name in schema.get("required", ())
        yield from _walk(sub, f"{path}.")
        if isinstance(sub.get("items"), dict):
            yield from _walk(sub["items"], f"{path}[].")
        if isinstance(sub.get("additionalProperties"), dict):
            yield from _walk(sub["additionalProperties"], f"{path}.NAME.")


def _columns(schema: Schema) -> str:
    rows = []
    for name, sub in schema["properties"].items():
        needed = "yes" if name in schema["required"] else ""
        kind = FORMS.get(sub.get("format", ""), _type(sub))
        rows.append(f"| `{name}` | {needed} | {kind} | {_allowed(sub)} | {_text(sub)} |")
    return "\n".join(["| Column | Required | Type | Allowed | Meaning |", "|---|---|---|---|---|", *rows])


def _type(sub: Schema) -> str:
    kinds = sub.get("type", "any")
    if kinds == "array":
        return f"list of {_type(sub.get('items', {}))}"
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def _default(sub: Schema, required: bool) -> str:
    if required:
        return "required"
    if "default" not in sub or sub.get("type") == "object":
        return ""
    return f"`{_value(sub['default'])}`"


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    return '""' if value == "" else str(value).replace("|", "\\|")


def _allowed(sub: Schema) -> str:
    of = sub["items"] if sub.get("type") == "array" and "items" in sub else sub
    if "enum" in of:
        return ", ".join(f"`{_value(value)}`" for value in of["enum"])
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {of[key]}" for key, sign in signs.items() if key in of)


def _text(sub: Schema) -> str:
    return _one_line(sub.get("description", "")).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    README.write_text(with_reference(README.read_text(encoding="utf-8")), encoding="utf-8")
