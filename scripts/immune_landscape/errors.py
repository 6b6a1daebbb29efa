"""Errors a user can act on; each says what is wrong, where, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass


class UserError(Exception):
    """Base of every error that the user, not the developer, can mend."""


class InputError(UserError):
    """An input file does not hold what the cohort says it holds."""


class DesignError(UserError):
    """A contrast cannot be estimated from the sheets."""


class ContractError(UserError):
    """A stage read or wrote keys outside its contract (see ``contracts``)."""


class IntegrityError(UserError):
    """A stored file differs from its checksum."""


class AgreementError(UserError):
    """Two devices find different biology in the same cells."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a user's file.

    Attributes
    ----------
    file
        Path as the user would type it.
    line
        1-based line, header included; 0 when the file as a whole is meant.
    column
        Column or key; empty when the line as a whole is meant.
    message
        Value found and values allowed.
    kind
        Short class of mistake, such as ``unknown_patient``.
    """

    file: str
    line: int
    column: str
    message: str
    kind: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.column}: {self.message}" if self.column else f"{where}: {self.message}"


class ProblemsError(UserError):
    """Every mistake found in one pass over a cohort."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)) + f"\n{_summary(self.problems)}")


def _summary(problems: list[Problem]) -> str:
    count = len(problems)
    files = len({p.file for p in problems})
    return f"{count} problem{'s' * (count != 1)} in {files} file{'s' * (files != 1)}"
