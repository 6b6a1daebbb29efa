"""Quality of each sample in numbers: a difference in quality between groups can pass for biology."""

from __future__ import annotations

import numpy as np
import pandas as pd

UNITS = {
    "cells_kept": "log cells",
    "share_kept": "log odds",
    "doublet_share": "log odds",
    "median_counts": "log molecules",
    "median_genes": "log genes",
    "median_pct_mt": "percent",
}
"""Feature and its unit."""

HALF = 0.5
"""Added to both counts of a share, so that none and all have log odds."""


def measure_quality(cells: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Sum up the quality of each sample.

    Parameters
    ----------
    cells
        Tables of `filter_cells` of all jobs: ``sample, total_counts, n_genes, pct_mt, keep``.
    steps
        Cells per sample and step, as `merge_samples.count_cells` returns.

    Returns
    -------
    pandas.DataFrame
        ``sample, parent, feature, value, low, high, unit``: one row per sample and feature of `UNITS`, parent ``all``.
        Medians are over the cells that passed quality control; logarithms are natural.
    """
    passed = cells[cells["keep"].astype(bool)].groupby("sample", sort=False)
    counts = steps.set_index("sample").astype(float)
    table = pd.DataFrame(index=counts.index)
    table["cells_kept"] = np.log(counts["kept"].where(counts["kept"] > 0))
    table["share_kept"] = _log_odds(counts["passed_quality"], counts["loaded"])
    table["doublet_share"] = _log_odds(counts["called_doublet"], counts["passed_quality"])
    table["median_counts"] = np.log(passed["total_counts"].median())
    table["median_genes"] = np.log(passed["n_genes"].median())
    table["median_pct_mt"] = passed["pct_mt"].median()
    long = table.rename_axis("sample").reset_index().melt("sample", var_name="feature", value_name="value")
    long = long.assign(parent="all", low=np.nan, high=np.nan, unit=long["feature"].map(UNITS))
    return long[["sample", "parent", "feature", "value", "low", "high", "unit"]]


def _log_odds(part: pd.Series, whole: pd.Series) -> pd.Series:
    odds = (part + HALF) / (whole - part + HALF)
    return pd.Series(np.log(odds), index=part.index).where(whole > 0)
