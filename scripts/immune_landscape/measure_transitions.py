"""Measure how expanded each patient's subsets are, and how clones spread over subsets and tissues."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types
from immune_landscape.clone_cells import INVARIANT, is_closed, label_carriers
from immune_landscape.repertoire_metrics import INTERVAL, draw_counts
from immune_landscape.seeds import seed_of
from immune_landscape.tissue_sharing import share_tissues
from immune_landscape.transition_indices import (
    Floats,
    Integers,
    count_places,
    entropy,
    expansion,
    mean_entropy,
    pairwise,
)

EXPANSION, TRANSITION, MIGRATION = "expansion", "transition", "migration"
JOINED = "/"
"""Between the two tissues of a pair."""

_KEYS = ["measure", "first", "second"]
_NUMBERS = ["value", "low", "high", "chance", "chance_low", "chance_high", "relative"]
INDEX_COLUMNS = ["patient", "sample", *_KEYS, "cells", "invariant_share", *_NUMBERS, "depth", "standardised"]
SUMMARY_COLUMNS = [
    *(*_KEYS, "standardised", "depth", "patients", "median", "lowest", "highest"),
    *("median_chance", "median_relative", "invariant_share", "across_sides"),
]


class _Settings(NamedTuple):
    """Thresholds and number of draws."""

    min_cells: int
    min_subset_cells: int
    draws: int


@dataclass(frozen=True)
class _Unit:
    """Cells of a patient or of one of its samples; clone, subset, tissue and sample are (cells,) codes from 0."""

    patient: str
    name: str
    clone: Integers
    subset: Integers
    tissue: Integers
    sample: Integers
    invariant: np.ndarray
    subsets: list[str]
    tissues: list[str]

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.clone)

    def take(self, rows: Integers) -> _Unit:
        """Return some of the cells."""
        parts = {name: getattr(self, name)[rows] for name in ("clone", "subset", "tissue", "sample", "invariant")}
        return replace(self, **parts)


def measure_transitions(
    tables: Mapping[str, pd.DataFrame], seed: int, *, min_cells: int, min_subset_cells: int, draws: int
) -> dict[str, pd.DataFrame]:
    """Compute STARTRAC's indices of every patient and sample, as counted and at one depth.

    Parameters
    ----------
    tables
        ``clonotypes`` (of `define_clonotypes`), ``cells`` (of `define_labels`) and ``receptors`` (of
        `witness_receptors`), each indexed by cell; ``design``, one row per sample.
    seed
        Start of the random draws.
    min_cells
        T cells with a receptor and a subset that a patient, or a sample, needs; the smallest that has them sets the
        common depth of patients, or of samples.
    min_subset_cells
        The same of a subset.
    draws
        Random subsets of cells, and random exchanges of labels.

    Returns
    -------
    dict
        ``indices`` (`INDEX_COLUMNS`): of a patient's samples together (``sample`` empty) and of each sample,
        ``expansion``, ``transition`` and, with cells of several tissues, ``migration`` of a subset (``first``);
        transition between two subsets (``first``, ``second``), and migration of a subset between two tissues (joined in
        ``second``). ``chance`` is the mean of the index with labels exchanged at random, ``chance_low`` and
        ``chance_high`` its 2.5 and 97.5 % quantiles, ``relative`` value over chance. Standardised rows are means over
        random subsets of ``depth`` cells (expansion: cells of the subset), with quantiles as ``low`` and ``high``.
        ``summary`` (`SUMMARY_COLUMNS`): median over patients; ``across_sides`` marks pairs of a CD4 and a CD8 subset,
        whose index is what wrong labels make. ``sharing`` (`tissue_sharing.share_tissues`).

    Notes
    -----
    Transition and migration count cells of one clone in different places, and so grow with depth and with the sizes of
    the subsets: at chance, subsets are exchanged among the cells of a sample, and tissues among the cells of a subset.
    Expansion is judged against random cells of all subsets. Cells whose subset is open are left out, and so are indices
    of too few cells; those at one depth are missing where the patient or sample is too small. Nothing is tested:
    clones of one patient are no replicates.
    """
    carriers = label_carriers(tables["clonotypes"], tables["cells"], tables["receptors"], tables["design"])
    closed = carriers[carriers["subset"].map(is_closed).astype(bool)]
    settings = _Settings(min_cells, min_subset_cells, draws)
    parts = []
    for units in (list(_units(closed, "patient")), list(_units(closed, "sample"))):
        large = [unit for unit in units if unit.size >= min_cells]
        depth = min((unit.size for unit in large), default=None)
        own = _subset_depths(large, closed["subset"].nunique(), min_subset_cells)
        for unit in units:
            rng = np.random.default_rng(seed_of(seed, "measure_transitions", unit.patient, unit.name))
            parts += [_as_counted(unit, settings, rng), _at_depth(unit, depth, own, settings, rng)]
    indices = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=INDEX_COLUMNS)
    indices["depth"] = indices["depth"].astype("Int64")
    return {
        "indices": indices[INDEX_COLUMNS],
        "summary": _summarise(indices),
        "sharing": share_tissues(closed, tables["design"], min_cells),
    }


def _units(cells: pd.DataFrame, by: str) -> Iterator[_Unit]:
    """Yield the cells of each patient or sample as codes; subsets and tissues have one code in the whole cohort."""
    subsets, tissues = sorted(set(cells["subset"])), sorted(set(cells["tissue"]))
    for name, rows in cells.groupby(by, sort=True):
        codes = [pd.factorize(rows[column], sort=True)[0].astype(np.int64) for column in ("clonotype", "sample")]
        yield _Unit(
            str(rows["patient"].iloc[0]),
            str(name) if by == "sample" else "",
            codes[0],
            np.searchsorted(subsets, rows["subset"].to_numpy(dtype=str)),
            np.searchsorted(tissues, rows["tissue"].to_numpy(dtype=str)),
            codes[1],
            rows["receptor"].isin(INVARIANT).to_numpy(),
            subsets,
            tissues,
        )


def _subset_depths(units: list[_Unit], subsets: int, least: int) -> Integers:
    """Return the cells of each subset in the smallest unit that has enough of it; 0 where none has."""
    most = np.iinfo(np.int64).max
    smallest = np.full(subsets, most)
    for unit in units:
        sizes = np.bincount(unit.subset, minlength=subsets)
        smallest = np.minimum(smallest, np.where(sizes >= least, sizes, most))
    return np.where(smallest < most, smallest, 0)


def _named(unit: _Unit) -> pd.DataFrame:
    """List the indices of a unit in the order in which `_values` has them, with the cells that they are of."""
    sizes = np.bincount(unit.subset, minlength=len(unit.subsets))
    invariant = np.bincount(unit.subset, unit.invariant, minlength=len(unit.subsets))
    pairs = list(itertools.combinations(range(len(unit.subsets)), 2))
    rows: list[tuple[str, tuple[int, ...], str]] = [
        (measure, (at,), "") for measure in (EXPANSION, TRANSITION) for at in range(len(sizes))
    ]
    rows += [(TRANSITION, pair, unit.subsets[pair[1]]) for pair in pairs]
    if _is_migrating(unit):
        rows += [(MIGRATION, (at,), "") for at in range(len(sizes))]
        both = [JOINED.join(names) for names in itertools.combinations(unit.tissues, 2)]
        rows += [(MIGRATION, (at,), names) for at in range(len(sizes)) for names in both]
    least = [int(min(sizes[list(at)])) for _, at, _ in rows]
    shares = [invariant[list(at)].sum() / max(1, sizes[list(at)].sum()) for _, at, _ in rows]
    table = pd.DataFrame(
        [(measure, unit.subsets[at[0]], second) for measure, at, second in rows], columns=_KEYS, dtype=object
    )
    return table.assign(patient=unit.patient, sample=unit.name, cells=least, invariant_share=shares)


def _is_migrating(unit: _Unit) -> bool:
    return len(np.unique(unit.tissue)) > 1


def _values(unit: _Unit) -> Floats:
    """Compute every index of some cells."""
    by_subset = count_places(unit.clone, unit.subset, len(unit.subsets))
    parts = [expansion(by_subset.T), mean_entropy(by_subset, entropy(by_subset)), pairwise(by_subset)]
    return np.concatenate([*parts, *_migrations(unit, by_subset)])


def _migrations(unit: _Unit, by_subset: Integers) -> Iterator[Floats]:
    if _is_migrating(unit):
        by_tissue = count_places(unit.clone, unit.tissue, len(unit.tissues))
        yield mean_entropy(by_subset, entropy(by_tissue))
        for at in range(len(unit.subsets)):
            here = unit.subset == at
            yield pairwise(count_places(unit.clone[here], unit.tissue[here], len(unit.tissues)))


def _chances(unit: _Unit, rng: np.random.Generator) -> Floats:
    """Compute the indices once with subsets, and once with tissues exchanged."""
    values = _values(replace(unit, subset=_exchanged(unit.subset, unit.sample, rng)))
    if _is_migrating(unit):
        own = _values(replace(unit, tissue=_exchanged(unit.tissue, unit.subset, rng)))
        first = len(unit.subsets) * 2 + len(unit.subsets) * (len(unit.subsets) - 1) // 2
        values[first:] = own[first:]
    return values


def _exchanged(labels: Integers, within: Integers, rng: np.random.Generator) -> Integers:
    """Exchange labels at random among the cells that share a code."""
    mixed = np.empty_like(labels)
    mixed[np.argsort(within, kind="stable")] = labels[np.lexsort((rng.random(len(within)), within))]
    return mixed


def _as_counted(unit: _Unit, settings: _Settings, rng: np.random.Generator) -> pd.DataFrame:
    """Return the indices of all cells, beside chance."""
    table = _named(unit)
    chances = np.array([_chances(unit, rng) for _ in range(settings.draws)])
    table["value"], table["low"], table["high"] = _values(unit), np.nan, np.nan
    return _finished(table, chances, settings).assign(depth=unit.size, standardised=False)


def _at_depth(
    unit: _Unit, depth: int | None, own: Integers, settings: _Settings, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the indices of random subsets of cells; a unit that is too small has none."""
    table = _named(unit)
    values = np.full((settings.draws, len(table)), np.nan)
    chances = values.copy()
    if depth is not None and unit.size >= settings.min_cells:
        # Which indices there are must not depend on the draw.
        whole = _is_migrating(unit)
        for draw in range(settings.draws):
            drawn = unit.take(rng.choice(unit.size, depth, replace=False, shuffle=False))
            if _is_migrating(drawn) == whole:
                values[draw], chances[draw] = _values(drawn), _chances(drawn, rng)
        for at in np.flatnonzero(own):
            values[:, at], chances[:, at] = _expansions(unit, int(at), int(own[at]), settings, rng)
    table["value"], table["low"], table["high"] = _over_draws(values)
    table["depth"] = pd.array([depth] * len(table), dtype="Int64")
    if depth is not None:
        table.loc[table["measure"] == EXPANSION, "depth"] = own
    return _finished(table, chances, settings).assign(standardised=True)


def _expansions(
    unit: _Unit, subset: int, depth: int, settings: _Settings, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return (draws,) expansion of a subset, and of as many cells of whatever subset, at the depth of the subset."""
    sizes = [np.bincount(unit.clone[unit.subset == subset]), np.bincount(unit.clone)]
    sizes = [each[each > 0] for each in sizes]
    if sizes[0].sum() < depth:
        return np.full(settings.draws, np.nan), np.full(settings.draws, np.nan)
    drawn = [np.array(list(draw_counts(each, depth, settings.draws, rng))) for each in sizes]
    return expansion(drawn[0]), expansion(drawn[1])


def _over_draws(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean and interval over draws; an index that most draws cannot give is missing."""
    known = ~np.isnan(values)
    usual = known.mean(axis=0) > 0.5
    mean = np.where(usual, np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
    low, high = (np.full(values.shape[1], np.nan) for _ in INTERVAL)
    if usual.any():
        low[usual], high[usual] = np.nanquantile(values[:, usual], INTERVAL, axis=0)
    return mean, low, high


def _finished(table: pd.DataFrame, chances: Floats, settings: _Settings) -> pd.DataFrame:
    """Add chance, and leave out the indices of subsets with too few cells."""
    table["chance"], table["chance_low"], table["chance_high"] = _over_draws(chances)
    table["relative"] = table["value"] / table["chance"].where(table["chance"] > 0)
    return table[table["cells"] >= settings.min_subset_cells]


def _summarise(indices: pd.DataFrame) -> pd.DataFrame:
    """Take medians over the patients who have an index."""
    known = indices[(indices["sample"] == "") & indices["value"].notna()]
    found = known.groupby([*_KEYS, "standardised"], sort=True).agg(
        depth=("depth", "min"),
        patients=("patient", "nunique"),
        median=("value", "median"),
        lowest=("value", "min"),
        highest=("value", "max"),
        median_chance=("chance", "median"),
        median_relative=("relative", "median"),
        invariant_share=("invariant_share", "mean"),
    )
    table = found.reset_index()
    table["depth"] = table["depth"].where(table["standardised"].astype(bool))
    table["across_sides"] = [_across_sides(*pair) for pair in zip(table["first"], table["second"], strict=True)]
    return table[SUMMARY_COLUMNS]


def _across_sides(first: str, second: str) -> bool:
    """Tell whether one subset is of CD4 and the other of CD8 cells: no clone is both."""
    sides = read_cell_types()["side"]
    return {sides.get(first, ""), sides.get(second, "")} == {"cd4", "cd8"}
