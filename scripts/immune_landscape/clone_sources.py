"""Clones of each sample, from bulk repertoires and from single cells alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from immune_landscape.clone_store import stream_clonotypes
from immune_landscape.store import read_table


def read_clones(path: str | Path, source: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Read the clones of a cohort sample by sample.

    Parameters
    ----------
    path
        Table of `load_repertoires` or of `define_clonotypes`.
    source
        ``bulk_tcr`` or ``tcr``.

    Yields
    ------
    tuple
        Sample and clonotype, count, label; the samples of a patient follow one another.
    """
    if source == "tcr":
        yield from count_cells(read_table(path))
    else:
        yield from label_clones(stream_clonotypes(path, ["clonotype", "count", "junction_aa", "v_call"]))


def count_cells(clonotypes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Count the cells of each single-cell clonotype, sample by sample.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`.

    Yields
    ------
    tuple
        Sample and clonotype, count, label; the samples of a patient follow one another. A cell without a usable
        receptor counts for nothing.
    """
    carriers = clonotypes[clonotypes["has_receptor"].astype(bool)]
    for _, of_patient in carriers.groupby("patient", sort=False):
        for sample, cells in of_patient.groupby("sample", sort=False):
            clones = cells.groupby("clonotype", sort=True)
            beta = clones[["vdj_junction_aa", "vdj_v_gene", "vj_junction_aa", "vj_v_gene"]].first()
            has_beta = beta["vdj_junction_aa"] != ""
            label = _label(beta["vdj_junction_aa"], beta["vdj_v_gene"]).where(
                has_beta, _label(beta["vj_junction_aa"], beta["vj_v_gene"])
            )
            table = pd.DataFrame({"count": clones.size(), "label": label}).rename_axis("clonotype")
            yield str(sample), table.reset_index()


def label_clones(clones: Iterable[tuple[str, pd.DataFrame]]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Label bulk clonotypes by their CDR3 and V gene.

    Parameters
    ----------
    clones
        Sample and clonotype, count, junction_aa, v_call.

    Yields
    ------
    tuple
        Sample and clonotype, count, label.
    """
    for sample, table in clones:
        yield sample, table.assign(label=_label(table["junction_aa"], table["v_call"]))[["clonotype", "count", "label"]]


def _label(junction: pd.Series, gene: pd.Series) -> pd.Series:
    return junction.astype(object).str.cat(gene.astype(object), sep=" ")
