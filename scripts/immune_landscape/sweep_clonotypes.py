"""Define the clonotypes anew in other ways: does the answer hang on what counts as one clone?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.define_clonotypes import assign_clonotypes
from immune_landscape.measure_expansion import counted_receptors, measure_expansion

if TYPE_CHECKING:
    pass

CHAINS = {
    "all": ("all", False),
    "paired": ("all", True),
    "any": ("any", False),
    "VJ": ("VJ", False),
    "VDJ": ("VDJ", False),
}
"""Chains that are compared -> settings `receptor_arms` and `paired_only` of `define_clonotypes`."""

METRICS = ("expanded_share", "clonality", "gini_simpson")
"""Metrics at equal depth that are told of each sample."""

KEYS = ["definition", "declared", "same_as", "sequence", "chains", "dual_ir", "same_v_gene"]
DEFINITION_COLUMNS = [*KEYS, "cells", "clonotypes", "largest", "samples", "depth", *METRICS]
SAMPLE_COLUMNS = [
    "definition", "declared", "sample", "patient", "visit", "tissue", "response",
    "cells", "clonotypes", "largest", "depth", *METRICS,
]  # fmt: skip
CONTRAST_COLUMNS = [
    *KEYS, "contrast", "estimand", "parent", "feature", "group_a", "group_b", "n_a", "n_b", "effect", "p", "same_sign",
]  # fmt: skip

MAX_LABELINGS = 20_000
"""Labelings per comparison of the sweep: a p value to two digits is enough to see whether it holds."""


def sweep_clonotypes(
    receptors: pd.DataFrame,
    cells: pd.DataFrame | None,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    seed: int,
    *,
    sequences: Sequence[str],
    chains: Sequence[str],
    dual_rules: Sequence[str],
    v_gene_rules: Sequence[bool],
    draws: int,
) -> dict[str, pd.DataFrame]:
    """Define clonotypes in every combination of rules, measure expansion and compare patients each time.

    Parameters
    ----------
    receptors
        Chains of each barcode, as `receptor_chains.read_chains` returns.
    cells, design
        As for `measure_expansion.measure_expansion`.
    study
        ``contrasts`` of the cohort; ``testing``: fields of `contrast_tests.ContrastSettings`, of whose labelings at
        most `MAX_LABELINGS` are looked at; ``stages``: settings of `define_clonotypes` and `measure_expansion`.
    seed
        Seed of `measure_expansion`, so that the declared definition gives the same numbers as there.
    sequences
        CDR3 compared: ``nt``, ``aa``.
    chains
        Keys of `CHAINS`.
    dual_rules
        Chains compared in cells with two chains of an arm: ``primary_only``, ``any``, ``all``.
    v_gene_rules
        Whether the same V gene is demanded.
    draws
        Random subsets of cells per sample; the declared definition has those of `measure_expansion`.

    Returns
    -------
    dict
        ``definitions``: one row per definition, the declared one first (`DEFINITION_COLUMNS`): the first definition
        that puts the same cells together (`same_as`, empty where it is this one), cells with a clonotype and
        clonotypes of all samples, cells of the largest clonotype in one sample, samples measured, their common depth,
        and the median of each metric at that depth. ``samples``: the same per sample (`SAMPLE_COLUMNS`).
        ``contrasts``: one row per definition and tested feature of layer ``expansion`` (`CONTRAST_COLUMNS`);
        `same_sign` as under the declared definition.

    Notes
    -----
    The J gene and multichain cells are handled as declared. Each definition has the depth of its own smallest sample:
    metrics compare samples within a definition, and definitions only roughly.
    """
    stages = study["stages"]
    measured = Measured(
        _of_scopes(cells, stages["measure_expansion"]["compared_scopes"]),
        design,
        study["contrasts"],
        _quick(ContrastSettings(**study["testing"])),
        seed,
    )
    known: dict[int, tuple[str, dict[str, pd.DataFrame]]] = {}
    found: dict[str, list[pd.DataFrame]] = {"definitions": [], "samples": [], "contrasts": []}
    for facts, definition in _definitions(stages["define_clonotypes"], sequences, chains, dual_rules, v_gene_rules):
        clonotypes = assign_clonotypes(receptors, **definition)
        settings = stages["measure_expansion"] | ({} if facts["declared"] else {"draws": draws})
        # Clonotypes are named by size and sequence: equal names mean the same partition, and the same numbers.
        key = hash(tuple(clonotypes["clonotype"]))
        if key not in known:
            known[key] = facts["definition"], _measure(clonotypes, measured, settings)
        first, tables = known[key]
        facts["same_as"] = "" if first == facts["definition"] else first
        for name, rows in tables.items():
            found[name].append(rows.assign(**facts))
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in found.items()}
    return {
        "definitions": tables["definitions"][DEFINITION_COLUMNS],
        "samples": tables["samples"][SAMPLE_COLUMNS],
        "contrasts": _with_signs(tables["contrasts"]),
    }


class Measured(NamedTuple):
    """What stays the same between definitions.

    Attributes
    ----------
    cells, design
        As for `measure_expansion`, the cells with no labels but those compared.
    contrasts
        Contrasts of the cohort.
    testing
        Settings of their tests.
    seed
        Seed of the draws.
    """

    cells: pd.DataFrame | None
    design: pd.DataFrame
    contrasts: Sequence[Mapping[str, Any]]
    testing: ContrastSettings
    seed: int


def _measure(clonotypes: pd.DataFrame, given: Measured, settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    metrics, _, values = measure_expansion(clonotypes, given.cells, given.design, given.seed, **settings)
    counted = counted_receptors(clonotypes, given.cells, settings["t_cells_only"])
    samples = _sample_rows(metrics, counted)
    tested = compare_values(values, given.design, given.contrasts, "expansion", given.testing, given.seed)["contrasts"]
    tested = tested[tested["status"] == "tested"]
    return {"definitions": _summary_row(samples, counted), "samples": samples, "contrasts": tested}


def _quick(testing: ContrastSettings) -> ContrastSettings:
    most = {name: min(getattr(testing, name), MAX_LABELINGS) for name in ("max_exact", "draws")}
    return testing._replace(intervals=False, **most)


def _definitions(
    declared: Mapping[str, Any],
    sequences: Sequence[str],
    chains: Sequence[str],
    dual_rules: Sequence[str],
    v_gene_rules: Sequence[bool],
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List facts and settings of every definition once, the declared one first."""
    found = [_definition(declared, _chains_of(declared), {}, declared=True)]
    for sequence, compared, dual_ir, same_v_gene in product(sequences, chains, dual_rules, v_gene_rules):
        arms, paired = CHAINS[compared]
        changes = {"sequence": sequence, "receptor_arms": arms, "paired_only": paired, "dual_ir": dual_ir}
        other = _definition(declared, compared, changes | {"same_v_gene": same_v_gene}, declared=False)
        if other[1] != found[0][1]:
            found.append(other)
    return found


def _chains_of(settings: Mapping[str, Any]) -> str:
    """Name the chains compared; of one arm or either, paired cells alone have no name of their own in `CHAINS`."""
    named = {found: name for name, found in CHAINS.items()}
    arms, paired = settings["receptor_arms"], bool(settings["paired_only"])
    return named.get((arms, paired), f"{arms}, paired cells")


def _definition(
    base: Mapping[str, Any], compared: str, changes: Mapping[str, Any], *, declared: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = {**base, **changes}
    facts = {"declared": declared, "sequence": settings["sequence"], "chains": compared}
    facts |= {"dual_ir": settings["dual_ir"], "same_v_gene": bool(settings["same_v_gene"])}
    v_gene = "V" if facts["same_v_gene"] else "no V"
    return facts | {"definition": "; ".join([facts["sequence"], compared, facts["dual_ir"], v_gene])}, settings


def _of_scopes(cells: pd.DataFrame | None, scopes: Sequence[str]) -> pd.DataFrame | None:
    """Leave of the labels only the scopes that are compared: measuring the others takes time."""
    if cells is None:
        return None
    kept = {name: cells[name].where(cells[name].isin(list(scopes)), "") for name in ("lineage", "subset")}
    return cells.assign(**kept)


def _sample_rows(metrics: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Return one row per sample: its design, counts and metrics at equal depth."""
    facts = ["sample", "patient", "visit", "tissue", "response"]
    rows = metrics.drop_duplicates("sample")[facts].reset_index(drop=True)
    raw = metrics[~metrics["standardised"]].pivot_table(index="sample", columns="metric", values="value")
    drawn = metrics[metrics["standardised"]]
    wide = drawn.pivot_table(index="sample", columns="metric", values="value", dropna=False)
    sizes = counted.groupby(["sample", "clonotype"]).size().groupby("sample").max()
    rows["cells"] = rows["sample"].map(raw["receptor_cells"]).astype(int)
    rows["clonotypes"] = rows["sample"].map(raw["clonotypes"]).astype(int)
    rows["largest"] = rows["sample"].map(sizes).fillna(0).astype(int)
    rows["depth"] = rows["sample"].map(drawn.drop_duplicates("sample").set_index("sample")["depth"])
    return rows.assign(**{name: rows["sample"].map(wide[name]) for name in METRICS})


def _summary_row(samples: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    measured = samples[samples["expanded_share"].notna()]
    row = {
        "cells": len(counted),
        "clonotypes": counted["clonotype"].nunique(),
        "largest": samples["largest"].max(),
        "samples": len(measured),
        "depth": samples["depth"].iloc[0] if len(samples) else pd.NA,
        **{name: measured[name].median() for name in METRICS},
    }
    return pd.DataFrame([row]).astype({"depth": "Int64"})


def _with_signs(compared: pd.DataFrame) -> pd.DataFrame:
    keys = ["contrast", "parent", "feature"]
    declared = compared[compared["declared"].astype(bool)].set_index(keys)["effect"]
    reference = declared.reindex(pd.MultiIndex.from_frame(compared[keys])).to_numpy(dtype=float)
    same = np.sign(compared["effect"].to_numpy(dtype=float)) == np.sign(reference)
    return compared.assign(same_sign=same)[CONTRAST_COLUMNS].reset_index(drop=True)
