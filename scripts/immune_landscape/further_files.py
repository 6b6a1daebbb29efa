"""Files that a cohort may have besides its four sheets and the files of its samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from immune_landscape.config_checks import is_simulated
from immune_landscape.errors import Problem, ProblemsError

if TYPE_CHECKING:
    from immune_landscape.cohort import Cohort

DONOR_CELLS = "donor_cells.tsv"


def find_origins(cohort: Cohort) -> str:
    """Return the sheet that tells cells of the patient from cells of a donor.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    str
        Its path, empty without one.
    """
    path = cohort.folder / DONOR_CELLS
    return str(path) if path.exists() else ""


def find_reference(cohort: Cohort) -> str:
    """Return the file of the reference that cohort.yaml names.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    str
        Its path, whether or not it is there; empty without a reference.
    """
    named = cohort.config.get("reference")
    return str(_root(cohort) / named["file"]) if named else ""


def missing_reference(cohort: Cohort) -> bool:
    """Return whether cohort.yaml names a reference whose file is not there."""
    path = find_reference(cohort)
    return bool(path) and not Path(path).exists()


def further_problems(cohort: Cohort) -> list[Problem]:
    """Look into the further files of a cohort.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    list of Problem
        Of donor_cells.tsv and of the reference; empty where both are sound or absent.
    """
    return [*_origin_problems(cohort), *_reference_problems(cohort)]


def _root(cohort: Cohort) -> Path:
    """Folder that the reference is relative to: simulated files lie among the results, where no reference can be."""
    return cohort.folder if is_simulated(cohort.config) else cohort.data_root


def _origin_problems(cohort: Cohort) -> list[Problem]:
    from immune_landscape.cell_origins import read_origins

    path = find_origins(cohort)
    if not path:
        return []
    try:
        origins = read_origins(path)
    except ProblemsError as error:
        return list(error.problems)
    strangers = sorted(set(origins["sample"]) - set(cohort.samples["sample"]))
    return [
        Problem(DONOR_CELLS, 0, "sample", f"'{name}' is not in samples.tsv", "unknown_sample") for name in strangers
    ]


def _reference_problems(cohort: Cohort) -> list[Problem]:
    from immune_landscape.references import reference_problems

    named = cohort.config.get("reference")
    if not named:
        return []
    line = cohort.config_lines.get("reference", 0)
    found = reference_problems(named, _root(cohort), outside=cohort.config["paths_outside"])
    return [Problem("cohort.yaml", line, key, message, "reference") for key, message in found]
