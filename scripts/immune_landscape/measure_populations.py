"""Gated populations as log odds of their parent gate, one number per sample."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immune_landscape.gates import ALL, gate_slugs, parent_counts, parent_names
from immune_landscape.value_tables import ordered_values

NORMAL_975 = 1.959963984540054
"""Quantile of the normal distribution that bounds 95 %."""


def measure_populations(
    populations: pd.DataFrame,
    design: pd.DataFrame,
    *,
    pseudo_count: float,
    min_events: int,
    max_sparse_share: float,
    share_floor: float,
) -> pd.DataFrame:
    """Take each population as log odds of its parent gate.

    Parameters
    ----------
    populations
        One row per sample and population: `sample`, `population`, `parent` (empty for all cells), `count` and
        `fraction` (NaN where missing).
    design
        One row per sample, in the order that the values take.
    pseudo_count
        Events added to the gate and to the rest of its parent.
    min_events
        Events below which a gate is sparse in a sample; a parent with fewer gives no value there.
    max_sparse_share
        Share of samples beyond which a sparse population gets no value at all.
    share_floor
        Distance from 0 and 1 at which fractions without counts are cut off.

    Returns
    -------
    pandas.DataFrame
        `value_tables.VALUE_COLUMNS`, one row per population and sample: the parent as id (``all`` for all cells), the
        feature as written, the value NaN where not measured or too sparse. `low` and `high` are the 95 % interval of
        counting events alone; NaN without counts. One column more, `note`, tells
        which populations are too sparse.

    Notes
    -----
    With counts the value is log((count + pc) / (parent - count + pc)); the parent's events are those listed for it, or
    else the sum of its children (see `gates.parent_counts`). Counts go before fractions. The standard error behind the
    interval is sqrt(1 / (count + pc) + 1 / (parent - count + pc)) (Haldane 1956; Gart and Zweifel 1967).
    """
    used = populations[populations["sample"].isin(design["sample"]) & (populations["population"] != ALL)]
    totals = parent_counts(populations)[used.index]
    numbers = _log_odds_of_counts(used["count"].astype(float), totals.where(totals >= max(min_events, 1)), pseudo_count)
    fractions = used["fraction"].astype(float).where(totals.isna() | used["count"].isna())
    numbers["value"] = numbers["value"].fillna(_logit(fractions, share_floor))
    notes = _sparse_notes(used, min_events, max_sparse_share)
    numbers = numbers.where(notes == "")
    slugs = gate_slugs(parent_names(populations))
    table = numbers.assign(
        sample=used["sample"], parent=parent_names(used).map(slugs), feature=used["population"], unit="log odds"
    )
    return ordered_values(table.assign(note=notes), design, ["note"])


def _sparse_notes(used: pd.DataFrame, min_events: int, max_sparse_share: float) -> pd.Series:
    """Say of each population that is too sparse in how many samples; empty for the others."""
    notes = pd.Series("", index=used.index, dtype=object)
    counted = used[used["count"].notna()]
    few = (counted["count"] < min_events).groupby(counted["population"]).agg(["sum", "count"])
    for gate, (sparse, samples) in few.iterrows():
        if sparse > max_sparse_share * samples:
            message = f"too sparse: fewer than {min_events} events in {sparse} of {samples} samples"
            notes = notes.mask(used["population"] == gate, message)
    return notes


def _log_odds_of_counts(counts: pd.Series, totals: pd.Series, pseudo_count: float) -> pd.DataFrame:
    inside, outside = counts + pseudo_count, totals - counts + pseudo_count
    value = np.log(inside / outside)
    error = NORMAL_975 * np.sqrt(1 / inside + 1 / outside)
    return pd.DataFrame({"value": value, "low": value - error, "high": value + error})


def _logit(shares: pd.Series, floor: float) -> pd.Series:
    inside = shares.clip(floor, 1 - floor)
    return (inside / (1 - inside)).transform(np.log)
