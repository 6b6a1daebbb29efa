"""How much a result depends on one patient: every test again without each patient in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import ContrastSettings, run_test
from immune_landscape.patient_groups import PatientGroups

MOST_LABELINGS = 100_000
"""Reassignments enumerated for a refit at most; it stands for one patient, not for the result."""

MOST_DRAWS = 10_000
"""Reassignments drawn for a refit at most: a sampling error of 0.002 in p at 0.05."""

COLUMNS = ["feature", "patient", "effect", "p"]


def leave_one_out(values: np.ndarray, groups: PatientGroups, seed: int, settings: ContrastSettings) -> pd.DataFrame:
    """Refit effect and p value of each feature without each of its patients.

    Parameters
    ----------
    values
        (patients, features) as compared; NaN where a patient has none.
    groups
        The patients; with `for_features` of the same features where the baseline is adjusted for.
    seed
        Seed of the reassignments drawn.
    settings
        Reassignments enumerated or drawn; no more than `MOST_LABELINGS` and `MOST_DRAWS` are.

    Returns
    -------
    pandas.DataFrame
        ``feature`` (column of the values), ``patient`` (left out), ``effect`` and ``p``, feature by feature. A patient
        without a value has no row for the feature; `effect` and `p` are NaN where the others cannot be tested.
    """
    modest = settings._replace(max_exact=min(settings.max_exact, MOST_LABELINGS), draws=min(settings.draws, MOST_DRAWS))
    parts = []
    for left_out, patient in enumerate(groups.table["patient"]):
        kept = np.arange(len(values)) != left_out
        result = run_test(values[kept], groups.take(kept), seed, modest)
        has = np.flatnonzero(~np.isnan(values[left_out]))
        parts.append(
            pd.DataFrame({"feature": has, "patient": patient, "effect": result.effect[has], "p": result.p[has]})
        )
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(parts, ignore_index=True).sort_values("feature", kind="stable", ignore_index=True)


def summarise_influence(rows: pd.DataFrame, p: np.ndarray, effect: np.ndarray, alpha: float) -> list[dict[str, Any]]:
    """Summarise how much each feature depends on one patient.

    Parameters
    ----------
    rows
        As `leave_one_out` returns.
    p, effect
        (features,) of all patients.
    alpha
        Level.

    Returns
    -------
    list of dict
        Per feature ``loo_low`` and ``loo_high``, the range of the effect; ``loo_flips``, the number of patients
        without whom p is on the other side of `alpha`; ``loo_patient``, the one without whom the effect differs most.
        NaN, and an empty patient, where there is no p or no refit.

    Notes
    -----
    A patient without whom nothing can be tested counts as a flip of a p below `alpha`, since the finding cannot
    be shown without that patient.
    """
    by_feature = dict(list(rows.groupby("feature")))
    empty = rows.iloc[:0]
    return [_summary(by_feature.get(at, empty), float(p[at]), float(effect[at]), alpha) for at in range(len(p))]


def _summary(rows: pd.DataFrame, p: float, effect: float, alpha: float) -> dict[str, Any]:
    found = rows["effect"].to_numpy(dtype=float)
    if np.isnan(p) or np.isnan(found).all():
        return {"loo_low": np.nan, "loo_high": np.nan, "loo_flips": np.nan, "loo_patient": ""}
    # A missing p is not below the level: the comparison is false.
    flips = (rows["p"].to_numpy(dtype=float) < alpha) != (p < alpha)
    furthest = int(np.nanargmax(np.abs(found - effect)))
    return {
        "loo_low": float(np.nanmin(found)),
        "loo_high": float(np.nanmax(found)),
        "loo_flips": int(flips.sum()),
        "loo_patient": str(rows["patient"].iloc[furthest]),
    }
