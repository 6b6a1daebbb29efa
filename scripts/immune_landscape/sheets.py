"""Tab-separated sheets read strictly: nothing guessed, every bad cell reported with its line."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import Problem
from immune_landscape.identifiers import id_fault, personal_kind
from immune_landscape.text_files import NUMBER, closest, did_you_mean, listed, printable, read_text

if TYPE_CHECKING:
    import pandas as pd

Specs = Mapping[str, Mapping[str, Any]]

DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
CALENDAR = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}")
MISSING_WORDS = {"na", "n/a", "nan", "none", "null", "nd", "missing", "-", ".", "?"}


@dataclass(frozen=True)
class Sheet:
    """A sheet as text.

    Attributes
    ----------
    label
        Path as the user would type it.
    columns
        Cells by column, in the order of the header; unknown columns are left out.
    lines
        1-based line of each row.
    problems
        Mistakes of form.
    notes
        What was accepted though unusual.
    broken
        Lines with too few or too many cells, of which only the first cell is kept.
    """

    label: str
    columns: dict[str, list[str]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    broken: frozenset[int] = frozenset()


def read_sheet(path: Path, label: str, *, specs: Specs, required: list[str]) -> Sheet:
    """Read a tab-separated sheet as text, checking its form but not its values.

    Parameters
    ----------
    path
        Sheet to read.
    label
        The path as the user would type it.
    specs
        Known columns, each with its JSON Schema.
    required
        Columns that must be there.

    Returns
    -------
    Sheet
        Cells with surrounding blanks removed, except in columns with listed values, where a
        blank is left to be reported.

    Notes
    -----
    A byte-order mark, Windows line ends, blank lines, trailing tabs and blanks are accepted and
    noted. Rows with too few or too many cells are reported and left out, but for their first
    cells, so that one short row is not reported again as an unknown patient.
    """
    text, problems, notes = read_text(path, label)
    if text is None:
        return Sheet(label, problems=problems)
    rows = [(number, line) for number, line in enumerate(text.split("\n"), start=1)]
    while rows and not rows[-1][1].strip():
        rows.pop()
    if not rows:
        return Sheet(label, problems=[Problem(label, 0, "", "is empty, expected a header line", "empty_sheet")])
    header = _trimmed(rows[0][1].split("\t"))
    problems = _header_problems(header, label, specs, required)
    kept = {name: i for i, name in reversed(list(enumerate(header))) if name in specs}
    cells, lines, row_problems, row_notes = _rows(rows[1:], label, header)
    columns = {name: [row[kept[name]] for row in cells] for name in header if name in kept}
    broken = frozenset(problem.line for problem in row_problems)
    sheet = Sheet(label, columns, lines, [*problems, *row_problems], [*notes, *row_notes], broken)
    return _with_missing_reported(_without_blanks(sheet, specs), required)


def typed_columns(sheet: Sheet, specs: Specs) -> tuple[pd.DataFrame, list[Problem]]:
    """Convert a sheet's cells to the types of its columns, reporting every bad cell.

    Parameters
    ----------
    sheet
        Sheet as text.
    specs
        Known columns, each with its JSON Schema. A column that the sheet lacks comes out
        empty.

    Returns
    -------
    frame : pandas.DataFrame
        One row per row of the sheet, indexed by 1-based line; text columns hold strings
        (empty when missing), number columns floats (NaN when missing).
    problems : list of Problem
        One per bad cell. Text cells keep their value, bad numbers become NaN.
    """
    import pandas as pd

    problems: list[Problem] = []
    data: dict[str, list[Any]] = {}
    for name, spec in specs.items():
        numeric = spec.get("type") in ("number", "integer")
        cells = sheet.columns.get(name, [""] * len(sheet.lines))
        data[name] = []
        for line, cell in zip(sheet.lines, cells, strict=True):
            fault = cell_fault(cell, spec) if cell else None
            if fault:
                problems.append(Problem(sheet.label, line, name, fault[1], fault[0]))
            data[name].append(_number(cell, ok=fault is None) if numeric else unicodedata.normalize("NFC", cell))
    index = pd.Index(sheet.lines, name="line", dtype="int64")
    return pd.DataFrame(data, index=index, columns=list(specs)), problems


def cell_fault(cell: str, spec: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what is wrong with a cell, as kind and message.

    Parameters
    ----------
    cell
        Text of the cell, not empty.
    spec
        JSON Schema of the column.

    Returns
    -------
    tuple of str, or None
        Kind of mistake and message; none when the cell is good.
    """
    if spec.get("type") in ("number", "integer"):
        return _number_fault(cell, spec)
    allowed = ["yes", "no"] if spec.get("type") == "boolean" else spec.get("enum")
    if allowed:
        return None if cell in map(str, allowed) else ("not_allowed", _not_listed(cell, allowed, spec))
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in cell):
        return "control_character", f"{printable(cell)} holds a control character"
    form = spec.get("format", "text")
    if form in ("slug", "study-code"):
        return id_fault(cell, person=form == "study-code")
    if form == "text":
        personal = personal_kind(cell, person=False)
        return ("personal_identifier", f"holds what looks like {personal} (not shown)") if personal else None
    return None


def _trimmed(cells: list[str]) -> list[str]:
    cells = [_unquoted(cell.strip()) for cell in cells]
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _header_problems(header: list[str], label: str, specs: Specs, required: list[str]) -> list[Problem]:
    if len(header) == 1 and any(mark in header[0] for mark in ",;") and header[0] not in specs:
        message = "columns are separated by commas or semicolons; save the sheet tab-separated"
        return [Problem(label, 1, "", message, "not_tab_separated")]
    problems, meant = [], set()
    for position, name in enumerate(header):
        if name in header[:position]:
            problems.append(Problem(label, 1, name, "column appears twice", "duplicate_column"))
        elif name not in specs:
            absent = [known for known in specs if known not in header]
            meant.add(closest(name, absent))
            problems.append(Problem(label, 1, name, _unknown_column(name, absent), "unknown_column"))
    for name in required:
        if name not in header and name not in meant:
            problems.append(Problem(label, 1, name, "required column is missing", "missing_column"))
    return problems


def _unknown_column(name: str, absent: list[str]) -> str:
    hint = did_you_mean(name, absent) or "; declare it under extra_columns in cohort.yaml, or delete it"
    return f"unknown column {printable(name)}{hint}"


def _rows(
    rows: list[tuple[int, str]], label: str, header: list[str]
) -> tuple[list[list[str]], list[int], list[Problem], list[Problem]]:
    cells, lines, problems, notes = [], [], [], []
    width = len(header)
    for number, line in rows:
        if not line.strip():
            notes.append(Problem(label, number, "", "blank line, skipped", "blank_line"))
            continue
        row = line.split("\t")
        extra = [cell for cell in row[width:] if cell.strip()]
        if len(row) > width and not extra:
            notes.append(Problem(label, number, "", "ends in empty cells, which were dropped", "trailing_tabs"))
        if len(row) < width or extra:
            kind, size = ("long_row", "more") if extra else ("short_row", "fewer")
            message = f"{len(row)} cells, {size} than the {width} of the header"
            problems.append(Problem(label, number, "", message, kind))
            # Only the cells before the break can be trusted to stand in their column.
            row = row[:1] + [""] * (width - 1)
        cells.append(row[:width])
        lines.append(number)
    return cells, lines, problems, notes


def _without_blanks(sheet: Sheet, specs: Specs) -> Sheet:
    columns: dict[str, list[str]] = {}
    notes = []
    for name, cells in sheet.columns.items():
        listed_values = "enum" in specs[name] or specs[name].get("type") == "boolean"
        columns[name] = []
        for line, cell in zip(sheet.lines, cells, strict=True):
            bare = _unquoted(cell.strip())
            blanks = cell != cell.strip()
            if blanks and bare and not listed_values:
                notes.append(Problem(sheet.label, line, name, "blanks around the value, dropped", "blanks"))
            columns[name].append(cell if blanks and bare and listed_values else bare)
    return replace(sheet, columns=columns, notes=[*sheet.notes, *notes])


def _with_missing_reported(sheet: Sheet, required: list[str]) -> Sheet:
    missing = [
        Problem(sheet.label, line, name, "cell is empty, a value is required", "missing_value")
        for name in required
        for line, cell in zip(sheet.lines, sheet.columns.get(name, []), strict=False)
        if not cell and line not in sheet.broken
    ]
    return replace(sheet, problems=[*sheet.problems, *missing])


def _number(cell: str, *, ok: bool) -> float:
    return float(cell) if ok and cell else math.nan


def _number_fault(cell: str, spec: Mapping[str, Any]) -> tuple[str, str] | None:
    whole = spec.get("type") == "integer"
    expected = "a whole number" if whole else "a number"
    if not NUMBER.fullmatch(cell) or not math.isfinite(float(cell)):
        return _not_a_number(cell, expected)
    value = float(cell)
    if "enum" in spec and value not in spec["enum"]:
        return "not_allowed", f"{printable(cell)}, expected one of {listed(spec['enum'])}"
    if whole and not value.is_integer():
        return "not_a_number", f"{printable(cell)}, expected {expected}"
    low, high = spec.get("minimum", -math.inf), spec.get("maximum", math.inf)
    if not low <= value <= high:
        bounds = f"{low} to {high}" if math.isfinite(low) and math.isfinite(high) else f"{low} or more"
        return "out_of_range", f"{printable(cell)}, expected {bounds}"
    return None


def _not_a_number(cell: str, expected: str) -> tuple[str, str]:
    if cell.casefold() in MISSING_WORDS:
        return "not_a_number", f"{printable(cell)}, expected {expected}; leave the cell empty where it is missing"
    if DECIMAL_COMMA.fullmatch(cell):
        return "not_a_number", f"{printable(cell)}, expected {expected}; write {cell.replace(',', '.')}"
    if CALENDAR.fullmatch(cell):
        return "calendar_date", f"holds a date (not shown), expected {expected} of days or months"
    if personal_kind(cell, person=True):
        return "personal_identifier", f"holds what looks personal (not shown), expected {expected}"
    return "not_a_number", f"{printable(cell)}, expected {expected}"


def _not_listed(cell: str, allowed: list[Any], spec: Mapping[str, Any]) -> str:
    if personal_kind(cell, person=True):
        return f"holds what looks personal (not shown), expected one of {listed(allowed)}"
    text = f"{printable(cell)}, expected one of {listed(allowed)}"
    bare = cell.strip()
    if bare in map(str, allowed):
        return f"{text}; probably {bare}, with a blank around it"
    if bare.casefold() in MISSING_WORDS:
        return f"{text}; leave the cell empty where it is missing"
    likely = spec.get("x-synonyms", {}).get(bare.casefold()) or closest(bare, allowed)
    return f"{text}; probably {likely}" if likely else text
