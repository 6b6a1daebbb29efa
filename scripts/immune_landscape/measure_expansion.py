"""Measure how expanded and how diverse each sample's repertoire is, at one common depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immune_landscape import repertoire_metrics
from immune_landscape.errors import InputError
from immune_landscape.repertoire_metrics import (
    compared_values,
    diversities,
    diversity,
    sampling_interval,
    thinner_depth,
)
from immune_landscape.seeds import seed_of

UNITS = {
    "receptor_cells": "cells",
    "clonotypes": "clonotypes",
    "receptor_detection": "fraction",
    "expanded_share": "fraction",
    **repertoire_metrics.UNITS,
}
"""Metric and the unit of its value."""

DIVERSITY_METRICS = ("expanded_share", *repertoire_metrics.METRICS)
"""Metrics that depend on depth and are therefore also given standardised."""

_BOUNDED = np.array([UNITS[name] in repertoire_metrics.BOUNDED for name in DIVERSITY_METRICS])

_BLOCK = 10_000_000
"""Cells times draws held at once."""

_DESIGN_COLUMNS = ("sample", "patient", "visit", "tissue", "response")
_ROW_COLUMNS = ("scope", "metric", "value", "low", "high", "depth", "standardised", "n_cells")
COLUMNS = (*_DESIGN_COLUMNS, *_ROW_COLUMNS, "unit")


@dataclass(frozen=True)
class _Settings:
    depth: int | None
    draws: int
    min_cells: int
    min_subset_cells: int
    expanded_from: int


def measure_expansion(
    clonotypes: pd.DataFrame,
    cells: pd.DataFrame | None,
    design: pd.DataFrame,
    seed: int,
    *,
    draws: int,
    min_cells: int,
    min_subset_cells: int,
    expanded_from: int,
    t_cells_only: bool,
    compared_metrics: Sequence[str],
    compared_scopes: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure expansion and diversity per sample, raw and at the depth of the smallest usable sample.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes`, indexed by cell.
    cells
        Annotated cells, indexed by cell: sample, lineage, subset, branch; None without gene expression.
    design
        One row per sample: sample, patient, visit, tissue, response; ``tcr``, where present, tells the
        samples sequenced for receptors.
    seed
        Start of the random draws; each sample has its own stream, so that adding a sample changes no other
        sample's draws.
    draws
        Random subsets of cells per sample.
    min_cells
        Receptor cells that a sample needs to be measured; the smallest sample that has them sets the
        common depth.
    min_subset_cells
        Receptor cells that a subset of a sample needs.
    expanded_from
        Cells in one sample from which a clonotype counts as expanded there.
    t_cells_only
        Count only receptor cells annotated in branch ``t``; without ``cells`` every receptor cell counts.
    compared_metrics, compared_scopes
        Metrics and scopes that are compared between patients.

    Returns
    -------
    metrics
        Scope ``all``, one row per sample and metric (`UNITS`), the depth-dependent ones twice
        (``standardised`` False and True): sample, patient, visit, tissue, response, scope, metric, value,
        low, high, depth (cells), standardised, n_cells (cells behind the row), unit. A standardised value
        is the mean over the draws, low and high a 95 % interval for what the sampled repertoire gives at
        that depth (`repertoire_metrics.sampling_interval`): how sure one sample is, not how patients differ.
        Samples below ``min_cells`` keep their counts and have no values.
    by_subset
        The same columns, scope a lineage or subset: ``receptor_detection`` (share of its cells with a
        usable receptor, whatever its branch: a rate well above 0 outside branch ``t`` is a sign of
        doublets or ambient RNA) and ``expanded_share`` (share of its receptor cells whose clonotype is
        expanded in the sample), the latter for scopes with receptor cells. Empty without ``cells``.
    values
        What is compared (`value_tables.VALUE_COLUMNS`): of the metrics that depend on depth, the standardised.

    Raises
    ------
    InputError
        The receptors hold a sample that the design lacks.

    Notes
    -----
    Cells are drawn without replacement. Diversity depends on depth, hence the common depth
    (doi:10.1186/s12915-025-02236-5). Cells of one clone are no replicates: nothing here is a test.
    """
    samples = _sequenced_samples(clonotypes, design)
    counted = counted_receptors(clonotypes, cells, t_cells_only)
    scopes = _scopes_of(cells)
    sizes = counted["sample"].value_counts().reindex(samples, fill_value=0)
    usable = sizes[sizes >= min_cells]
    depth = int(usable.min()) if len(usable) else None
    settings = _Settings(depth, draws, min_cells, min_subset_cells, expanded_from)
    of_receptors = scopes[scopes["cell"].isin(counted.index)]
    metric_rows: list[tuple] = []
    subset_rows: list[tuple] = list(_detection(clonotypes, scopes, samples))
    for sample in samples:
        repertoire = counted[counted["sample"] == sample]
        overall, by_scope = _measure_sample(repertoire, of_receptors, sample, seed, settings)
        metric_rows += overall
        subset_rows += by_scope
    metrics, by_subset = _tidy(metric_rows, design), _tidy(subset_rows, design)
    every = pd.concat([metrics, by_subset], ignore_index=True) if len(by_subset) else metrics
    return metrics, by_subset, compared_values(every, compared_scopes, compared_metrics)


def expanded_share(counts: np.ndarray, expanded_from: int) -> float:
    """Return the share of a repertoire's cells whose clonotype is expanded.

    Parameters
    ----------
    counts
        (clonotypes,) cells of each clonotype.
    expanded_from
        Cells from which a clonotype counts as expanded.

    Returns
    -------
    float
        NaN for an empty repertoire.
    """
    total = counts.sum()
    return float(counts[counts >= expanded_from].sum() / total) if total else np.nan


def counted_receptors(clonotypes: pd.DataFrame, cells: pd.DataFrame | None, t_cells_only: bool) -> pd.DataFrame:
    """Return the receptor cells that make up the repertoires.

    Parameters
    ----------
    clonotypes, cells, t_cells_only
        As for `measure_expansion`.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; sample, clonotype. A cell without a usable receptor is missing, no clonotype of size one.
    """
    counted = clonotypes["has_receptor"].astype(bool)
    if cells is not None and t_cells_only:
        counted &= clonotypes.index.isin(cells.index[cells["branch"] == "t"])
    return clonotypes.loc[counted, ["sample", "clonotype"]]


def _all_metrics(counts: np.ndarray, settings: _Settings) -> dict[str, float]:
    return {"expanded_share": expanded_share(counts, settings.expanded_from), **diversity(counts)}


def _sequenced_samples(clonotypes: pd.DataFrame, design: pd.DataFrame) -> list[str]:
    found = set(clonotypes["sample"])
    unknown = sorted(found - set(design["sample"]))
    if unknown:
        raise InputError(f"receptors hold samples that the design lacks: {', '.join(unknown)}")
    sequenced = design["sample"].isin(found)
    if "tcr" in design:
        sequenced |= design["tcr"].fillna("") != ""
    return design.loc[sequenced, "sample"].tolist()


def _scopes_of(cells: pd.DataFrame | None) -> pd.DataFrame:
    """List every cell under its lineage and under its subset; a subset named as its lineage counts once."""
    if cells is None:
        return pd.DataFrame({"cell": [], "sample": [], "scope": []}, dtype=object)
    named = cells[["sample", "lineage", "subset"]].rename_axis("cell").reset_index()
    long = named.melt(["cell", "sample"], ["lineage", "subset"], value_name="scope").drop(columns="variable")
    return long[long["scope"].fillna("") != ""].drop_duplicates()


def _detection(clonotypes: pd.DataFrame, scopes: pd.DataFrame, samples: list[str]) -> Iterator[tuple]:
    carriers = clonotypes.index[clonotypes["has_receptor"].astype(bool)]
    found = scopes.assign(detected=scopes["cell"].isin(carriers)).groupby(["scope", "sample"])["detected"]
    total, detected = found.size(), found.sum()
    for scope in sorted(scopes["scope"].unique()):
        for sample in samples:
            n_cells = int(total.get((scope, sample), 0))
            value = detected[scope, sample] / n_cells if n_cells else np.nan
            yield sample, scope, "receptor_detection", value, np.nan, np.nan, n_cells, False, n_cells


def _measure_sample(
    repertoire: pd.DataFrame, scopes: pd.DataFrame, sample: str, seed: int, settings: _Settings
) -> tuple[list[tuple], list[tuple]]:
    codes = pd.factorize(repertoire["clonotype"], sort=True)[0]
    names = sorted(scopes["scope"].unique())
    membership = _membership(repertoire.index, scopes, names)
    rng = np.random.default_rng(seed_of(seed, "measure_expansion", sample))
    drawn = _draw_twice(codes, membership, rng, settings) if _is_measured(len(codes), settings) else None
    overall = [*_count_rows(sample, codes), *_raw_rows(sample, codes, settings)]
    overall += _standardised_rows(sample, len(codes), drawn, settings)
    return overall, list(_scope_rows(sample, names, codes, membership, drawn, settings))


def _is_measured(n_cells: int, settings: _Settings) -> bool:
    return settings.depth is not None and n_cells >= settings.min_cells


def _membership(cells: pd.Index, scopes: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Tell which cell (row) lies in which scope (column)."""
    membership = np.zeros((len(cells), len(names)), dtype=bool)
    here = scopes[scopes["cell"].isin(cells)]
    rows = cells.get_indexer(pd.Index(here["cell"]))
    membership[rows, np.searchsorted(names, here["scope"].to_numpy(dtype=str))] = True
    return membership


@dataclass(frozen=True)
class _Draws:
    """Results of the draws: metrics (draws x metrics), cells and expanded cells (draws x scopes)."""

    metrics: np.ndarray
    cells: np.ndarray
    expanded: np.ndarray

    def shares(self, column: int) -> np.ndarray:
        """Return the expanded share of a scope in each draw that holds cells of it."""
        cells, expanded = self.cells[:, column], self.expanded[:, column]
        return expanded[cells > 0] / cells[cells > 0]


@dataclass(frozen=True)
class _Standard:
    """A repertoire at the common depth: draws of that depth, and those by which their spread is told."""

    at_depth: _Draws
    thinner: _Draws
    depth: int
    total: int

    def bounds(self, value: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return intervals of values, as `repertoire_metrics.sampling_interval` does."""
        return sampling_interval(value, spread, self.depth, self.total, len(self.at_depth.metrics))


def _draw_twice(codes: np.ndarray, membership: np.ndarray, rng: np.random.Generator, settings: _Settings) -> _Standard:
    """Draw at the common depth, and again thinner where the sample holds hardly more cells."""
    depth = int(settings.depth or 0)
    at_depth = _draw(codes, membership, rng, settings)
    thinner = thinner_depth(depth, len(codes))
    spread = at_depth if thinner == depth else _draw(codes, membership, rng, replace(settings, depth=thinner))
    return _Standard(at_depth, spread, depth, len(codes))


def _draw(codes: np.ndarray, membership: np.ndarray, rng: np.random.Generator, settings: _Settings) -> _Draws:
    """Draw cells and measure the draws, as many at once as fit into memory."""
    parts, n_cells = [], len(codes)
    block = max(1, _BLOCK // n_cells)
    members = membership.astype(np.float32)
    for start in range(0, settings.draws, block):
        picked = np.zeros((min(block, settings.draws - start), n_cells), dtype=bool)
        for row in picked:
            row[rng.choice(n_cells, settings.depth, replace=False, shuffle=False)] = True
        parts.append(_measure_draws(codes, members, picked, settings))
    return _Draws(*(np.concatenate(found) for found in zip(*parts, strict=True)))


def _measure_draws(
    codes: np.ndarray, members: np.ndarray, picked: np.ndarray, settings: _Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of (draws, cells) picked: metrics, cells of each scope, and expanded cells of each scope."""
    draws, clones = len(picked), int(codes.max()) + 1
    draw, cell = np.nonzero(picked)
    sizes = np.bincount(draw * clones + codes[cell], minlength=draws * clones).reshape(draws, clones)
    expanded = np.zeros_like(picked)
    expanded[draw, cell] = sizes[draw, codes[cell]] >= settings.expanded_from
    width = int(sizes.max()) + 1
    of_size = np.bincount((np.arange(draws)[:, None] * width + sizes).ravel(), minlength=draws * width)
    of_size = of_size.reshape(draws, width)[:, 1:]
    distinct = np.tile(np.arange(1, width), (draws, 1))
    shares = expanded.sum(axis=1) / picked.sum(axis=1)
    metrics = np.column_stack([shares, diversities(distinct, of_size)])
    # Counts of cells lie far below what 32 bits hold exactly.
    return metrics, picked.astype(np.float32) @ members, expanded.astype(np.float32) @ members


def _count_rows(sample: str, codes: np.ndarray) -> Iterator[tuple]:
    n_cells = len(codes)
    for metric, value in (("receptor_cells", n_cells), ("clonotypes", len(np.unique(codes)))):
        yield sample, "all", metric, float(value), np.nan, np.nan, n_cells, False, n_cells


def _raw_rows(sample: str, codes: np.ndarray, settings: _Settings) -> Iterator[tuple]:
    n_cells = len(codes)
    sizes = np.bincount(codes) if _is_measured(n_cells, settings) else np.array([], dtype=int)
    for metric, value in _all_metrics(sizes, settings).items():
        yield sample, "all", metric, value, np.nan, np.nan, n_cells, False, n_cells


def _standardised_rows(sample: str, n_cells: int, drawn: _Standard | None, settings: _Settings) -> Iterator[tuple]:
    blank = np.full(len(DIVERSITY_METRICS), np.nan)
    summary = (blank, blank, blank)
    if drawn is not None:
        value = drawn.at_depth.metrics.mean(axis=0)
        low, high = drawn.bounds(value, drawn.thinner.metrics.std(axis=0, ddof=1))
        summary = (value, np.maximum(low, 0.0), np.where(_BOUNDED, np.minimum(high, 1.0), high))
    for metric, value, low, high in zip(DIVERSITY_METRICS, *summary, strict=True):
        yield sample, "all", metric, value, low, high, settings.depth, True, n_cells


def _scope_rows(
    sample: str,
    names: list[str],
    codes: np.ndarray,
    membership: np.ndarray,
    drawn: _Standard | None,
    settings: _Settings,
) -> Iterator[tuple]:
    is_expanded = np.bincount(codes)[codes] >= settings.expanded_from if len(codes) else np.zeros(0, dtype=bool)
    for column, scope in enumerate(names):
        here = membership[:, column]
        n_cells = int(here.sum())
        enough = drawn is not None and n_cells >= settings.min_subset_cells
        raw = is_expanded[here].mean() if enough else np.nan
        yield sample, scope, "expanded_share", raw, np.nan, np.nan, len(codes), False, n_cells
        value, low, high = _share_of_draws(drawn, column) if enough else (np.nan,) * 3
        yield sample, scope, "expanded_share", value, low, high, settings.depth, True, n_cells


def _share_of_draws(drawn: _Standard | None, column: int) -> tuple[float, float, float]:
    """Pool the draws before dividing: a subset may hold few cells in each, and their ratios are unsteady."""
    if drawn is None or not drawn.at_depth.cells[:, column].any():
        return np.nan, np.nan, np.nan
    value = drawn.at_depth.expanded[:, column].sum() / drawn.at_depth.cells[:, column].sum()
    shares = drawn.thinner.shares(column)
    spread = shares.std(ddof=1) if len(shares) > 1 else np.nan
    low, high = (float(bound[0]) for bound in drawn.bounds(np.array([value]), np.array([spread])))
    return value, max(low, 0.0), min(high, 1.0)


def _tidy(rows: list[tuple], design: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["sample", *_ROW_COLUMNS])
    table["depth"] = pd.array(table["depth"].tolist(), dtype="Int64")
    table["unit"] = table["metric"].map(UNITS)
    joined = table.merge(design[list(_DESIGN_COLUMNS)], on="sample", how="left", validate="many_to_one")
    return joined[list(COLUMNS)]
