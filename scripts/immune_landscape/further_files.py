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


def find_antigens(cohort: Cohort) -> list[str]:
    """Return the files of the snapshots of receptors with known antigens that cohort.yaml names.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    list of str
        Their paths, whether or not they are there, in the order of ``antigens``.
    """
    return [str(_root(cohort) / named["file"]) for named in cohort.config["antigens"]]


def find_earlier(cohort: Cohort) -> str:
    """Return the labels of an earlier run that cohort.yaml names.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    str
        Path of the table, whether or not it is there; empty without one.
    """
    named = cohort.config["earlier_labels"]
    return str(cohort.folder / named) if named else ""


def lacks_files(cohort: Cohort) -> bool:
    """Return whether cohort.yaml names a reference, a snapshot or earlier labels whose file is not there."""
    named = [find_reference(cohort), *find_antigens(cohort), find_earlier(cohort)]
    return any(path and not Path(path).exists() for path in named)


def further_problems(cohort: Cohort) -> list[Problem]:
    """Look into the further files of a cohort.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    list of Problem
        Of donor_cells.tsv, the reference, the snapshots of antigens and the labels of an earlier run; empty where all
        are sound or absent.
    """
    parts = (_origin_problems, _reference_problems, _antigen_problems, _earlier_problems)
    return [problem for part in parts for problem in part(cohort)]


def _root(cohort: Cohort) -> Path:
    """Folder that further files are relative to: simulated files lie among the results, where no other can be."""
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


def _earlier_problems(cohort: Cohort) -> list[Problem]:
    import pandas as pd

    path = find_earlier(cohort)
    if not path:
        return []
    line, name = cohort.config_lines.get("earlier_labels", 0), cohort.config["earlier_labels"]
    try:
        lacking = sorted({"cell", "branch", "cluster"} - set(pd.read_csv(path, sep="\t", nrows=0).columns))
    except (OSError, ValueError) as error:
        return [Problem("cohort.yaml", line, "earlier_labels", f"{name!r} cannot be read: {error}", "earlier_labels")]
    if not lacking:
        return []
    message = f"{name!r} lacks the columns {', '.join(lacking)}; expected define_labels/cells.tsv.gz of a run"
    return [Problem("cohort.yaml", line, "earlier_labels", message, "earlier_labels")]


def _antigen_problems(cohort: Cohort) -> list[Problem]:
    from immune_landscape.antigen_snapshots import snapshot_problems

    named = cohort.config["antigens"]
    if not named:
        return []
    line = cohort.config_lines.get("antigens", 0)
    found = snapshot_problems(named, _root(cohort), outside=cohort.config["paths_outside"])
    return [Problem("cohort.yaml", line, key, message, "antigens") for key, message in found]
