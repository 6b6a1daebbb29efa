"""Merge the contrasts of all layers into one table, corrected across layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.layers import LAYERS
from immune_landscape.multiple_tests import false_discovery_rates, holm

COLUMNS = [
    *("layer", "contrast", "estimand", "family", "parent", "feature", "group_a", "group_b", "n_a", "n_b"),
    *("effect", "unit", "ci_low", "ci_high", "p", "p_maxt", "p_holm", "fdr", "sd", "mde", "mde_d"),
    *("mde_d_family", "labelings", "min_p"),
    *("loo_low", "loo_high", "loo_flips", "status", "note"),
]
LOG_RATIO = "log ratio"
"""Unit of composition: difference of centred log ratios, natural logarithm."""

TEXTS = ["family", "parent", "feature", "group_a", "group_b", "unit", "status", "note"]


def merge_contrasts(
    tables: Mapping[str, pd.DataFrame],
    units: Mapping[str, pd.DataFrame],
    contrasts: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Stack the contrasts tables of the layers and correct p values across them.

    Parameters
    ----------
    tables
        Layer -> its contrasts table; the column ``subset`` or ``feature`` names what is compared.
    units
        Layer -> table with ``parent``, ``feature`` and ``unit``, such as the values compared. Composition needs none.
    contrasts
        Contrasts of the cohort: ``name``, and the families they declare under ``subsets`` and ``features``.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, layers in the order of `layers.LAYERS`, rows of a layer in their own order. ``p_holm`` is given for
        the rows of a primary family, ``fdr`` for all others that were tested.

    Notes
    -----
    ``p_maxt`` holds the error rate within a layer. A primary family may span layers: ``p_holm`` is Holm's correction
    of ``p`` over all of its tested rows in one contrast. Where a contrast declares what its family is, the layers that
    it leaves out are no part of it, and an exploratory layer is only where it is named. All other tested rows have
    ``fdr``, Benjamini and Hochberg's false discovery rate within contrast, layer and family.

    References
    ----------
    Holm (1979), https://www.jstor.org/stable/4615733; Benjamini and Hochberg (1995),
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
    """
    ordered = [layer for layer in LAYERS if layer in tables]
    rows = [row for layer in ordered for row in _rows_of(layer, tables[layer], units.get(layer))]
    merged = pd.DataFrame(rows, columns=COLUMNS)
    merged[TEXTS] = merged[TEXTS].astype(object).where(merged[TEXTS].notna(), "")
    tested = merged["status"].eq("tested") & merged["p"].notna()
    primary = tested & _in_primary(merged, contrasts)
    merged["p_holm"] = _by_group(merged[primary], ["contrast"], holm).reindex(merged.index)
    others = merged[tested & ~primary]
    rates = _by_group(others, ["contrast", "layer", "family"], false_discovery_rates)
    merged["fdr"] = rates.reindex(merged.index)
    return merged.astype(dict.fromkeys(["n_a", "n_b", "labelings", "loo_flips"], "Int64"))


def _rows_of(layer: str, table: pd.DataFrame, units: pd.DataFrame | None) -> list[dict[str, Any]]:
    named = table.rename(columns={"subset": "feature"})
    found: dict[tuple[str, str], str] = {}
    if units is not None:
        distinct = units.drop_duplicates(["parent", "feature"])
        found = dict(zip(zip(distinct["parent"], distinct["feature"], strict=True), distinct["unit"], strict=True))
    rows = []
    for row in named.to_dict("records"):
        unit = LOG_RATIO if layer == "composition" else found.get((row["parent"], row["feature"]), "")
        rows.append({**{str(name): value for name, value in row.items()}, "layer": layer, "unit": unit})
    return rows


def _in_primary(merged: pd.DataFrame, contrasts: Sequence[Mapping[str, Any]]) -> pd.Series:
    """Tell which rows belong to the primary family of their contrast."""
    declared = {str(contrast["name"]): _declared_layers(contrast) for contrast in contrasts}
    pairs = zip(merged["contrast"], merged["layer"], strict=True)
    covered = [not declared.get(str(name)) or layer in declared[str(name)] for name, layer in pairs]
    member = merged["family"].eq("primary") & merged["p_maxt"].notna()
    return member & pd.Series(covered, index=merged.index, dtype=bool)


def _declared_layers(contrast: Mapping[str, Any]) -> set[str]:
    layers = {layer for layer, names in (contrast.get("features") or {}).items() if names}
    return layers | ({"composition"} if contrast.get("subsets") else set())


def _by_group(rows: pd.DataFrame, keys: list[str], correct: Any) -> pd.Series:
    """Correct the p values of each group of rows by itself."""
    corrected = pd.Series(np.nan, index=rows.index, dtype=float)
    for _, group in rows.groupby(keys, sort=False):
        corrected[group.index] = correct(group["p"].to_numpy(dtype=float))
    return corrected
