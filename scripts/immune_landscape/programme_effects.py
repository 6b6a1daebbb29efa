"""How expanded cells differ from singletons of the same subset, patient by patient and across patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from immune_landscape.clone_cells import BRANCH
from immune_landscape.clone_programmes import CONTROL, EXPANDED, SINGLETON
from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_engine import OUTSIDE
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.multiple_tests import false_discovery_rates

CONTRAST = {"name": "expanded_vs_singleton", "estimand": "change", "reference": SINGLETON, "target": EXPANDED}
_PLACE = ["tissue", "subset", "signature"]
DIFFERENCE_COLUMNS = [
    *("patient", *_PLACE, "samples", "expanded_cells", "singleton_cells", "invariant_share"),
    *(EXPANDED, SINGLETON, "difference"),
]
PROGRAMME_COLUMNS = [
    *("contrast", "branch", *_PLACE, "n_a", "n_b", "effect", "ci_low", "ci_high", "ci_method", "hodges_lehmann"),
    *("p", "fdr", "labelings", "exact", "min_p", "sd", "mde", "loo_low", "loo_high", "loo_flips", "loo_patient"),
    *("invariant_share", "status", "note"),
]


def patient_differences(scores: pd.DataFrame) -> pd.DataFrame:
    """Make one difference per patient of the sides of each subset of the patient's samples.

    Parameters
    ----------
    scores
        As `clone_programmes.score_sides` returns.

    Returns
    -------
    pandas.DataFrame
        `DIFFERENCE_COLUMNS`: expanded less singleton, the mean over the patient's samples of a tissue, which count
        alike whatever their cells; ``invariant_share`` is that of the expanded cells.
    """
    own = ["sample", "patient", "tissue", "subset"]
    signatures = [name for name in scores if name not in {*own, "side", "cells", "invariant_share"}]
    long = scores.melt([*own, "side", "cells", "invariant_share"], signatures, "signature", "score")
    sides = [
        long[long["side"] == side].set_index([*own, "signature"])[["score", "cells", "invariant_share"]]
        for side in (EXPANDED, SINGLETON)
    ]
    both = sides[0].merge(sides[1], left_index=True, right_index=True, suffixes=("", "_singleton")).reset_index()
    found = both.groupby(["patient", *_PLACE], sort=True).agg(
        samples=("sample", "nunique"),
        expanded_cells=("cells", "sum"),
        singleton_cells=("cells_singleton", "sum"),
        invariant_share=("invariant_share", "mean"),
        **{EXPANDED: ("score", "mean"), SINGLETON: ("score_singleton", "mean")},
    )
    found["difference"] = found[EXPANDED] - found[SINGLETON]
    return found.reset_index()[DIFFERENCE_COLUMNS]


def compare_programmes(differences: pd.DataFrame, testing: ContrastSettings, seed: int) -> pd.DataFrame:
    """Test across patients whether expanded cells score other than singletons.

    Parameters
    ----------
    differences
        As `patient_differences` returns.
    testing
        Level, power and number of signings.
    seed
        Seed of the signings drawn when there are too many to enumerate.

    Returns
    -------
    pandas.DataFrame
        `PROGRAMME_COLUMNS`, one row per tissue, subset and signature: mean difference of the patients with interval,
        number of patients (``n_a``), p of the sign-flip test, and ``fdr``, Benjamini and Hochberg's rate over the
        branch within a tissue, which `CONTROL` is no part of. ``invariant_share`` is that of the expanded cells,
        averaged over patients. Rows of too few patients are not tested, and say so.

    Notes
    -----
    The unit is the patient: cells and clones only make its two profiles.
    """
    parts = [_compared(rows, str(tissue), testing, seed) for tissue, rows in differences.groupby("tissue", sort=True)]
    if not parts:
        return pd.DataFrame(columns=PROGRAMME_COLUMNS)
    return pd.concat(parts, ignore_index=True)[PROGRAMME_COLUMNS]


def _compared(differences: pd.DataFrame, tissue: str, testing: ContrastSettings, seed: int) -> pd.DataFrame:
    """Compare the sides as two samples of each patient, with the engine that compares visits."""
    long = differences.melt(["patient", "subset", "signature"], [SINGLETON, EXPANDED], "visit", "value")
    long["sample"] = long["patient"] + ":" + long["visit"]
    design = long[["sample", "patient", "visit"]].drop_duplicates().assign(tissue=tissue)
    values = long.rename(columns={"subset": "parent", "signature": "feature"})
    values = values.assign(low=np.nan, high=np.nan, unit="score")
    found = compare_values(values, design, [CONTRAST], "signatures", testing, seed)["contrasts"]
    found = found.rename(columns={"parent": "subset", "feature": "signature"}).assign(tissue=tissue, branch=BRANCH)
    shares = differences.groupby(["subset", "signature"])["invariant_share"].mean().rename("invariant_share")
    found = found.merge(shares.reset_index(), on=["subset", "signature"], how="left")
    found["note"] = found["note"].map(_own_notes)
    tested = found["p"].notna() & (found["signature"] != CONTROL)
    rates = pd.Series(np.nan, index=found.index)
    if tested.any():
        rates[tested] = false_discovery_rates(found.loc[tested, "p"].to_numpy(dtype=float))
    return found.assign(fdr=rates)


def _own_notes(note: str) -> str:
    """Drop the list of patients without enough cells, most of whom lack some subset, and what speaks of families."""
    parts = [part for part in note.split("; ") if part != OUTSIDE and not part.startswith("left out for want of")]
    return "; ".join(parts)
