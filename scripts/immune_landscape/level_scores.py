"""Scores of marker sets above what a typical population of the branch expresses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.block_sums import normal_genes
from immune_landscape.cell_types import read_levels
from immune_landscape.marker_scores import FEW_GENES, SCORED, TARGET_SUM, entry_of, gene_weights, status_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

SIDES = {"cd4": "t.side_CD4", "cd8": "t.side_CD8"}
"""Marker sets that tell the CD4 from the CD8 side: many effector sets share all genes but the co-receptor's."""
CORE = ("CD8A", "CD8B")
"""Without either, the sides cannot be told: CD4 mRNA is too scarce to mean CD8 where it is missing."""

NEGATIVE_WEIGHT = 0.5
CLIP = 3.0
"""One gene may speak for or against with three standard deviations at most."""
RULED_OUT = -CLIP * (1 + NEGATIVE_WEIGHT)
"""Score of a type that is ruled out: the lowest that any can have."""
FLOOR = 0.1
"""Standard deviation (log1p of counts per 10,000) below which differences are taken for noise."""
SAME = 0.01
"""Standard deviation that a gene of constant reference is taken to have, so that cells can be as diverse as it."""
PRIOR_CELLS = 50
"""A population's own mean weighs as much as the reference when it has this many cells."""
INFORMATIVE = {"mean": 0.1, "sd": 0.15}
"""Genes that the scale of a data set against the reference is read from."""
MIN_INFORMATIVE = 10
SIDE_GAP = 0.1
"""Cells whose two sides differ by less are open to the types of both."""
SIDE_SCORE = 0.5
"""What a clear side counts as a score of its own, for cells of which no more can be said."""

COVERAGE = ["type", "set", "genes", "found", "missing", "status"]


def level_genes(types: pd.DataFrame, branch: str) -> list[str]:
    """List the genes that the types of a branch are scored by.

    Parameters
    ----------
    types
        Rows of `cell_types.read_cell_types`.
    branch
        ``nk`` or ``t``; the latter adds the genes of the two sides.

    Returns
    -------
    list of str
        Positive and negative markers, sorted.
    """
    names = [name for sets in types["marker_sets"] for name in sets]
    entries = [entry_of(name) for name in [*names, *(SIDES.values() if branch == "t" else ())]]
    return sorted({gene for entry in entries for gene in (*entry["genes"], *entry["negative"])})


def expression_of(counts: CellCounts, genes: Iterable[str]) -> pd.DataFrame:
    """Return the normalised expression of genes.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    genes
        Symbols; those not in the data are left out.

    Returns
    -------
    pandas.DataFrame
        Cells x genes, log1p of counts per 10,000.
    """
    found = [gene for gene in genes if gene in counts.var_names]
    if not counts.n_obs or not found:
        return pd.DataFrame(index=counts.obs_names, columns=found, dtype=np.float32)
    values = normal_genes(counts, found, TARGET_SUM).toarray()
    return pd.DataFrame(values, index=counts.obs_names, columns=found).rename_axis(index="cell")


def above_level(expression: pd.DataFrame, branch: str) -> pd.DataFrame:
    """Express genes in standard deviations above the level that is typical of the branch.

    The level is the mean of the cells at hand as far as they are as diverse in a gene as blood is, and the mean in
    healthy blood as far as they are not: among naive CD4 T cells alone, half of the cells lie above their own mean of
    CCR7, and all lie above that of blood. The reference is scaled to the data set by the median ratio of its genes.

    Parameters
    ----------
    expression
        Cells x genes, as `expression_of` returns, averaged over neighbours or clusters.
    branch
        ``nk`` or ``t``.

    Returns
    -------
    pandas.DataFrame
        Same shape, clipped at three standard deviations.
    """
    reference = read_levels()[[f"{branch}_mean", f"{branch}_sd"]].set_axis(["mean", "sd"], axis=1)
    reference = reference.reindex(expression.columns)
    own, variance = expression.mean(), expression.var().fillna(0)
    typical = np.log1p(_scale(own, reference) * np.expm1(reference["mean"]))
    diverse = (variance / (reference["sd"] ** 2 + SAME**2)).clip(upper=1) * len(expression)
    weight = diverse / (len(expression) + PRIOR_CELLS)
    level = (weight * own + (1 - weight) * typical).fillna(own)
    spread = np.sqrt(np.maximum(variance, reference["sd"].fillna(0) ** 2) + FLOOR**2)
    return ((expression - level) / spread).clip(-CLIP, CLIP)


def _scale(own: pd.Series, reference: pd.DataFrame) -> float:
    """Median ratio of the genes' means to the reference's; 1 where too few genes say."""
    telling = (reference["mean"] > INFORMATIVE["mean"]) & (reference["sd"] > INFORMATIVE["sd"])
    if telling.sum() < MIN_INFORMATIVE:
        LOG.info("%d genes, too few to scale the levels of healthy blood by; taken as they are", telling.sum())
        return 1.0
    ratio = float(np.median(np.expm1(own[telling]) / np.expm1(reference["mean"][telling])))
    return ratio if ratio > 0 else 1.0


def score_types(levels: pd.DataFrame, types: pd.DataFrame) -> pd.DataFrame:
    """Score cell types by the mean of their markers above level, less half the mean of their negative markers.

    A marker that several types share counts less (one over the root of their number). Markers that are not in the
    data count as showing nothing, so that sets of which much is missing score low and abstain. A set whose defining
    genes lie below level on average is ruled out. A type has the score of its best set.

    Parameters
    ----------
    levels
        Cells x genes, as `above_level` returns.
    types
        Rows of `cell_types.read_cell_types`.

    Returns
    -------
    pandas.DataFrame
        Cells x types that have a set with enough genes in the data.

    References
    ----------
    Ianevski 2022, doi:10.1038/s41467-022-28803-w (ScType: specific markers count more, negative markers against).
    """
    weights = gene_weights(types)
    columns: dict[str, Any] = {}
    for slug, names in types["marker_sets"].items():
        known = [name for name in names if status_of(name, levels.columns, weights) == SCORED]
        scored = [_score(levels, entry_of(name), weights) for name in known]
        if scored:
            columns[str(slug)] = np.max(scored, axis=0)
    return pd.DataFrame(columns, index=levels.index)


def _score(levels: pd.DataFrame, entry: dict[str, list[str]], weights: dict[str, float]) -> np.ndarray:
    genes = entry["genes"]
    found = [gene for gene in genes if gene in levels.columns]
    against = [gene for gene in entry["negative"] if gene in levels.columns and gene not in found]
    weight = np.array([weights[gene] for gene in found])
    score = levels[found].to_numpy() @ weight / sum(weights[gene] for gene in genes)
    if against:
        score = score - NEGATIVE_WEIGHT * levels[against].to_numpy().mean(axis=1)
    defining = [gene for gene in entry.get("defining", []) if gene in levels.columns]
    return np.where(levels[defining].mean(axis=1) > 0, score, RULED_OUT) if defining else score


def side_of(levels: pd.DataFrame) -> pd.Series:
    """Tell the CD8 from the CD4 side of T cells.

    Parameters
    ----------
    levels
        Cells x genes, as `above_level` returns.

    Returns
    -------
    pandas.Series
        Mean of the CD8 side's genes less that of the CD4 side's; NaN where the data have no CD8 gene. Without a gene of
        the CD4 side, that is taken to mirror the other: T cells below the level of CD8 are CD4 cells but for a few.
    """
    if not set(CORE) & set(levels.columns):
        return pd.Series(np.nan, index=levels.index)
    found = {side: [gene for gene in entry_of(name)["genes"] if gene in levels.columns] for side, name in SIDES.items()}
    cd8 = levels[found["cd8"]].mean(axis=1)
    return cd8 - levels[found["cd4"]].mean(axis=1) if found["cd4"] else 2 * cd8


def close_sides(by_type: pd.DataFrame, types: pd.DataFrame, side: pd.Series) -> pd.DataFrame:
    """Rule out the types of the side that a cell is not on; of both where no side can be told.

    Parameters
    ----------
    by_type
        Cells x types.
    types
        Rows of `cell_types.read_cell_types`.
    side
        As `side_of` returns.

    Returns
    -------
    pandas.DataFrame
        Same shape; `RULED_OUT` where ruled out.
    """
    is_open = {"cd4": side < SIDE_GAP, "cd8": side > -SIDE_GAP}
    sides = {slug: str(types.at[slug, "side"]) for slug in by_type.columns}
    return by_type.assign(**{slug: by_type[slug].where(is_open[of], RULED_OUT) for slug, of in sides.items() if of})


def coverage_of(types: pd.DataFrame, genes: Iterable[str]) -> pd.DataFrame:
    """List which markers of each set the data lack.

    Parameters
    ----------
    types
        Rows of `cell_types.read_cell_types`.
    genes
        Genes in the data.

    Returns
    -------
    pandas.DataFrame
        ``type``, ``set``, ``genes`` (number), ``found``, ``missing`` (symbols, comma-separated), ``status`` (whether
        the set is looked for, as `marker_scores.status_of` says).
    """
    known, weights = set(genes), gene_weights(types)
    rows = [
        (slug, *missing_of(name, known), status_of(name, known, weights))
        for slug, names in types["marker_sets"].items()
        for name in names
    ]
    return pd.DataFrame(rows, columns=COVERAGE)


def coverage_of_sides(genes: Iterable[str]) -> pd.DataFrame:
    """List which of the genes that tell CD4 from CD8 T cells the data lack.

    Parameters
    ----------
    genes
        Genes in the data.

    Returns
    -------
    pandas.DataFrame
        As `coverage_of` returns, with ``cd4_t`` and ``cd8_t`` for types.
    """
    known = set(genes)
    status = FEW_GENES if known.isdisjoint(CORE) else SCORED
    return pd.DataFrame(
        [(f"{side}_t", *missing_of(name, known), status) for side, name in SIDES.items()], columns=COVERAGE
    )


def missing_of(name: str, genes: Collection[str]) -> tuple[str, int, int, str]:
    """Return a marker set, the number of its genes, how many are in the data, and those that are not."""
    wanted = entry_of(name)["genes"]
    missing = [gene for gene in wanted if gene not in genes]
    return name, len(wanted), len(wanted) - len(missing), ",".join(missing)


def share_found(types: pd.DataFrame, genes: Iterable[str]) -> float:
    """Return the share of the types' markers that the data have, each counted by its weight."""
    weights, known = gene_weights(types), set(genes)
    total = sum(weights.values())
    return sum(weight for gene, weight in weights.items() if gene in known) / total if total else 1.0
