"""Find the clones of single cells in the bulk repertoire of the same blood, and say what each tells of the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.bridge_matching import join_clones, list_betas, match_betas
from immune_landscape.bridge_measures import (
    Bridge,
    compare_frequencies,
    list_clones,
    measure_capture,
    share_by_subset,
    share_interval,
)
from immune_landscape.clone_sharing import FLAGGED
from immune_landscape.errors import InputError
from immune_landscape.repertoire_metrics import summarise_draws
from immune_landscape.seeds import seed_of
from immune_landscape.value_tables import VALUE_COLUMNS, ordered_values

AGREES, UNDETERMINED = "agrees", "cannot be determined"
FEATURE = "bulk_share"
ALL = "all"
ANY_T, UNNAMED = "t", "unassigned"
"""Subset of every cell where cells are not annotated, and of a cell that the annotation leaves out."""

BULK_COLUMNS = ("junction", "junction_aa", "v_call", "count")
_FACTS = ["sample", "patient", "visit", "tissue"]
_SAME_BLOOD = ["patient", "visit", "tissue"]
SUBSET_COLUMNS = [
    *(*_FACTS, "subset", "cells", "cell_share", "clones", "clones_in_bulk", "clones_elsewhere", "templates"),
    *("bulk_share", "low", "high"),
]
AGREEMENT_COLUMNS = [
    *(*_FACTS, "cell_samples", "cells", "clones", "templates", "clonotypes", "matched_clones", "cells_matched"),
    *("mass_matched", "mass_low", "mass_high", "spearman", "large_clones", "large_cells", "large_expected"),
    *("log2_ratio", "ambiguous_clones", "ambiguous_mass", "other_sample", "other_cells_matched", "verdict", "note"),
]
CAPTURE_COLUMNS = [*_FACTS, "size", "clones", "found", "share", "low", "high", "expected"]
CLONE_COLUMNS = [
    *(*_FACTS, "clone", "cells", "cell_share", "templates", "bulk_share", "subset", "subsets", "alphas"),
]
COLUMNS = {
    "subsets": SUBSET_COLUMNS,
    "agreement": AGREEMENT_COLUMNS,
    "capture": CAPTURE_COLUMNS,
    "clones": CLONE_COLUMNS,
}
"""Table -> its columns."""


@dataclass(frozen=True)
class _Settings:
    min_cells: int
    min_templates: int
    min_foreign_clones: int
    expected_cells: float
    level: float
    draws: int


def bridge_repertoires(
    clonotypes: pd.DataFrame,
    cells: pd.DataFrame | None,
    bulk: Iterable[tuple[str, pd.DataFrame]],
    design: pd.DataFrame,
    seed: int,
    *,
    v_gene: str,
    t_cells_only: bool,
    min_cells: int,
    min_templates: int,
    min_foreign_clones: int,
    expected_cells: float,
    level: float,
    draws: int,
    compared_scopes: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Match the beta chains of single cells with the bulk repertoire of the same patient, visit and tissue.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell.
    cells
        Annotated cells, indexed by cell: subset, branch; None without gene expression.
    bulk
        Bulk sample and its clonotypes (`BULK_COLUMNS`).
    design
        One row per sample: sample, patient, visit, tissue.
    seed
        Start of the random draws.
    v_gene
        As for `bridge_matching.match_betas`.
    t_cells_only
        Leave out cells not annotated as T cells.
    min_cells, min_templates
        Cells with a beta chain, and productive templates, that a sample needs to be compared between patients.
    min_foreign_clones
        Clones that must be found in another patient's bulk repertoire before a sample is flagged for it.
    expected_cells
        As for `bridge_measures.compare_frequencies`.
    level
        Confidence level of the intervals within a sample.
    draws
        Random subsets of the cells of a sample at the common depth.
    compared_scopes
        ``all`` or subsets whose share of the bulk repertoire is compared between patients.

    Returns
    -------
    dict
        ``subsets`` (`SUBSET_COLUMNS`, see `bridge_measures.share_by_subset`); ``agreement``, one row per bulk sample
        (`AGREEMENT_COLUMNS`): depth of both, matched clones, shares of cells and of bulk mass matched,
        `bridge_measures.compare_frequencies`, clones with several alpha chains and their mass, another patient's bulk
        sample that holds most of these cells' clones and what share of the cells, verdict (agrees, flagged, cannot be
        determined) and note; ``capture`` (`CAPTURE_COLUMNS`, see `bridge_measures.measure_capture`); ``clones`` found
        in both (`CLONE_COLUMNS`); ``values``, what is compared (`value_tables.VALUE_COLUMNS`).

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    A clone is a beta chain here: bulk repertoires hold no other. Clones of several alpha chains are counted and stay
    one. The share of a bulk repertoire that was seen grows with the number of cells and not with its own depth; the
    values compared are therefore means over subsets of as many cells as the smallest usable sample has.
    """
    settings = _Settings(min_cells, min_templates, min_foreign_clones, expected_cells, level, draws)
    carriers, betas = _carriers(clonotypes, cells, design, t_cells_only)
    bridges: dict[str, Bridge] = {}
    seen: dict[str, np.ndarray] = {}
    for sample, table in bulk:
        own = carriers[_is_same_blood(carriers, _facts_of(sample, design))]
        bridges[sample], seen[sample] = _match(own, betas, table, v_gene)
    subsets = sorted(carriers["subset"].unique())
    tables = [_describe(sample, bridges, seen, design, subsets, settings) for sample in bridges]
    stacked = {name: _stack([part[name] for part in tables], columns) for name, columns in COLUMNS.items()}
    values = _values(bridges, subsets, compared_scopes, settings, seed)
    return stacked | {"values": ordered_values(values, design)}


def _carriers(
    clonotypes: pd.DataFrame, cells: pd.DataFrame | None, design: pd.DataFrame, t_cells_only: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells with a beta chain, and their different beta chains."""
    if unknown := sorted(set(clonotypes["sample"]) - set(design["sample"])):
        raise InputError(f"receptors hold samples that the design lacks: {', '.join(unknown)}")
    is_beta = clonotypes["vdj_v_gene"].str.startswith("TRB") | clonotypes["vdj_j_gene"].str.startswith("TRB")
    kept = clonotypes[clonotypes["has_receptor"].astype(bool) & is_beta & (clonotypes["vdj_junction_aa"] != "")]
    subset = pd.Series(ANY_T, index=kept.index, dtype=object)
    if cells is not None:
        known = cells.reindex(kept.index)
        subset = known["subset"].astype(object).where(known["subset"].fillna("") != "", UNNAMED)
        if t_cells_only:
            is_t = (known["branch"] == "t").to_numpy()
            kept, subset = kept[is_t], subset[is_t]
    betas, place = list_betas(kept)
    label = (betas["junction_aa"] + " " + betas["v_call"]).str.strip()
    facts = design.set_index("sample").loc[kept["sample"], _SAME_BLOOD].fillna("").astype(str).reset_index()
    own = {"subset": subset.to_numpy(), "alpha": kept["vj_junction"].to_numpy(), "beta": place}
    return facts.assign(**own, label=label.to_numpy()[place]), betas


def _facts_of(sample: str, design: pd.DataFrame) -> dict[str, str]:
    rows = design.loc[design["sample"] == sample, _FACTS].fillna("")
    if rows.empty:
        raise InputError(f"repertoires of samples that the design lacks: {sample}")
    return {str(name): str(value) for name, value in rows.iloc[0].items()}


def _is_same_blood(carriers: pd.DataFrame, facts: Mapping[str, str]) -> np.ndarray:
    return (carriers[_SAME_BLOOD] == [facts[name] for name in _SAME_BLOOD]).all(axis=1).to_numpy()


def _match(own: pd.DataFrame, betas: pd.DataFrame, table: pd.DataFrame, v_gene: str) -> tuple[Bridge, np.ndarray]:
    """Return the bridge of a sample, and which beta chains of the cohort its bulk repertoire holds."""
    pairs = match_betas(betas, table, v_gene=v_gene)
    held = np.zeros(len(betas), dtype=bool)
    held[pairs["beta"]] = True
    of_beta, of_row = join_clones(pairs[pairs["beta"].isin(set(own["beta"]))], len(betas), len(table))
    counts, matched = table["count"].to_numpy(dtype=np.int64), of_row >= 0
    templates = np.zeros(of_row.max(initial=-1) + 1, dtype=np.int64)
    np.add.at(templates, of_row[matched], counts[matched])
    cells = own.assign(clone=of_beta[own["beta"].to_numpy(dtype=int)])
    return Bridge(cells, templates, np.concatenate([templates, counts[~matched]])), held


def _describe(
    sample: str,
    bridges: Mapping[str, Bridge],
    seen: Mapping[str, np.ndarray],
    design: pd.DataFrame,
    subsets: list[str],
    settings: _Settings,
) -> dict[str, pd.DataFrame]:
    bridge, facts = bridges[sample], _facts_of(sample, design)
    patients = design.set_index("sample")["patient"]
    others = {name: held for name, held in seen.items() if patients[name] != facts["patient"]}
    clones = list_clones(bridge).rename(columns={"label": "clone"}).reset_index(drop=True)
    largest = clones.sort_values(["templates", "clone"], ascending=[False, True], kind="stable", ignore_index=True)
    tables = {
        "subsets": share_by_subset(bridge, subsets, settings.level),
        "agreement": pd.DataFrame([_agree(bridge, others, settings)]),
        "capture": measure_capture(bridge, settings.level),
        "clones": largest,
    }
    return {name: table.assign(**facts) for name, table in tables.items()}


def _agree(bridge: Bridge, others: Mapping[str, np.ndarray], settings: _Settings) -> dict[str, Any]:
    cells, clones = bridge.cells, list_clones(bridge)
    mass = int(bridge.templates.sum())
    low, high = share_interval(mass, mass, bridge.total, settings.level)
    ambiguous = clones[clones["alphas"] > 1]
    row = {
        "cell_samples": ", ".join(sorted(cells["sample"].unique())),
        "cells": len(cells),
        "clones": cells["beta"].nunique(),
        "templates": bridge.total,
        "clonotypes": len(bridge.counts),
        "matched_clones": len(clones),
        "cells_matched": len(bridge.matched) / len(cells) if len(cells) else np.nan,
        "mass_matched": mass / bridge.total if bridge.total else np.nan,
        "mass_low": low,
        "mass_high": high,
        **compare_frequencies(bridge, settings.expected_cells),
        "ambiguous_clones": len(ambiguous),
        "ambiguous_mass": float(ambiguous["bulk_share"].sum()),
    }
    foreign, name = _best_other(cells, others)
    told = {"other_sample": name, "other_cells_matched": len(foreign) / len(cells) if len(cells) else np.nan}
    verdict, note = _judge(row, foreign["beta"].nunique(), told, settings)
    return row | told | {"verdict": verdict, "note": note}


def _best_other(cells: pd.DataFrame, others: Mapping[str, np.ndarray]) -> tuple[pd.DataFrame, str]:
    """Return the cells whose clone another patient's bulk repertoire holds, for the one with most of them."""
    place = cells["beta"].to_numpy(dtype=int)
    number = {name: int(held[place].sum()) for name, held in others.items()}
    best = max(number, key=number.__getitem__, default="")
    if not best or not number[best]:
        return cells.iloc[:0], ""
    return cells[others[best][place]], best


def _judge(row: Mapping[str, Any], foreign: int, told: Mapping[str, Any], settings: _Settings) -> tuple[str, str]:
    if not row["cells"]:
        return UNDETERMINED, "no single cell of this patient, visit and tissue has a beta chain"
    if not row["templates"]:
        return UNDETERMINED, "the bulk repertoire is empty"
    if foreign >= settings.min_foreign_clones and told["other_cells_matched"] > row["cells_matched"]:
        return FLAGGED, f"more of the cells' clones are in {told['other_sample']}: cells or bulk repertoire swapped"
    if not row["large_cells"] and row["large_expected"] >= settings.min_foreign_clones:
        return FLAGGED, f"large bulk clones are expected in {row['large_expected']:.0f} cells and are in none"
    if not row["matched_clones"]:
        return UNDETERMINED, "no clone is in both, and few were expected"
    return AGREES, ""


def _stack(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True)[list(columns)] if filled else pd.DataFrame(columns=list(columns))


def _values(
    bridges: Mapping[str, Bridge], subsets: Sequence[str], scopes: Sequence[str], settings: _Settings, seed: int
) -> pd.DataFrame:
    """Measure the share of each bulk repertoire that a common number of cells finds."""
    usable = {name: bridge for name, bridge in bridges.items() if _is_usable(bridge, settings)}
    depth = min((len(bridge.cells) for bridge in usable.values()), default=0)
    rows = []
    for sample, bridge in bridges.items():
        known = {scope for scope in scopes if scope == ALL or scope in subsets} if sample in usable else set()
        rng = np.random.default_rng(seed_of(seed, "bridge_repertoires", sample))
        drawn = _draw(bridge, depth, settings.draws, rng) if known else {}
        for scope in scopes:
            shares = drawn.get(scope, np.zeros(settings.draws)) if scope in known else np.full(settings.draws, np.nan)
            middle, low, high = (float(part[0]) for part in summarise_draws(shares[:, None]))
            rows.append((sample, scope, FEATURE, middle, low, high, "fraction"))
    return pd.DataFrame(rows, columns=VALUE_COLUMNS)


def _is_usable(bridge: Bridge, settings: _Settings) -> bool:
    return len(bridge.cells) >= settings.min_cells and bridge.total >= settings.min_templates


def _draw(bridge: Bridge, depth: int, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return, by scope, the share of the bulk repertoire that each random subset of the cells finds."""
    codes, names = pd.factorize(bridge.cells["subset"], sort=True)
    clones = bridge.cells["clone"].to_numpy(dtype=int)
    shares = np.zeros((draws, len(names)))
    for draw in range(draws):
        taken = rng.choice(len(clones), depth, replace=False, shuffle=False)
        taken = taken[clones[taken] >= 0]
        cells = np.bincount(clones[taken], minlength=len(bridge.templates))
        part = bridge.templates[clones[taken]] / cells[clones[taken]]
        shares[draw] = np.bincount(codes[taken], part, minlength=len(names)) / bridge.total
    return {ALL: shares.sum(axis=1), **{str(name): shares[:, at] for at, name in enumerate(names)}}
