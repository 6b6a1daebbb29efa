"""Measure how much any two bulk repertoires share, at one depth."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.rarefaction import expected_overlap

MEASURES = ["shared", "jaccard", "overlap_coefficient", "morisita_horn"]
OVERLAP_COLUMNS = [
    *("sample_a", "sample_b", "patient_a", "patient_b", "visit_a", "visit_b", "same_patient", "depth"),
    *("shared_at_full_depth", *MEASURES),
]


def measure_overlap(
    clones: Iterable[tuple[str, pd.DataFrame]], design: pd.DataFrame, *, min_templates: int
) -> pd.DataFrame:
    """Compare every two samples by the clonotypes they share.

    Parameters
    ----------
    clones
        Sample and its clonotypes: clonotype (id of 16 hexadecimal digits), count.
    design
        One row per sample: sample, patient, visit.
    min_templates
        Productive templates that a sample needs to be compared.

    Returns
    -------
    pandas.DataFrame
        One row per pair of samples (`OVERLAP_COLUMNS`): shared clonotypes as they are, and at the depth of the smallest
        sample compared what `rarefaction.expected_overlap` gives.

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    Deeper samples share more clonotypes whatever their blood holds, hence the common depth. Sharing between patients
    describes: public clonotypes, and where it is large, samples that were swapped or mixed.
    """
    held = {sample: _sorted(table) for sample, table in clones}
    if unknown := sorted(set(held) - set(design["sample"])):
        raise InputError(f"repertoires of samples that the design lacks: {', '.join(unknown)}")
    usable = {sample: found for sample, found in held.items() if found[1].sum() >= min_templates}
    depth = min((int(counts.sum()) for _, counts in usable.values()), default=0)
    facts = design.set_index("sample")
    rows = []
    for (name_a, (ids_a, counts_a)), (name_b, (ids_b, counts_b)) in combinations(usable.items(), 2):
        _, shared_a, shared_b = np.intersect1d(ids_a, ids_b, assume_unique=True, return_indices=True)
        row = {"sample_a": name_a, "sample_b": name_b, "depth": depth, "shared_at_full_depth": len(shared_a)}
        row |= {f"{fact}_{end}": facts.at[name, fact] for fact in ("patient", "visit") for end, name in _ends(row)}
        row["same_patient"] = row["patient_a"] == row["patient_b"]
        rows.append(row | expected_overlap(counts_a, counts_b, shared_a, shared_b, depth))
    return pd.DataFrame(rows, columns=OVERLAP_COLUMNS)


def _ends(row: dict[str, object]) -> list[tuple[str, str]]:
    return [(end, str(row[f"sample_{end}"])) for end in ("a", "b")]


def _sorted(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Hold ids as whole numbers, which take a fifth of the room of their digits."""
    ids = np.array([int(text, 16) for text in table["clonotype"]], dtype=np.uint64)
    order = np.argsort(ids)
    return ids[order], table["count"].to_numpy(dtype=np.int64)[order]
