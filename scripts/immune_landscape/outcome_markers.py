"""The numbers per sample that are related to outcome, on the scale that each layer compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_composition import DEFAULT_PARENTS, log_ratios
from immune_landscape.compare_values import TOO_SPARSE
from immune_landscape.contrast_engine import BROAD_PARENTS
from immune_landscape.measure_composition import is_unassigned

LOG_RATIO = "log ratio"
"""Unit of composition: natural logarithm of the share over the geometric mean of its parent's subsets."""

ABSENT = "not in the table of the layer"
Key = tuple[str, str]


class Marker(NamedTuple):
    """One feature that is related to outcome.

    Attributes
    ----------
    layer, parent, feature
        Its name.
    numbers
        Value by sample, NaN where it was not measured.
    unit
        Of the values.
    cut
        Cut-point known beforehand; NaN for none.
    fault
        Why it is not related to outcome; empty when it is.
    """

    layer: str
    parent: str
    feature: str
    numbers: pd.Series
    unit: str
    cut: float
    fault: str


def markers_of(
    layer: str,
    table: pd.DataFrame,
    samples: Sequence[str],
    asked: Sequence[Mapping[str, Any]],
    floors: Mapping[str, Any],
) -> list[Marker]:
    """Return the features of a layer that are asked for.

    Parameters
    ----------
    layer
        Of `layers.LAYERS`.
    table
        The table of `measure_composition` for composition; else ``sample, parent, feature, value, unit``, and
        optionally ``note``.
    samples
        Samples that are used: subsets of composition that are sparse in them are left out.
    asked
        As from `linked_features.linked_markers`.
    floors
        Settings of `compare_composition`: ``pseudo_count``, ``min_cells``, ``max_sparse_share``.

    Returns
    -------
    list of Marker
        In the order asked for; where all of a layer are, in that of its table, without cells of no name and of the
        denominators that form a family by default. One that the table does not hold says so.
    """
    own = table[table["sample"].isin(list(samples))]
    found = {(marker.parent, marker.feature): marker for marker in _measured(layer, own, floors)}
    chosen: dict[Key, Marker] = {}
    for entry in asked:
        keys = _matching(layer, str(entry["feature"]), list(found))
        for key in keys:
            chosen[key] = found[key]._replace(cut=np.nan if entry["cut"] is None else float(entry["cut"]))
        if not keys and entry["feature"]:
            parent, _, feature = str(entry["feature"]).rpartition("/")
            nothing = pd.Series(dtype=float)
            chosen[parent, feature] = Marker(layer, parent, feature, nothing, "", np.nan, ABSENT)
    return list(chosen.values())


def _matching(layer: str, asked: str, keys: list[Key]) -> list[Key]:
    """Return the features that a name stands for: with its parent, in every usual parent, or all of the layer."""
    exact = [key for key in keys if "/".join(key) == asked]
    if exact:
        return exact
    parents = DEFAULT_PARENTS if layer == "composition" else BROAD_PARENTS.get(layer)
    usual = [key for key in keys if parents is None or key[0] in parents]
    if asked:
        return [key for key in usual if key[1] == asked] or [key for key in keys if key[1] == asked]
    return [key for key in usual if not (layer == "composition" and is_unassigned(key[1]))]


def _measured(layer: str, table: pd.DataFrame, floors: Mapping[str, Any]) -> Iterator[Marker]:
    if layer == "composition":
        yield from _ratios(table, floors)
        return
    for (parent, feature), part in table.groupby(["parent", "feature"], sort=False):
        values = part.drop_duplicates("sample").set_index("sample")["value"].astype(float)
        note = str(part["note"].fillna("").iloc[0]) if "note" in part else ""
        fault = f"too sparse: {note.removeprefix(TOO_SPARSE)}" if note.startswith(TOO_SPARSE) else ""
        unit = str(part["unit"].fillna("").iloc[0])
        yield Marker(layer, str(parent), str(feature), values, unit, np.nan, fault)


def _ratios(table: pd.DataFrame, floors: Mapping[str, Any]) -> Iterator[Marker]:
    """Yield centred log ratios; subsets that are sparse in these samples are pooled, as in the contrasts."""
    for parent, part in table.groupby("parent", sort=False):
        counts = part.pivot_table(index="sample", columns="subset", values="cells", aggfunc="sum", sort=False)
        few = (counts < floors["min_cells"]).sum()
        sparse = (few > floors["max_sparse_share"] * len(counts)).to_numpy()
        ratios = log_ratios(counts.astype(float), sparse, floors["pseudo_count"])
        single = int((~sparse).sum()) + int(sparse.any()) < 2
        for subset, is_sparse in zip(counts.columns, sparse, strict=True):
            fault = "one subset holds all cells, so there is no ratio" if single else ""
            if is_sparse:
                fault = f"too sparse: fewer than {floors['min_cells']} cells in {few[subset]} of {len(counts)} samples"
            yield Marker("composition", str(parent), str(subset), ratios[subset], LOG_RATIO, np.nan, fault)
