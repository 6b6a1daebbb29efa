"""One h5ad of the finished run, as scanpy and scirpy users expect it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.blocked_counts import BlockedCounts, blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

DESIGN_COLUMNS = ("patient", "visit", "day", "tissue", "batch", "arm", "response")


def export_h5ad(
    counts: CellCounts,
    reduction: AnnData,
    clusters: AnnData,
    design: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
) -> tuple[BlockedCounts, dict[str, dict[str, Any]]]:
    """Compose counts, coordinates, labels and clonotypes.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    reduction, clusters
        Additions of the stages of that name for all cells.
    design
        Indexed by sample.
    tables
        Further tables indexed by cell id; cells without a row get missing values.

    Returns
    -------
    counts : BlockedCounts
        Raw counts, with sample, design and table columns in ``obs``.
    slots : dict
        ``obsm``: X_pca, X_integrated, X_umap; ``obsp``: connectivities.
    """
    import anndata

    counts = blocked(counts)
    adata = anndata.AnnData(obs=counts.obs.copy(), var=counts.var)
    columns = [name for name in DESIGN_COLUMNS if name in design.columns]
    wide = design.loc[adata.obs["sample"].astype(str), columns]
    adata.obs[columns] = wide.set_axis(adata.obs_names)
    for table in tables.values():
        fresh = [name for name in table.columns if name not in adata.obs.columns]
        adata.obs[fresh] = table[fresh].reindex(adata.obs_names)
    slots: dict[str, dict[str, Any]] = {"obsm": {}, "obsp": {}}
    for part in (reduction, clusters):
        ordered = part[adata.obs_names]
        slots["obsm"] |= dict(ordered.obsm.items())
        slots["obsp"] |= dict(ordered.obsp.items())
    adata.obs["cluster"] = clusters.obs.loc[adata.obs_names, "cluster"]
    text = adata.obs.select_dtypes(["object", "string"]).columns
    adata.obs[text] = adata.obs[text].fillna("").astype(str).astype("category")
    return BlockedCounts(adata.obs, counts.var, counts.blocks), slots
