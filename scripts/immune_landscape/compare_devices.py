"""The gate between devices: a subsample of the cells is worked on twice, and the two must agree."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.agreement import compare_runs, run_core
from immune_landscape.blocked_counts import blocked
from immune_landscape.device import CPU, Devices
from immune_landscape.errors import AgreementError

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

COLUMNS = ["measure", "value", "limit", "within", "device", "cells"]


def compare_devices(
    counts: CellCounts,
    batch: pd.Series,
    seed: int,
    study: Mapping[str, Any],
    devices: Devices,
    *,
    cells: int,
    max_angle: float,
    min_overlap: float,
    min_ari: float,
    max_composition_change: float,
    min_marker_correlation: float,
    must_agree: bool,
) -> pd.DataFrame:
    """Run the heavy steps on a random subsample on the CPU and on the device of the run, and compare.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    batch
        Batch of each cell, indexed by cell id.
    seed
        Seed of the subsample and of the steps.
    study
        The settings ``reduce_cells`` and ``cluster_cells`` of the run.
    devices
        Where the steps of the run are done.
    cells
        Size of the subsample.
    max_angle, min_overlap, min_ari, max_composition_change, min_marker_correlation
        Limits of the measures of `agreement.compare_runs`.
    must_agree
        Whether a measure outside its limit stops the run.

    Returns
    -------
    pandas.DataFrame
        ``measure``, ``value``, ``limit``, ``within``, ``device``, ``cells``.

    Raises
    ------
    AgreementError
        When a measure is outside its limit and `must_agree`; all such measures are named.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(counts.n_obs, min(cells, counts.n_obs), replace=False))
    chosen = np.zeros(counts.n_obs, dtype=bool)
    chosen[rows] = True
    part = blocked(counts).kept(chosen).to_memory()
    facts = _facts(study, len(rows))
    given = part.X.astype(np.float32), batch.loc[part.obs_names].to_numpy(dtype=str), seed
    here, there = (run_core(*given, run.step, facts) for run in (CPU, devices))
    samples = part.obs["sample"].astype(str).to_numpy()
    limits = (-max_angle, min_overlap, min_ari, -max_composition_change, min_marker_correlation)
    table = _judged(compare_runs(here, there, samples), limits).assign(device=devices.requested, cells=len(rows))
    outside = table[~table["within"]]
    told = ", ".join(f"{row.measure} {row.value:.3g} (limit {row.limit:g})" for row in outside.itertuples())
    if len(outside) and must_agree:
        raise AgreementError(f"CPU and {devices.requested} do not agree on {len(rows)} cells: {told}")
    LOG.log(logging.WARNING if len(outside) else logging.INFO, "outside their limits: %s", told or "none")
    return table[COLUMNS]


def _facts(study: Mapping[str, Any], cells: int) -> dict[str, Any]:
    """Return the settings of the steps; `auto` stands for no resolution."""
    reduce, cluster = study["reduce_cells"], study["cluster_cells"]
    resolution = cluster["resolution"]["all"]
    facts = {name: reduce[name] for name in ("target_sum", "n_top_genes", "n_components", "harmony_theta")}
    facts["n_neighbors"] = max(2, min(cluster["n_neighbors"], cells // 2))
    return facts | {"resolution": 1.0 if resolution == "auto" else float(resolution)}


def _judged(values: pd.Series, limits: tuple[float, ...]) -> pd.DataFrame:
    """Hold each measure against its limit: at least that, or at most where the limit is given below 0."""
    limit = np.array(limits)
    sign = np.where(np.signbit(limit), -1.0, 1.0)
    within = values.to_numpy() * sign >= limit
    return pd.DataFrame({"measure": values.index, "value": values.to_numpy(), "limit": np.abs(limit), "within": within})
