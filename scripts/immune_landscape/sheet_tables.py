"""The sheets of a cohort as typed tables, which the checks look through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import Problem

if TYPE_CHECKING:
    import pandas as pd

Cells = set[tuple[str, int, str]]
"""File, line and column of cells already reported."""


@dataclass(frozen=True)
class Table:
    """A typed sheet: its label, cells indexed by line, columns present, and malformed lines."""

    label: str
    frame: pd.DataFrame
    present: frozenset[str]
    broken: frozenset[int]

    def at(self, line: Any, column: str, message: str, kind: str) -> Problem:
        """Return a problem at a cell of this sheet."""
        return Problem(self.label, int(line), column, message, kind)

    def sound_lines(self, columns: tuple[str, ...], faulty: Cells) -> list[int]:
        """Return the lines that are whole and whose cells in these columns are not reported yet."""
        lines = [int(line) for line in self.frame.index if line not in self.broken]
        return [line for line in lines if not any((self.label, line, column) in faulty for column in columns)]


@dataclass(frozen=True)
class Tables:
    """The sheets of a cohort; none where a sheet is absent or unreadable."""

    patients: Table | None
    samples: Table | None
    populations: Table | None
    measures: Table | None
    assessments: Table | None = None
    adverse_events: Table | None = None
    biomarkers: Table | None = None

    def optional(self) -> dict[str, Table]:
        """Return the optional sheets of samples that are there."""
        pairs = (("populations", self.populations), ("measures", self.measures))
        return {name: table for name, table in pairs if table is not None}

    def clinical(self) -> dict[str, Table]:
        """Return the optional sheets of patients that are there."""
        named = ("assessments", "adverse_events", "biomarkers")
        pairs: list[tuple[str, Table | None]] = [(name, getattr(self, name)) for name in named]
        return {name: table for name, table in pairs if table is not None}
