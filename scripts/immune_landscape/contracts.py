"""What each stage may add to the cells: the one list that ``store`` enforces and the docs show."""

from __future__ import annotations

from dataclasses import dataclass, field


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
