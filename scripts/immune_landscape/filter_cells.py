"""Per-cell quality control with limits that adapt to each sample and floors that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.device import CPU, Devices

if TYPE_CHECKING:
    from anndata import AnnData

GENE_GROUPS = {"mt": r"^MT-", "ribo": r"^RP[SL]\d", "hb": r"^HB[ABDEGMQZ]\d?$"}
"""HGNC symbol patterns: mitochondrially encoded, ribosomal proteins, haemoglobin chains."""

MAD_TO_SD = 1.4826
"""A median absolute deviation times this estimates the SD of a normal distribution."""


def filter_cells(
    counts: AnnData,
    devices: Devices = CPU,
    *,
    min_genes: int,
    min_counts: int,
    max_pct_mt: float,
    max_pct_hb: float,
    mads: float,
    min_cells: int,
) -> pd.DataFrame:
    """Measure each cell and say which to keep, and why not.

    Limits are ``median ± mads`` scaled MADs within a sample, on the log scale for counts and genes, one-sided
    (high) for the mitochondrial share; the fixed floors hold besides. A sample under `min_cells` cells has only
    the floors, for want of a distribution. A reference without mitochondrial genes has no mitochondrial limit.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    devices
        Where the cells are measured.
    min_genes, min_counts
        Floors of detected genes and of molecules per cell.
    max_pct_mt, max_pct_hb
        Ceilings in percent of a cell's molecules.
    mads
        Width of the adaptive limits.
    min_cells
        Cells that a sample needs for adaptive limits.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; columns ``sample``, ``total_counts``, ``n_genes``, ``pct_mt``, ``pct_ribo``, ``pct_hb`` (NaN
        when the reference has no such gene), ``keep`` and ``reason`` (empty when kept).

    References
    ----------
    Germain 2020, doi:10.1186/s13059-020-02136-7 (adaptive limits per sample).
    """
    metrics = cell_metrics(counts, devices)
    floors = {
        "few_counts": metrics["total_counts"] < min_counts,
        "few_genes": metrics["n_genes"] < min_genes,
        "high_mt": metrics["pct_mt"] > max_pct_mt,
        "high_hb": metrics["pct_hb"] > max_pct_hb,
    }
    failed = pd.DataFrame(floors, index=metrics.index)
    for _, sample in metrics.groupby("sample", sort=False, observed=True):
        if len(sample) >= min_cells:
            failed.loc[sample.index] |= _outliers(sample, mads)
    metrics["keep"] = ~failed.any(axis=1)
    metrics["reason"] = [",".join(failed.columns[row]) for row in failed.to_numpy()]
    return metrics


def cell_metrics(counts: AnnData, devices: Devices = CPU) -> pd.DataFrame:
    """Return molecules, detected genes and shares of gene groups for each cell.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    devices
        Where it is done.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``total_counts``, ``n_genes`` and ``pct_<group>`` in percent.
    """
    members = {group: np.asarray(counts.var_names.str.match(pattern)) for group, pattern in GENE_GROUPS.items()}
    found = devices.step("cell_metrics")(counts.X, members)
    total = found["total_counts"]
    table = pd.DataFrame({"sample": counts.obs["sample"].astype(str), "total_counts": total}, index=counts.obs_names)
    table["n_genes"] = found["n_genes"]
    for group, member in members.items():
        share = 100 * np.divide(found[group], total, out=np.zeros_like(total), where=total > 0)
        table[f"pct_{group}"] = share if member.any() else np.nan
    return table.rename_axis("cell")


def _outliers(sample: pd.DataFrame, mads: float) -> pd.DataFrame:
    counts, genes = np.log1p(sample["total_counts"]), np.log1p(sample["n_genes"])
    flags = {
        "few_counts": counts < _limit(counts, -mads),
        "few_genes": genes < _limit(genes, -mads),
        "high_mt": sample["pct_mt"] > _limit(sample["pct_mt"], mads),
        "high_hb": pd.Series(False, index=sample.index),
    }
    return pd.DataFrame(flags)


def _limit(values: pd.Series, mads: float) -> float:
    centre = values.median()
    spread = MAD_TO_SD * (values - centre).abs().median()
    # A spread of zero (all cells alike) would throw out every cell that differs at all.
    return float(centre + mads * spread) if spread > 0 else float(np.sign(mads) * np.inf)
