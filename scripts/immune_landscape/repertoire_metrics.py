"""Diversity and clonal homeostasis of a repertoire, and what subsampling makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from immune_landscape.value_tables import VALUE_COLUMNS

CLASSES = ("rare", "small", "medium", "large", "hyperexpanded")
"""Classes of clonal homeostasis, by the frequency of a clonotype."""

CUTOFFS = {"": (1e-5, 1e-4, 1e-3, 1e-2), "_screpertoire": (1e-4, 1e-3, 1e-2, 1e-1)}
"""Ending of a metric's name -> upper bounds of all classes but the last, which ends at 1.

Without ending those of immunarch 0.9.1 (R/clonality.R, ``repClonality``), else those of scRepertoire 2.6.1
(R/clonalHomeostasis.R): the same names ten times as high, so that a clonotype of 2 % is hyperexpanded in one and large
in the other. Classes are half-open: lower < frequency <= upper.
"""

_EDGES = np.unique([bound for bounds in CUTOFFS.values() for bound in bounds])
_UNIONS = np.array(
    [
        np.searchsorted(bounds, np.append(_EDGES, 1.0), side="left") == place
        for bounds in CUTOFFS.values()
        for place in range(len(CLASSES))
    ],
    dtype=float,
).T
"""(stretches between all bounds, classes) 1 where a class of either set holds a stretch."""

HOMEOSTASIS = tuple(f"homeo_{name}{suffix}" for suffix in CUTOFFS for name in CLASSES)
"""Share of the repertoire that a class holds."""

CLASS_CLONES = tuple(f"clones_{name}{suffix}" for suffix in CUTOFFS for name in CLASSES)
"""Clonotypes in a class."""

UNITS = {
    "top_clone_share": "fraction",
    "gini_simpson": "index",
    "pielou": "index",
    "clonality": "index",
    "shannon": "nats",
    "gini": "index",
    "hill_0": "effective clonotypes",
    "hill_1": "effective clonotypes",
    "hill_2": "effective clonotypes",
    "chao1": "clonotypes",
    "d50": "clonotypes",
    "d50_share": "fraction of clonotypes",
    **dict.fromkeys(HOMEOSTASIS, "fraction"),
    **dict.fromkeys(CLASS_CLONES, "clonotypes"),
}
"""Metric of any repertoire and the unit of its value; all depend on depth.

Richness is ``hill_0`` and inverse Simpson ``hill_2``. ``d50`` is the fewest clonotypes that hold half of all templates,
as immunarch and scRepertoire give it, ``d50_share`` the same as a share of all clonotypes, as scirpy does in percent.
"""

BOUNDED = ("fraction", "index", "fraction of clonotypes")
"""Units of values that are 1 at most."""

METRICS = tuple(UNITS)
LOG_HILL_2 = "log Hill 2"
"""Unit of Gini-Simpson as it is compared."""

INTERVAL = (0.025, 0.975)

# A draw template by template takes longer than one clonotype by clonotype above so many swaps per clonotype (timed),
# and too much memory above so many templates.
_SWAPS_PER_CLONE = 5
_MOST_TEMPLATES = 20_000_000
_BLOCK = 20_000_000
_THINNED = 0.8
"""Share of its templates that a sample keeps at most where the spread of subsets is measured."""


def diversity(counts: np.ndarray) -> dict[str, float]:
    """Compute the diversity and the homeostasis of one repertoire.

    Parameters
    ----------
    counts
        (clonotypes,) cells or templates of each clonotype, whole numbers; zeros are ignored.

    Returns
    -------
    dict
        Value of each of `METRICS`; NaN where undefined: everything for an empty repertoire, Pielou evenness and
        clonality for a single clonotype, and classes that `reported_classes` refuses.

    References
    ----------
    Hill 1973, doi:10.2307/1934352; Jost 2006, doi:10.1111/j.2006.0030-1299.14714.x; Chao 1984, in its bias-corrected
    form where no clonotype was seen twice.
    """
    # Few sizes are shared by many clonotypes: all sums run over the distinct sizes.
    clones = np.bincount(np.asarray(counts, dtype=np.int64), minlength=1)
    clones[0] = 0
    sizes = np.flatnonzero(clones)
    if not len(sizes):
        return dict.fromkeys(METRICS, np.nan)
    return dict(zip(METRICS, diversities(sizes[None], clones[None, sizes])[0].tolist(), strict=True))


def diversities(sizes: np.ndarray, clones: np.ndarray) -> np.ndarray:
    """Compute the diversity and the homeostasis of several repertoires of one depth.

    Parameters
    ----------
    sizes
        (repertoires, sizes) cells or templates of a clonotype, ascending but for sizes of 0 clonotypes.
    clones
        (repertoires, sizes) clonotypes of that size.

    Returns
    -------
    numpy.ndarray
        (repertoires, metrics) in the order of `METRICS`, as `diversity` gives them.
    """
    templates = sizes * clones
    total, richness = int(templates[0].sum()), clones.sum(axis=1)
    share = sizes / total
    logs = np.log(share, out=np.zeros_like(share), where=templates > 0)
    entropy = np.maximum(0.0, -(clones * share * logs).sum(axis=1))
    concentration = (clones * share**2).sum(axis=1)
    evenness = np.full(len(sizes), np.nan)
    np.divide(entropy, np.log(richness), out=evenness, where=richness > 1)
    needed = _half_holders(sizes, clones, templates)
    found = [
        np.where(templates > 0, share, 0).max(axis=1),
        1 - concentration,
        evenness,
        1 - evenness,
        entropy,
        _gini(sizes, clones, total, richness),
        richness,
        np.exp(entropy),
        1 / concentration,
        _chao1(sizes, clones, total, richness),
        needed,
        needed / richness,
    ]
    return np.column_stack([*found, _homeostasis(share, clones, templates, total)])


def _gini(sizes: np.ndarray, clones: np.ndarray, total: int, richness: np.ndarray) -> np.ndarray:
    """Return the Gini index over all clonotypes, the smallest ranked first."""
    last = np.cumsum(clones, axis=1)
    # Sum of richness + 1 - rank over the clonotypes of each size.
    weights = clones * (richness[:, None] + 1) - (last * (last + 1) - (last - clones) * (last - clones + 1)) / 2
    return (richness + 1 - 2 * (weights * sizes).sum(axis=1) / total) / richness


def _chao1(sizes: np.ndarray, clones: np.ndarray, total: int, richness: np.ndarray) -> np.ndarray:
    """Return the number of clonotypes, those not seen included, as a lower bound."""
    once, twice = (np.where(sizes == size, clones, 0).sum(axis=1).astype(float) for size in (1, 2))
    unseen = np.where(twice > 0, once**2 / (2 * np.maximum(twice, 1)), once * (once - 1) / 2)
    return richness + (total - 1) / total * unseen


def _half_holders(sizes: np.ndarray, clones: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Return how many of the largest clonotypes it takes to hold half of the repertoire."""
    held = np.cumsum(templates[:, ::-1], axis=1)
    last = (2 * held < held[:, -1:]).sum(axis=1)
    many, row = np.cumsum(clones[:, ::-1], axis=1), np.arange(len(sizes))
    size = sizes[:, ::-1][row, last]
    # Some of the last size are too many: what is held above the half, in whole clonotypes of it.
    spare = (2 * held[row, last] - held[:, -1]) // (2 * size)
    return many[row, last] - spare


def _homeostasis(share: np.ndarray, clones: np.ndarray, templates: np.ndarray, total: int) -> np.ndarray:
    """Return the share of the repertoire in each class, then its clonotypes; NaN where it is not `reported_classes`."""
    places = len(_EDGES) + 1
    place = (np.searchsorted(_EDGES, share, side="left") + places * np.arange(len(share))[:, None]).ravel()
    refused = np.where(np.concatenate([reported_classes(bounds, total) for bounds in CUTOFFS.values()]), 0.0, np.nan)
    held = [np.bincount(place, each.ravel(), places * len(share)) for each in (templates, clones)]
    space, number = (each.reshape(-1, places) @ _UNIONS + refused for each in held)
    return np.hstack([space / total, number])


def reported_classes(bounds: Sequence[float], depth: int) -> np.ndarray:
    """Tell which classes a repertoire is deep enough for.

    Parameters
    ----------
    bounds
        Upper bounds of all classes but the last.
    depth
        Cells or templates.

    Returns
    -------
    numpy.ndarray
        (classes,) of bool. A class needs a lower bound above 2 / depth, or clonotypes seen once or twice would fall
        into it. The first class has no lower bound: it is the rest, and is given where all others are.
    """
    deep = np.array([0.0, *bounds]) > 2 / depth
    deep[0] = deep[1]
    return deep


def draw_counts(counts: np.ndarray, depth: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw templates of a repertoire without replacement.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype.
    depth
        Templates in a draw, at most the sum of the counts.
    draws
        Number of draws.
    rng
        Source of the draws.

    Yields
    ------
    numpy.ndarray
        (clonotypes,) templates drawn.

    Notes
    -----
    Multivariate hypergeometric by numpy: by swapping templates, or clonotype by clonotype where that is faster.
    """
    total = int(counts.sum())
    few = min(depth, total - depth) <= _SWAPS_PER_CLONE * len(counts) and total <= _MOST_TEMPLATES
    method: Literal["count", "marginals"] = "count" if few else "marginals"
    block = max(1, _BLOCK // max(1, len(counts)))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        yield from rng.multivariate_hypergeometric(counts, depth, size, method=method)


def thinner_depth(depth: int, total: int) -> int:
    """Return the size of the subsets that tell the spread at a depth: those of nearly all vary too little."""
    return min(depth, max(1, int(_THINNED * total)))


def sampling_interval(
    value: np.ndarray, spread: np.ndarray, depth: int, total: int, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a 95 % interval for what the sampled repertoire gives at a depth in the mean.

    Parameters
    ----------
    value
        (metrics,) means over subsets of that depth.
    spread
        (metrics,) standard deviations over subsets of `thinner_depth`.
    depth
        Templates or cells of a subset.
    total
        Templates or cells of the sample.
    draws
        Subsets that the value is the mean of.

    Returns
    -------
    tuple of numpy.ndarray
        Two bounds of each metric.

    Notes
    -----
    The mean over subsets of d of n templates is a U-statistic, close to normal: its variance is at most d / n of that
    of a fresh sample of d templates, and all of it at d = n (Hoeffding 1948, doi:10.1214/aoms/1177730196). Subsets of
    one sample vary less than fresh samples do, by the correction 1 - d / n for a finite population, so that their
    variance is divided by it; where d is nearly n, that of somewhat smaller subsets. What the mean over few subsets
    errs is added.
    """
    thinned = thinner_depth(depth, total)
    scale = np.sqrt(depth / total / (1 - thinned / total) + (depth < total) / draws)
    low, high = value + scale * spread * ndtri(INTERVAL)[:, None]
    return low, high


def summarise_draws(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and interval of metrics over draws.

    Parameters
    ----------
    values
        (draws, metrics).

    Returns
    -------
    tuple of numpy.ndarray
        Mean, 2.5 and 97.5 % quantile of each metric; NaN where any draw is undefined.
    """
    low, high = np.quantile(values, INTERVAL, axis=0)
    return values.mean(axis=0), low, high


def compared_values(metrics: pd.DataFrame, scopes: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Pick from a table of metrics the numbers that are compared between patients.

    Parameters
    ----------
    metrics
        Columns sample, scope, metric, value, low, high, standardised, unit.
    scopes
        Scopes wanted, in the order written.
    names
        Metrics wanted, in the order written.

    Returns
    -------
    pandas.DataFrame
        `VALUE_COLUMNS`, one row per sample, scope and metric that the table holds; standardised values of metrics that
        have them. A scope without any row has one row per sample without a value, so that it is told as not measured.

    Notes
    -----
    Gini-Simpson lies close under 1, where its skewness leaves intervals too short; it is compared as -log(1 - index),
    the logarithm of the Hill number of order 2.
    """
    has_depth = metrics.groupby(["scope", "metric"])["standardised"].transform("any").astype(bool)
    usable = metrics[metrics["standardised"].astype(bool) == has_depth]
    tables = []
    for scope, name in product(scopes, names):
        rows = usable[(usable["scope"] == scope) & (usable["metric"] == name)]
        if scope not in set(usable["scope"]):
            samples = metrics.drop_duplicates("sample")
            units = metrics.loc[metrics["metric"] == name, "unit"]
            rows = samples.assign(scope=scope, metric=name, value=np.nan, low=np.nan, high=np.nan)
            rows["unit"] = units.iloc[0] if len(units) else ""
        tables.append(rows)
    table = _without_skew(pd.concat(tables, ignore_index=True) if tables else metrics.head(0))
    return table.rename(columns={"scope": "parent", "metric": "feature"})[VALUE_COLUMNS]


def _without_skew(table: pd.DataFrame) -> pd.DataFrame:
    """Put Gini-Simpson on the scale of the logarithm of the Hill number of order 2."""
    rows = table["metric"] == "gini_simpson"
    columns = ["value", "low", "high"]
    numbers = table[columns].astype(float)
    # A repertoire of one clone has index 0, and rounding must not carry another to 1.
    logs = -np.log1p(-numbers.clip(upper=1 - 1e-12))
    return table.assign(
        **{name: numbers[name].where(~rows, logs[name]) for name in columns},
        unit=table["unit"].where(~rows, LOG_HILL_2),
    )
