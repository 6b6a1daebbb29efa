"""Rearrangement tables of the AIRR Community on disk, and the list of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.export_airr import AIRR_COLUMNS
from immune_landscape.store import write_table

FILE_COLUMNS = ["source", "sample", "patient", "visit", "file", "rows", "productive", "cells", "clones"]


def write_rearrangements(
    tables: Iterable[tuple[str, str, pd.DataFrame]], paths: Iterable[str | Path], design: pd.DataFrame
) -> pd.DataFrame:
    """Write one table per sample as it comes, and an empty one for each sample without receptors.

    Parameters
    ----------
    tables
        Source, sample and table, as `export_airr.export_airr` yields them.
    paths
        Files to write, ``<source>/<sample>.tsv``.
    design
        One row per sample: sample, patient, visit.

    Returns
    -------
    pandas.DataFrame
        One row per file (`FILE_COLUMNS`), in the order of the paths: the file relative to the folder of the list, its
        rows, the productive ones among them, and the cells and clones that it names.

    Raises
    ------
    InputError
        A table has no file among the paths.

    Notes
    -----
    Files are not compressed, as the validator of the AIRR Community reads plain text only.
    """
    targets = {(Path(path).parent.name, Path(path).name.removesuffix(".tsv")): Path(path) for path in paths}
    facts = design.set_index("sample")[["patient", "visit"]]
    written = {}
    for source, sample, table in tables:
        if (source, sample) not in targets:
            raise InputError(f"receptors of a sample that samples.tsv has no {source} file for: {sample}")
        write_table(table, targets[source, sample])
        written[source, sample] = _describe(table)
    nothing = pd.DataFrame(columns=AIRR_COLUMNS)
    rows = []
    for (source, sample), path in targets.items():
        if (source, sample) not in written:
            write_table(nothing, path)
        place = {"source": source, "sample": sample, "file": f"{source}/{path.name}", **facts.loc[sample]}
        rows.append(place | written.get((source, sample), _describe(nothing)))
    return pd.DataFrame(rows, columns=FILE_COLUMNS)


def _describe(table: pd.DataFrame) -> dict[str, int]:
    named = {"cells": table["cell_id"], "clones": table["clone_id"]}
    numbers = {name: int(ids[ids != ""].nunique()) for name, ids in named.items()}
    return {"rows": len(table), "productive": int((table["productive"] == "T").sum()), **numbers}
