"""What each stage may add to the cells: the one list that ``store`` enforces and the docs show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from immune_landscape.errors import ContractError

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Contract:
    """Keys that a stage adds, by AnnData slot.

    Attributes
    ----------
    obs, var, obsm, obsp, uns
        Keys that must be there after the stage, and the only ones that may be.
    open_obs
        Prefix of further obs columns that are allowed, such as ``input_``; empty for none.
    """

    obs: tuple[str, ...] = ()
    var: tuple[str, ...] = ()
    obsm: tuple[str, ...] = ()
    obsp: tuple[str, ...] = ()
    uns: tuple[str, ...] = ()
    open_obs: str = field(default="")


SLOTS = ("obs", "var", "obsm", "obsp", "uns")

CONTRACTS: dict[str, Contract] = {
    "load_samples": Contract(obs=("sample", "barcode"), var=("gene_id",), open_obs="input_"),
    "merge_samples": Contract(obs=("sample", "barcode"), var=("gene_id",), open_obs="input_"),
    "reduce_cells": Contract(obsm=("X_pca", "X_integrated"), uns=("reduction",)),
    "score_signatures": Contract(obs=("sample", "scope", "branch", "cells", "weight"), var=("bin_nk", "bin_t")),
    "load_receptors": Contract(obs=("sample", "barcode", "patient", "visit", "has_gex"), obsm=("airr",)),
    "cluster_cells": Contract(obs=("cluster",), obsm=("X_umap",), obsp=("connectivities",), uns=("clustering",)),
    "measure_expression": Contract(obs=("sample", "patient", "visit", "subset", "cells"), var=("gene_id",)),
}
"""Stages that write an AnnData. Stages that write a table state its columns in their docstring."""


def check_contract(adata: AnnData, stage: str, **unread: Any) -> None:
    """Hold what a stage wrote or is about to write against its contract.

    Parameters
    ----------
    adata
        Cells x genes, or an addition.
    stage
        A key of `CONTRACTS`.
    **unread
        Slots that were left in the file: dictionaries of which only the keys count.

    Raises
    ------
    ContractError
        When a key is missing or not allowed; all of them are named.
    """
    contract = CONTRACTS[stage]
    wrong: list[str] = []
    for slot in SLOTS:
        found = set(unread.get(slot, getattr(adata, slot)).keys())
        promised = set(getattr(contract, slot))
        extra = found - promised
        if slot == "obs" and contract.open_obs:
            extra = {key for key in extra if not key.startswith(contract.open_obs)}
        wrong += [f"{slot}[{key!r}] is missing" for key in sorted(promised - found)]
        wrong += [f"{slot}[{key!r}] is not in its contract" for key in sorted(extra)]
    if wrong:
        raise ContractError(f"stage {stage}: " + "; ".join(wrong))
