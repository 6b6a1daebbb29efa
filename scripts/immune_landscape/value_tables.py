"""The table that a measuring layer hands on: one number per sample and feature, on the scale that is compared."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

VALUE_COLUMNS = ["sample", "parent", "feature", "value", "low", "high", "unit"]


def ordered_values(table: pd.DataFrame, design: pd.DataFrame, besides: Sequence[str] = ()) -> pd.DataFrame:
    """Sort by feature, as the table first names them, and by sample, as the design does.

    Parameters
    ----------
    table
        With `VALUE_COLUMNS` and unique index.
    design
        One row per sample, with all samples of the table.
    besides
        Columns kept after the standard ones.

    Returns
    -------
    pandas.DataFrame
        `VALUE_COLUMNS` and what is kept besides.
    """
    places = {name: at for at, name in enumerate(table["feature"].unique())}
    samples = {name: at for at, name in enumerate(design["sample"])}
    order = pd.DataFrame({"feature": table["feature"].map(places), "sample": table["sample"].map(samples)})
    rows = order.sort_values(["feature", "sample"], kind="stable").index
    return table.loc[rows, [*VALUE_COLUMNS, *besides]].reset_index(drop=True)
