"""Read what a demultiplexing by genotype says of each cell: the patient's, the donor's, or neither for sure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from immune_landscape.errors import InputError, Problem, ProblemsError
from immune_landscape.schemas import load_schema
from immune_landscape.sheets import read_sheet, typed_columns

if TYPE_CHECKING:
    import pandas as pd


def read_origins(path: str | Path) -> pd.DataFrame:
    """Read the sheet ``donor_cells.tsv``.

    Parameters
    ----------
    path
        Sheet of the cohort folder, as workflow/schemas/donor_cells.schema.yaml describes it.

    Returns
    -------
    pandas.DataFrame
        Index ``cell`` (``<sample>:<barcode>``); sample, origin (patient, donor, doublet or unassigned).

    Raises
    ------
    ProblemsError
        With every bad cell of the sheet, and every barcode that occurs twice in a sample.
    """
    schema = load_schema("donor_cells")
    label = Path(path).name
    sheet = read_sheet(Path(path), label, specs=schema["properties"], required=schema["required"])
    frame, problems = typed_columns(sheet, schema["properties"])
    problems = [*sheet.problems, *problems]
    twice = frame.duplicated(["sample", "barcode"])
    problems += [
        Problem(label, int(line), "barcode", f"'{row.barcode}' occurs twice in sample '{row.sample}'", "repeated")
        for line, row in zip(frame.index[twice], frame[twice].itertuples(), strict=True)
    ]
    if problems:
        raise ProblemsError(problems)
    frame.index = (frame["sample"] + ":" + frame["barcode"]).rename("cell")
    return frame[["sample", "origin"]]


def require_known(origins: pd.DataFrame, samples: pd.Series) -> None:
    """Refuse a table that names cells as the counts do not.

    Parameters
    ----------
    origins
        As `read_origins` returns.
    samples
        Sample of each cell of the counts, indexed by cell.

    Raises
    ------
    InputError
        When a sample of `origins` has none of its cells among those of the counts; one cell of each is named.
    """
    found = origins.index.isin(samples.index)
    for name, part in origins.assign(found=found).groupby("sample", sort=False):
        own = samples.index[samples == name]
        if len(own) and not part["found"].any():
            raise InputError(
                f"donor_cells.tsv: no barcode of sample '{name}' is among its cells: "
                f"'{part.index[0]}' against '{own[0]}' in the counts"
            )
