"""Chains of each barcode as columns: primary and secondary chain of both arms, and the chain category."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.chain_tables import TCR_LOCI
from immune_landscape.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

CHAIN_CATEGORIES = (
    "single pair",
    "extra VJ",
    "extra VDJ",
    "two full chains",
    "orphan VJ",
    "orphan VDJ",
    "multichain",
    "ambiguous",
    "no IR",
)
SAMPLE_COLUMNS = ("sample", "patient", "visit")
RECEPTOR_COLUMNS = ("receptor_type", "receptor_subtype", "chain_pairing")
FIELDS = {"v_call": "v_gene", "j_call": "j_gene", "junction_aa": "junction_aa", "junction": "junction"}
"""AIRR field -> end of a column's name."""

CHAINS = {"VJ_1": "vj", "VDJ_1": "vdj", "VJ_2": "vj2", "VDJ_2": "vdj2"}
"""Chain as scirpy calls it -> beginning of a column's name."""

_ALLELE = re.compile(r"\*[^,\s]+")


def chain_columns(chain: str) -> tuple[str, ...]:
    """Return the columns of one chain.

    Parameters
    ----------
    chain
        Value of `CHAINS`.

    Returns
    -------
    tuple of str
        V gene, J gene, CDR3 as amino acids and as nucleotides.
    """
    return tuple(f"{chain}_{name}" for name in FIELDS.values())


def read_chains(receptors: AnnData) -> pd.DataFrame:
    """Tell the chains of each barcode apart and name its chain category.

    Parameters
    ----------
    receptors
        Cells without genes: AIRR chains in ``obsm["airr"]``; ``obs`` holds ``sample``, ``patient`` and
        ``visit``; ``obs_names`` are ``<sample>:<barcode>``. Left unchanged.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``, all columns text but one: `SAMPLE_COLUMNS`, `RECEPTOR_COLUMNS`, ``is_tcr`` (bool: a primary
        chain of a T-cell locus), and `chain_columns` of each of `CHAINS`. Genes bear no alleles, and tied genes are
        sorted: one clone may come with several alleles, or with tied genes in any order. Empty where nothing is.

    Raises
    ------
    InputError
        No barcode has a chain, one has no sample, patient or visit, or one occurs twice.

    Notes
    -----
    Order of chains and categories are scirpy's (Sturm 2020, doi:10.1093/bioinformatics/btaa611): of the productive
    chains of an arm the one with most molecules is primary, and more than two make the cell ``multichain``.
    """
    import anndata
    import scirpy

    _check_receptors(receptors)
    obs = receptors.obs[list(SAMPLE_COLUMNS)].astype(str)
    indexed = anndata.AnnData(obs=obs, obsm={"airr": receptors.obsm["airr"]})
    scirpy.pp.index_chains(indexed)
    scirpy.tl.chain_qc(indexed, key_added=RECEPTOR_COLUMNS)
    table = indexed.obs[[*SAMPLE_COLUMNS, *RECEPTOR_COLUMNS]].astype(str).astype(object)
    loci = scirpy.get.airr(indexed, "locus", ["VJ_1", "VDJ_1"])
    columns = {"is_tcr": loci.isin(TCR_LOCI).any(axis=1).to_numpy()}
    for chain, begin in CHAINS.items():
        for field, end in FIELDS.items():
            found = scirpy.get.airr(indexed, field, chain)
            columns[f"{begin}_{end}"] = _pooled(found, are_genes=field.endswith("_call"))
    return table.assign(**columns).rename_axis("cell")


def _check_receptors(receptors: AnnData) -> None:
    if "locus" not in receptors.obsm["airr"].fields:
        raise InputError("receptors: no cell has any chain")
    absent = [name for name in SAMPLE_COLUMNS if name not in receptors.obs]
    if absent:
        raise InputError(f"receptors: obs has no {', '.join(absent)}; found {', '.join(map(str, receptors.obs))}")
    if not receptors.obs_names.is_unique:
        twice = receptors.obs_names[receptors.obs_names.duplicated()][0]
        raise InputError(f"receptors: cell '{twice}' occurs more than once; ids must be <sample>:<barcode>")
    empty = receptors.obs[list(SAMPLE_COLUMNS)].isna().any(axis=1)
    if empty.any():
        raise InputError(f"receptors: {int(empty.sum())} cells have no sample, patient or visit")


def _pooled(column: pd.Series, *, are_genes: bool) -> np.ndarray:
    """Hold each distinct text once, in memory and in work; an empty text where there is none."""
    codes, found = pd.factorize(column)
    texts = [genes_of(str(text)) if are_genes else str(text) for text in found]
    # Code -1, which stands for a missing value, takes the last.
    return np.array([*texts, ""], dtype=object)[codes]


def genes_of(call: str) -> str:
    """Return the genes of a call without alleles, tied ones sorted.

    Parameters
    ----------
    call
        Such as ``TRBV12-4*01, TRBV12-3*01``.

    Returns
    -------
    str
        Such as ``TRBV12-3,TRBV12-4``.
    """
    return ",".join(sorted({gene.strip() for gene in _ALLELE.sub("", call).split(",")}))
