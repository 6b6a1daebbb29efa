"""Beta chains of the clones of each sample, from bulk repertoires and from single cells alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from immune_landscape.clone_store import stream_clonotypes
from immune_landscape.store import read_table

BETA_COLUMNS = ["clonotype", "count", "junction_aa", "v_call", "j_call"]
"""Clonotype, its templates or cells, and its beta chain: CDR3 with conserved ends, genes without allele."""

_CELL_COLUMNS = {"vdj_junction_aa": "junction_aa", "vdj_v_gene": "v_call", "vdj_j_gene": "j_call"}
_ALLELE = re.compile(r"\*[^,\s]+")


def read_beta_clones(path: str | Path, source: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Read the beta chains of a cohort sample by sample.

    Parameters
    ----------
    path
        Table of `load_repertoires` or of `define_clonotypes`.
    source
        ``bulk_tcr`` or ``tcr``.

    Yields
    ------
    tuple
        Sample and its clonotypes (`BETA_COLUMNS`).
    """
    if source == "tcr":
        yield from beta_chains_of_cells(read_table(path))
        return
    for sample, clones in stream_clonotypes(path, BETA_COLUMNS):
        yield sample, clones[clones["junction_aa"] != ""][BETA_COLUMNS].reset_index(drop=True)


def beta_chains_of_cells(clonotypes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Return the beta chain of each single-cell clonotype of a sample, and its cells.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`.

    Yields
    ------
    tuple
        Sample and its clonotypes (`BETA_COLUMNS`). Cells without a usable beta chain count for nothing; where cells of
        a clonotype differ in it, the most frequent one stands for all.
    """
    has_beta = clonotypes["has_receptor"].astype(bool) & (clonotypes["vdj_junction_aa"] != "")
    has_beta &= clonotypes["vdj_v_gene"].str.startswith("TRB") | clonotypes["vdj_j_gene"].str.startswith("TRB")
    cells = clonotypes[has_beta].rename(columns=_CELL_COLUMNS)
    chain = ["junction_aa", "v_call", "j_call"]
    for sample, own in cells.groupby("sample", sort=False):
        counted = own.groupby(["clonotype", *chain]).size().rename("count").reset_index()
        first = counted.sort_values(["clonotype", "count", *chain], ascending=[True, False, True, True, True])
        clones = first.drop_duplicates("clonotype").reset_index(drop=True)
        clones["count"] = counted.groupby("clonotype")["count"].sum().reindex(clones["clonotype"]).to_numpy()
        yield str(sample), clones.assign(**{name: strip_alleles(clones[name]) for name in chain[1:]})[BETA_COLUMNS]


def strip_alleles(calls: pd.Series) -> pd.Series:
    """Return calls without their alleles.

    Parameters
    ----------
    calls
        Such as ``TRBV7-9*01``.

    Returns
    -------
    pandas.Series
        Such as ``TRBV7-9``.
    """
    return calls.map({call: _ALLELE.sub("", call) for call in calls.unique()}).astype(object)
