"""From counts to coordinates: normalise, choose genes, PCA, integrate."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape import store, streamed_steps
from immune_landscape.blocked_counts import BlockedCounts, blocked
from immune_landscape.device import CPU, Devices
from immune_landscape.streamed_steps import ChosenGenes, principal_components

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

MIN_BATCH_CELLS = 50
"""Batches below this get no say of their own in the choice of genes: their dispersions are noise."""


def reduce_cells(
    counts: CellCounts,
    batch: pd.Series,
    seed: int,
    devices: Devices = CPU,
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
    devices
        Where the steps are done.
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
    counts = blocked(counts)
    width = min(n_components, counts.n_obs - 1, counts.n_vars - 1)
    if width < 2:
        return _nothing(counts)
    batch = batch.loc[counts.obs_names]
    found = choose_genes(counts, batch, devices, target_sum, n_top_genes, exclude_genes)
    width = min(width, int(found.chosen.sum()) - 1)
    scores, ratio = principal_components(counts.blocks, found, width, seed, devices, target_sum=target_sum)
    integrated = _integrate(scores, batch, harmony_theta, seed, devices)
    genes = list(counts.var_names[found.chosen])
    facts: dict[str, Any] = {"genes": genes, "variance_ratio": ratio, "integrated": integrated is not scores}
    facts["batches"] = sorted(batch.unique().astype(str))
    return store.addition(
        counts.obs_names, obsm={"X_pca": scores, "X_integrated": integrated}, uns={"reduction": facts}
    )


def normalise(counts: AnnData, target_sum: float, devices: Devices = CPU) -> AnnData:
    """Return log1p of counts scaled to the same total per cell, as a new float32 object.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    target_sum
        Total per cell before log1p.
    devices
        Where it is done.

    Returns
    -------
    AnnData
        Cells x genes, CSR float32; obs and var index only.
    """
    import anndata

    return anndata.AnnData(
        devices.step("normalise")(counts.X.tocsr(), target_sum),
        obs=pd.DataFrame(index=counts.obs_names),
        var=pd.DataFrame(index=counts.var_names),
    )


def choose_genes(
    counts: BlockedCounts,
    batch: pd.Series,
    devices: Devices,
    target_sum: float,
    n_top_genes: int,
    exclude_genes: list[str],
) -> ChosenGenes:
    """Choose highly variable genes within batches, leaving out those that must not drive clusters.

    Dispersion on log-normalised values ("seurat"), because the loess of "seurat_v3" fails on batches of a few
    hundred cells.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    batch
        Batch of each cell, in the cells' order.
    devices
        Where it is done.
    target_sum
        Molecules per cell after normalisation, before log1p.
    n_top_genes
        How many.
    exclude_genes
        Regular expressions matched against the whole symbol.

    Returns
    -------
    ChosenGenes
        Genes in the order of ``counts.var_names``.
    """
    excluded = counts.var_names.str.fullmatch("|".join(exclude_genes)) if exclude_genes else False
    allowed = np.ones(counts.n_vars, dtype=bool) & ~np.asarray(excluded)
    sizes = batch.value_counts()
    apart = len(sizes) > 1 and sizes.min() >= MIN_BATCH_CELLS
    labels = batch.astype(str).to_numpy() if apart else None
    return streamed_steps.choose_genes(
        counts.blocks, allowed, labels, devices, target_sum=target_sum, n_top_genes=n_top_genes
    )


def _integrate(scores: np.ndarray, batch: pd.Series, theta: float, seed: int, devices: Devices) -> np.ndarray:
    if batch.nunique() < 2:
        LOG.info("one batch: no integration")
        return scores
    return devices.step("integrate")(scores, batch.astype(str).to_numpy(), theta, seed)


def _nothing(counts: BlockedCounts) -> AnnData:
    LOG.warning("%d cells, %d genes: too few to reduce", counts.n_obs, counts.n_vars)
    blank = np.zeros((counts.n_obs, 2), dtype=np.float32)
    facts = {"genes": [], "variance_ratio": np.zeros(2), "integrated": False, "batches": []}
    return store.addition(counts.obs_names, obsm={"X_pca": blank, "X_integrated": blank}, uns={"reduction": facts})
