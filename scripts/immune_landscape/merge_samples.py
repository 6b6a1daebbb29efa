"""The one count store: kept, single cells of all samples, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def merge_samples(
    counts: Sequence[AnnData], quality: pd.DataFrame, doublets: pd.DataFrame, *, remove_doublets: bool
) -> AnnData:
    """Stack the samples' counts, without the cells that quality control or the doublet call took out.

    Genes are the union over jobs, absent ones zero: `load_samples` has refused panels that do not match.

    Parameters
    ----------
    counts
        One AnnData per job, cells x genes, raw counts.
    quality
        As `filter_cells.filter_cells` returns, all jobs stacked.
    doublets
        As `find_doublets.find_doublets` returns, all jobs stacked.
    remove_doublets
        Whether called doublets leave, too.

    Returns
    -------
    AnnData
        Cells in the order of `counts` x genes sorted by symbol, CSR int32.
    """
    import anndata

    keep = quality.index[quality["keep"]]
    if remove_doublets:
        keep = keep.difference(doublets.index[doublets["doublet"]], sort=False)
    parts = [part[part.obs_names.isin(keep)] for part in counts]
    merged = anndata.concat(parts, join="outer", merge="first", fill_value=0)
    if not merged.var_names.is_monotonic_increasing:
        merged = merged[:, sorted(merged.var_names)].copy()
    merged.X = merged.X.tocsr().astype("int32")
    merged.var["gene_id"] = _gene_ids(counts).reindex(merged.var_names).fillna("").astype(str)
    return merged


def count_cells(quality: pd.DataFrame, doublets: pd.DataFrame, merged: AnnData, samples: Sequence[str]) -> pd.DataFrame:
    """Count the cells of each sample at each step.

    Parameters
    ----------
    quality, doublets
        As for `merge_samples`.
    merged
        As `merge_samples` returns.
    samples
        Sample ids in the order of the sheet; one without counts has zeros.

    Returns
    -------
    pandas.DataFrame
        ``sample``, ``loaded``, ``passed_quality``, ``called_doublet``, ``kept``.
    """
    table = pd.DataFrame(index=pd.Index(samples, name="sample"))
    table["loaded"] = quality["sample"].value_counts()
    table["passed_quality"] = quality.loc[quality["keep"], "sample"].value_counts()
    table["called_doublet"] = doublets.loc[doublets["doublet"].astype(bool), "sample"].value_counts()
    table["kept"] = merged.obs["sample"].astype(str).value_counts()
    return table.fillna(0).astype(int).reset_index()


def _gene_ids(counts: Sequence[AnnData]) -> pd.Series:
    ids = pd.concat([part.var["gene_id"] for part in counts])
    return ids[~ids.index.duplicated()]
