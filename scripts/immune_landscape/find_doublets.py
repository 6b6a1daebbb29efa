"""Doublet scores per sample."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.device import CPU, Devices
from immune_landscape.seeds import seed_of
from immune_landscape.step_results import DoubletScores

if TYPE_CHECKING:
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")


def find_doublets(
    counts: AnnData,
    seed: int,
    devices: Devices = CPU,
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
    devices
        Where the scores are computed.
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
    groups = {str(name): cells.index for name, cells in counts.obs.groupby("sample", sort=False, observed=True)}
    rates = {
        name: expected_rate if expected_rate is not None else rate_per_1000_cells * len(cells) / 1000
        for name, cells in groups.items()
    }
    scored = {name: counts[cells].X for name, cells in groups.items() if len(cells) >= min_cells}
    found = devices.step("score_doublets")(
        list(scored.values()),
        [rates[name] for name in scored],
        [seed_of(seed, name) for name in scored],
        n_components=n_components,
    )
    by_name = dict(zip(scored, found, strict=True))
    tables = []
    for name, cells in groups.items():
        own = by_name.get(name, DoubletScores(np.full(len(cells), np.nan), np.empty(0)))
        if name in scored and np.isnan(own.observed).all():
            LOG.warning("sample %s not scored for doublets: too few variable genes", name)
        table = pd.DataFrame({"sample": name, "expected_rate": rates[name]}, index=cells)
        tables.append(table.join(_call(own, rates[name], max_calls).set_index(cells)))
    empty = pd.DataFrame(columns=["sample", "expected_rate", "doublet_score", "doublet", "cutoff"])
    return (pd.concat(tables) if tables else empty).rename_axis("cell")


def _cutoff(simulated: np.ndarray) -> float:
    """Return the valley between the two modes of the simulated scores; NaN where there is none."""
    from skimage.filters import threshold_minimum

    try:
        return float(threshold_minimum(simulated))
    except (RuntimeError, ValueError):  # one mode, or one value
        return float("nan")


def _call(found: DoubletScores, rate: float, max_calls: float) -> pd.DataFrame:
    """Call the cells above the cut-off, or where that is not to be believed those with the highest scores."""
    scores = found.observed
    if np.isnan(scores).all():
        return pd.DataFrame({"doublet_score": scores, "doublet": False, "cutoff": "not_scored"})
    cutoff = _cutoff(found.simulated)
    called = scores > cutoff
    if not np.isnan(cutoff) and called.mean() <= max_calls * rate:
        return pd.DataFrame({"doublet_score": scores, "doublet": called, "cutoff": "scrublet"})
    highest = pd.Series(scores).rank(method="first", ascending=False) <= round(rate * len(scores))
    return pd.DataFrame({"doublet_score": scores, "doublet": highest, "cutoff": "expected_rate"})
