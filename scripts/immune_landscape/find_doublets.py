"""Doublet scores per sample."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.seeds import seed_of

if TYPE_CHECKING:
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")


def find_doublets(
    counts: AnnData,
    seed: int,
    *,
    expected_rate: float | None,
    rate_per_1000_cells: float,
    max_calls: float,
    n_components: int,
    min_cells: int,
) -> pd.DataFrame:
    """Score and call doublets in each sample with Scrublet.

    The cut-off is Scrublet's own (the valley of the simulated scores). Where it finds none, or calls more than
    `max_calls` times the expected share, the cells with the highest scores are called, as many as expected.

    Parameters
    ----------
    counts
        Cells x genes, raw counts of kept cells, with ``obs['sample']``.
    seed
        Seed; each sample derives its own, so the result does not depend on which samples share a job.
    expected_rate
        Share of doublets; None takes it from the number of cells.
    rate_per_1000_cells
        Share of doublets per 1,000 cells recovered.
    max_calls
        Multiple of the expected share at which Scrublet's cut-off is not believed.
    n_components
        Principal components.
    min_cells
        Cells that a sample needs to be scored; below, no cell is called.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``doublet_score`` (NaN when not scored), ``doublet``, ``expected_rate``,
        ``cutoff`` (``scrublet``, ``expected_rate`` or ``not_scored``).

    References
    ----------
    Wolock 2019, doi:10.1016/j.cels.2018.11.005.
    """
    tables = []
    for name, cells in counts.obs.groupby("sample", sort=False, observed=True):
        sample = counts[cells.index]
        rate = expected_rate if expected_rate is not None else rate_per_1000_cells * len(cells) / 1000
        table = pd.DataFrame({"sample": str(name), "expected_rate": rate}, index=cells.index)
        scores, called = _scrublet(sample, rate, seed_of(seed, str(name)), n_components, min_cells)
        tables.append(table.join(_call(scores, called, rate, max_calls)))
    empty = pd.DataFrame(columns=["sample", "expected_rate", "doublet_score", "doublet", "cutoff"])
    return (pd.concat(tables) if tables else empty).rename_axis("cell")


def _scrublet(
    sample: AnnData, rate: float, seed: int, n_components: int, min_cells: int
) -> tuple[pd.Series | None, pd.Series | None]:
    """Scores and Scrublet's own calls; None where there is nothing to score or no valley."""
    import scanpy as sc

    if sample.n_obs < min_cells:
        return pd.Series(np.nan, index=sample.obs_names), None
    counts = sample.copy()
    counts.X = counts.X.astype(np.float32)
    components = min(n_components, sample.n_obs // 4, sample.n_vars // 4)
    try:
        sc.pp.scrublet(counts, expected_doublet_rate=rate, random_state=seed, n_prin_comps=components, verbose=False)
    except ValueError as error:  # too few variable genes in a small panel
        LOG.warning("sample %s not scored for doublets: %s", sample.obs["sample"].iloc[0], error)
        return pd.Series(np.nan, index=sample.obs_names), None
    called = counts.obs.get("predicted_doublet")
    return counts.obs["doublet_score"], None if called is None or called.isna().any() else called.astype(bool)


def _call(scores: pd.Series | None, called: pd.Series | None, rate: float, max_calls: float) -> pd.DataFrame:
    if scores is None or scores.isna().all():
        index = None if scores is None else scores.index
        return pd.DataFrame({"doublet_score": np.nan, "doublet": False, "cutoff": "not_scored"}, index=index)
    if called is not None and called.mean() <= max_calls * rate:
        return pd.DataFrame({"doublet_score": scores, "doublet": called, "cutoff": "scrublet"})
    highest = scores.rank(method="first", ascending=False) <= round(rate * len(scores))
    return pd.DataFrame({"doublet_score": scores, "doublet": highest, "cutoff": "expected_rate"})
