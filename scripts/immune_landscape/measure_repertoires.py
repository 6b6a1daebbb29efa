"""Measure the diversity and the clonal homeostasis of bulk TRB repertoires, at one depth or one coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.repertoire_draws import draw_sizes
from immune_landscape.repertoire_metrics import (
    BOUNDED,
    METRICS,
    UNITS,
    compared_values,
    diversities,
    diversity,
    sampling_interval,
    thinner_depth,
)
from immune_landscape.sample_coverage import coverage_of, depth_for
from immune_landscape.seeds import seed_of

_FACTS = ["sample", "patient", "visit", "tissue", "response"]
METRIC_COLUMNS = [
    *_FACTS,
    *("scope", "metric", "value", "low", "high", "depth", "standardised", "n_templates", "unit"),
]
DEPTH_COLUMNS = [
    *("sample", "patient", "visit", "clonotypes", "templates", "coverage", "measured", "depth", "common_coverage"),
]


def measure_repertoires(
    counts: Iterable[tuple[str, np.ndarray]],
    design: pd.DataFrame,
    seed: int,
    *,
    draws: int,
    min_templates: int,
    equal: str,
    compared_metrics: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure bulk repertoires, raw and at the depth or the coverage of the poorest usable sample.

    Parameters
    ----------
    counts
        Sample and the (clonotypes,) templates of its productive clonotypes.
    design
        One row per sample: sample, patient, visit, tissue, response, and where present bulk_tcr, empty for samples
        without a bulk repertoire; those whose repertoire is empty are listed without values.
    seed
        Start of the random draws; each sample has its own stream, so that adding a sample changes no other sample's
        draws unless it changes the depth.
    draws
        Random subsets of templates per sample.
    min_templates
        Productive templates that a sample needs to be measured.
    equal
        What all samples are brought to: the ``depth`` of the smallest sample measured, or the ``coverage`` of the least
        complete one, for which each sample has a depth of its own.
    compared_metrics
        Metrics that are compared between patients.

    Returns
    -------
    metrics
        One row per sample and metric (`repertoire_metrics.UNITS`), raw and standardised: sample, patient, visit,
        tissue, response, scope (``all``), metric, value, low, high, depth (templates), standardised, n_templates
        (productive templates of the sample), unit. A standardised value is the mean over the draws; low and high hold
        what the repertoire gives at that depth in the mean (`standardise`), which tells how sure the value of
        this sample is, not how patients differ. Samples below ``min_templates`` have no values.
    depths
        One row per sample: clonotypes, templates, coverage estimated, whether the sample is measured, the depth it was
        brought to, and the common coverage (missing for equal depth).
    values
        What is compared (`value_tables.VALUE_COLUMNS`): standardised, parent ``all``.

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    Templates are drawn without replacement. Clones are no replicates: nothing here is a test.

    References
    ----------
    Equal coverage: Chao & Jost 2012, doi:10.1890/11-1952.1.
    """
    held = {sample: np.sort(np.asarray(each, dtype=np.int64))[::-1] for sample, each in counts}
    if unknown := sorted(set(held) - set(design["sample"])):
        raise InputError(f"repertoires of samples that the design lacks: {', '.join(unknown)}")
    depths = _depths_table(held, design, min_templates, equal)
    standard = depths.set_index("sample")["depth"]
    tables = []
    for sample in depths["sample"]:
        rng = np.random.default_rng(seed_of(seed, "measure_repertoires", sample))
        depth = None if pd.isna(standard[sample]) else int(standard[sample])
        tables.append(_measure(sample, held.get(sample, _NOTHING), depth, draws, rng))
    metrics = _metrics_table(tables, depths, design)
    return metrics, depths, compared_values(metrics, ["all"], compared_metrics)


_NOTHING = np.zeros(0, dtype=np.int64)
_BOUNDED = np.array([unit in BOUNDED for unit in UNITS.values()])
_HELD = 20_000_000
"""Clonotypes times draws that are drawn at once."""
_BLOCK = 30_000
"""Numbers measured at once (timed)."""


def _depths_table(held: dict[str, np.ndarray], design: pd.DataFrame, min_templates: int, equal: str) -> pd.DataFrame:
    """List the samples with a repertoire, and the depth that each is brought to."""
    given = design["bulk_tcr"].fillna("") != "" if "bulk_tcr" in design else pd.Series(False, index=design.index)
    table = design.loc[given | design["sample"].isin(held), ["sample", "patient", "visit"]].reset_index(drop=True)
    found = [held.get(sample, _NOTHING) for sample in table["sample"]]
    table["clonotypes"] = np.array([len(each) for each in found], dtype=int)
    table["templates"] = np.array([each.sum() for each in found], dtype=int)
    table["coverage"] = np.array([coverage_of(each) for each in found], dtype=float)
    table["measured"] = (table["templates"] >= min_templates).astype(bool)
    usable = table[table["measured"]]
    common = float(usable["coverage"].min()) if equal == "coverage" and len(usable) else np.nan
    depth = {
        place: int(usable["templates"].min()) if np.isnan(common) else depth_for(found[place], common)
        for place in usable.index
    }
    table["depth"] = pd.array([depth.get(place) for place in table.index], dtype="Int64")
    return table.assign(common_coverage=common)[DEPTH_COLUMNS]


def standardise(
    counts: np.ndarray, depth: int, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring a repertoire to a depth.

    Parameters
    ----------
    counts
        (clonotypes,) templates of each clonotype.
    depth
        Templates, at most the sum of the counts.
    draws
        Random subsets.
    rng
        Source of the draws.

    Returns
    -------
    tuple of numpy.ndarray
        (metrics,) mean over subsets of that depth, and the bounds of a 95 % interval for what the sampled repertoire
        gives at that depth in the mean.
    """
    total = int(counts.sum())
    drawn = _measure_draws(counts, depth, draws if depth < total else 1, rng)
    value = drawn.mean(axis=0)
    thinned = thinner_depth(depth, total)
    if thinned < depth:
        drawn = _measure_draws(counts, thinned, draws, rng)
    low, high = sampling_interval(value, drawn.std(axis=0, ddof=1), depth, total, draws)
    return value, np.maximum(low, 0.0), np.where(_BOUNDED, np.minimum(high, 1.0), high)


def _measure_draws(counts: np.ndarray, depth: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return (draws, metrics); draws are made as many at once as memory holds, and measured in blocks for the cache."""
    found, most = [], max(1, _HELD // len(counts))
    for start in range(0, draws, most):
        sizes, clones = draw_sizes(counts, depth, min(most, draws - start), rng)
        block = max(1, _BLOCK // sizes.shape[1])
        found += [diversities(sizes[at : at + block], clones[at : at + block]) for at in range(0, len(sizes), block)]
    return np.vstack(found)


def _measure(sample: str, counts: np.ndarray, depth: int | None, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the raw and the standardised metrics of one sample; without depth it has no values."""
    raw = list(diversity(counts if depth is not None else _NOTHING).values())
    blank = np.full(len(METRICS), np.nan)
    summary = (blank, blank, blank) if depth is None else standardise(counts, depth, draws, rng)
    plain = pd.DataFrame({"metric": METRICS, "value": raw, "low": blank, "high": blank, "standardised": False})
    drawn_table = pd.DataFrame(
        {"metric": METRICS, **dict(zip(("value", "low", "high"), summary, strict=True)), "standardised": True}
    )
    return pd.concat([plain, drawn_table], ignore_index=True).assign(sample=sample)


def _metrics_table(tables: list[pd.DataFrame], depths: pd.DataFrame, design: pd.DataFrame) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=METRIC_COLUMNS)
    table = pd.concat(tables, ignore_index=True).assign(scope="all")
    of_sample = depths.set_index("sample")
    table["n_templates"] = table["sample"].map(of_sample["templates"])
    table["unit"] = table["metric"].map(UNITS)
    standard = table["sample"].map(of_sample["depth"].astype("Int64"))
    table["depth"] = standard.where(table["standardised"], table["n_templates"]).astype("Int64")
    return table.merge(design[_FACTS], on="sample", how="left", validate="many_to_one")[METRIC_COLUMNS]
