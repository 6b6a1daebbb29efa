"""From counts to coordinates: normalise, choose genes, PCA, integrate."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape import store

if TYPE_CHECKING:
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")

MIN_BATCH_CELLS = 50
"""Batches below this get no say of their own in the choice of genes: their dispersions are noise."""


def reduce_cells(
    counts: AnnData,
    batch: pd.Series,
    seed: int,
    *,
    target_sum: float,
    n_top_genes: int,
    exclude_genes: list[str],
    n_components: int,
    harmony_theta: float,
) -> AnnData:
    """Reduce cells to integrated principal components.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    batch
        Batch of each cell, indexed by cell id; one value all over means no integration.
    seed
        Seed of PCA and Harmony.
    target_sum
        Molecules per cell after normalisation, before log1p.
    n_top_genes
        Highly variable genes.
    exclude_genes
        Regular expressions of symbols that must not drive clusters, such as T-cell receptor segments, which
        would make clusters of clones.
    n_components
        Principal components; fewer when cells or genes are few.
    harmony_theta
        Diversity penalty of Harmony.

    Returns
    -------
    AnnData
        Addition with ``obsm['X_pca']``, ``obsm['X_integrated']`` and ``uns['reduction']`` (genes, variance ratio,
        batches, whether integrated).

    References
    ----------
    Korsunsky 2019, doi:10.1038/s41592-019-0619-0 (Harmony).
    """
    width = min(n_components, counts.n_obs - 1, counts.n_vars - 1)
    if width < 2:
        return _nothing(counts)
    normal = normalise(counts, target_sum)
    genes = choose_genes(normal, batch.loc[normal.obs_names], n_top_genes, exclude_genes)
    scores, ratio = _pca(normal[:, genes], min(width, len(genes) - 1), seed)
    integrated = _integrate(scores, batch.loc[normal.obs_names], harmony_theta, seed)
    facts: dict[str, Any] = {"genes": genes, "variance_ratio": ratio, "integrated": integrated is not scores}
    facts["batches"] = sorted(batch.loc[normal.obs_names].unique().astype(str))
    return store.addition(
        normal.obs_names, obsm={"X_pca": scores, "X_integrated": integrated}, uns={"reduction": facts}
    )


def normalise(counts: AnnData, target_sum: float) -> AnnData:
    """Return log1p of counts scaled to the same total per cell, as a new float32 object.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    target_sum
        Total per cell before log1p.

    Returns
    -------
    AnnData
        Cells x genes, CSR float32; obs and var index only.
    """
    import anndata
    import scanpy as sc

    normal = anndata.AnnData(
        counts.X.astype(np.float32),
        obs=pd.DataFrame(index=counts.obs_names),
        var=pd.DataFrame(index=counts.var_names),
    )
    sc.pp.normalize_total(normal, target_sum=target_sum)
    sc.pp.log1p(normal)
    return normal


def choose_genes(normal: AnnData, batch: pd.Series, n_top_genes: int, exclude_genes: list[str]) -> list[str]:
    """Choose highly variable genes within batches, leaving out those that must not drive clusters.

    Dispersion on log-normalised values ("seurat"), because the loess of "seurat_v3" fails on batches of a few
    hundred cells.

    Parameters
    ----------
    normal
        Cells x genes, log-normalised.
    batch
        Batch of each cell, in the cells' order.
    n_top_genes
        How many.
    exclude_genes
        Regular expressions matched against the whole symbol.

    Returns
    -------
    list of str
        Symbols in the order of ``normal.var_names``.
    """
    import scanpy as sc

    excluded = normal.var_names.str.fullmatch("|".join(exclude_genes)) if exclude_genes else False
    detected = np.asarray((normal.X > 0).sum(axis=0)).ravel() >= 3
    usable = normal[:, detected & ~np.asarray(excluded)].copy()
    sizes = batch.value_counts()
    usable.obs["batch"] = pd.Categorical(batch.astype(str).to_numpy())
    key = "batch" if len(sizes) > 1 and sizes.min() >= MIN_BATCH_CELLS else None
    wanted = min(n_top_genes, usable.n_vars)
    table = sc.pp.highly_variable_genes(usable, n_top_genes=wanted, flavor="seurat", batch_key=key, inplace=False)
    return list(usable.var_names[table["highly_variable"].to_numpy()])


def _pca(normal: AnnData, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    import scanpy as sc
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # sums of several BLAS threads differ in the last digits
        reduced = sc.pp.pca(normal, n_comps=width, random_state=seed, mask_var=None, copy=True)
    return reduced.obsm["X_pca"].astype(np.float32), reduced.uns["pca"]["variance_ratio"]


def _integrate(scores: np.ndarray, batch: pd.Series, theta: float, seed: int) -> np.ndarray:
    if batch.nunique() < 2:
        LOG.info("one batch: no integration")
        return scores
    import harmonypy
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        result = harmonypy.run_harmony(
            scores,
            pd.DataFrame({"batch": batch.astype(str)}),
            ["batch"],
            theta=theta,
            random_state=seed,
            verbose=False,
        )
    corrected = np.asarray(result.Z_corr)
    # harmonypy turned its result from components x cells to cells x components at 0.1.
    return (corrected if corrected.shape == scores.shape else corrected.T).astype(np.float32)


def _nothing(counts: AnnData) -> AnnData:
    LOG.warning("%d cells, %d genes: too few to reduce", counts.n_obs, counts.n_vars)
    blank = np.zeros((counts.n_obs, 2), dtype=np.float32)
    facts = {"genes": [], "variance_ratio": np.zeros(2), "integrated": False, "batches": []}
    return store.addition(counts.obs_names, obsm={"X_pca": blank, "X_integrated": blank}, uns={"reduction": facts})
