"""Other numbers per sample on the scale on which patients are compared."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.gates import ALL
from immune_landscape.value_tables import ordered_values


def load_measures(measures: pd.DataFrame, design: pd.DataFrame, *, share_floor: float) -> pd.DataFrame:
    """Put each measure on its declared scale.

    Parameters
    ----------
    measures
        One row per sample and measure: ``sample, measure, value, unit, scale`` (identity, log or logit).
    design
        One row per sample, in the order that the values take.
    share_floor
        Distance from 0 and 1 at which shares on the logit scale are cut off.

    Returns
    -------
    pandas.DataFrame
        `value_tables.VALUE_COLUMNS`, one row per measure and sample: the parent is ``all``, the feature the measure,
        the value natural-logged where the scale says so, the unit that of the value (as given, ``log <unit>`` or
        ``log odds``). `low` and `high` are NaN.

    Raises
    ------
    InputError
        A value of 0 or less is on the log scale, or one outside 0 to 1 on the logit scale.
    """
    used = measures[measures["sample"].isin(design["sample"])]
    value, scale = used["value"].astype(float), used["scale"]
    _check_scales(used)
    share = value.where(scale == "logit").clip(share_floor, 1 - share_floor)
    value = value.mask(scale == "log", value.where(scale == "log").transform(np.log))
    value = value.mask(scale == "logit", (share / (1 - share)).transform(np.log))
    table = used.assign(value=value, parent=ALL, feature=used["measure"], low=np.nan, high=np.nan, unit=_units(used))
    return ordered_values(table, design)


def _check_scales(measures: pd.DataFrame) -> None:
    value, scale = measures["value"], measures["scale"]
    wrong = ((scale == "log") & (value <= 0)) | ((scale == "logit") & ((value < 0) | (value > 1)))
    for row in measures[wrong].itertuples():
        raise InputError(f"measure {row.measure} of {row.sample}: {row.value:g} cannot be on the scale {row.scale}")


def _units(measures: pd.DataFrame) -> pd.Series:
    logged = ("log " + measures["unit"]).str.strip()
    units = measures["unit"].mask(measures["scale"] == "log", logged)
    return units.mask(measures["scale"] == "logit", "log odds")
