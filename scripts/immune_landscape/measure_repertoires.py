"""Measure the diversity and the clonal homeostasis of bulk TRB repertoires, at one common depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.bulk_io import BulkRepertoire
from immune_landscape.errors import InputError
from immune_landscape.repertoire_metrics import (
    METRICS,
    UNITS,
    compared_values,
    diversity,
    draw_counts,
    summarise_draws,
)
from immune_landscape.seeds import seed_of

LOCUS = "TRB"
CLONE = ["junction", "v_call", "j_call"]
"""What makes a clonotype: nucleotides of the CDR3, V and J gene."""

_FACTS = ["sample", "patient", "visit", "tissue", "response"]
METRIC_COLUMNS = [
    *_FACTS,
    *("scope", "metric", "value", "low", "high", "depth", "standardised", "n_templates", "unit"),
]
DEPTH_COLUMNS = [
    *("sample", "patient", "visit", "format", "count_column", "counted", "rows", "other_locus", "non_productive"),
    *("productive", "kept", "clonotypes", "templates", "non_productive_templates", "measured", "depth"),
]


class _Counted(NamedTuple):
    """Templates of each clonotype of one sample, largest first, and the numbers behind them."""

    counts: np.ndarray
    facts: dict[str, Any]


def measure_repertoires(
    repertoires: Iterable[tuple[str, BulkRepertoire]],
    design: pd.DataFrame,
    seed: int,
    *,
    draws: int,
    min_templates: int,
    compared_metrics: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure bulk repertoires, raw and at the depth of the smallest usable sample.

    Parameters
    ----------
    repertoires
        Sample and rearrangements; consumed one by one.
    design
        One row per sample: sample, patient, visit, tissue, response.
    seed
        Start of the random draws; each sample has its own stream, so that adding a sample changes no other sample's
        draws unless it changes the depth.
    draws
        Random subsets of templates per sample.
    min_templates
        Productive templates that a sample needs to be measured; the smallest sample that has them sets the depth.
    compared_metrics
        Metrics that are compared between patients.

    Returns
    -------
    metrics
        One row per sample and metric (`repertoire_metrics.UNITS`), raw and standardised: sample, patient, visit,
        tissue, response, scope (``all``), metric, value, low, high, depth (templates), standardised, n_templates
        (productive templates of the sample), unit. A standardised value is the mean over the draws, low and high their
        2.5 and 97.5 % quantiles: the spread due to subsampling, not to patients. Samples below ``min_templates`` have
        no values.
    depths
        One row per sample: format, column counted and what it counts, rows of the file, rows of other loci, TRB rows
        that are not productive and that are, rows kept (productive, with a junction and a count), clonotypes,
        templates, templates of rows not productive, whether the sample is measured, common depth.
    values
        What is compared (`value_tables.VALUE_COLUMNS`): standardised, parent ``all``.

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    A clonotype is one junction (nucleotides), V and J gene. Templates are drawn without replacement. Clones are no
    replicates: nothing here is a test.
    """
    counted = {sample: _count_clones(repertoire) for sample, repertoire in repertoires}
    if unknown := sorted(set(counted) - set(design["sample"])):
        raise InputError(f"repertoires of samples that the design lacks: {', '.join(unknown)}")
    totals = {sample: int(found.counts.sum()) for sample, found in counted.items()}
    usable = [total for total in totals.values() if total >= min_templates]
    depth = min(usable, default=None)
    tables = []
    for sample, found in counted.items():
        rng = np.random.default_rng(seed_of(seed, "measure_repertoires", sample))
        measured = totals[sample] >= min_templates
        tables.append(_measure(sample, found.counts, depth if measured else None, draws, rng).assign(depth=depth))
    metrics = _metrics_table(tables, totals, design)
    depths = _depths_table(counted, design, min_templates, depth)
    return metrics, depths, compared_values(metrics, ["all"], compared_metrics)


def _count_clones(repertoire: BulkRepertoire) -> _Counted:
    """Sum the templates of productive rearrangements by clonotype; the order of the file makes no difference."""
    rows = repertoire.rows
    of_locus = rows["locus"].isin([LOCUS, ""])
    productive = of_locus & rows["productive"]
    kept = rows[productive & (rows["junction"] != "") & (rows["count"] > 0)]
    counts = kept.groupby(CLONE, sort=False)["count"].sum().to_numpy(dtype=np.int64)
    facts = {
        "format": repertoire.format,
        "count_column": repertoire.count_column,
        "counted": repertoire.counted,
        "rows": len(rows),
        "other_locus": int((~of_locus).sum()),
        "non_productive": int((of_locus & ~productive).sum()),
        "productive": int(productive.sum()),
        "kept": len(kept),
        "clonotypes": len(counts),
        "templates": int(counts.sum()),
        "non_productive_templates": int(rows.loc[of_locus & ~productive, "count"].sum()),
    }
    return _Counted(np.sort(counts)[::-1].copy(), facts)


def _measure(sample: str, counts: np.ndarray, depth: int | None, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the raw and the standardised metrics of one sample; without depth it has no values."""
    raw = list(diversity(counts if depth is not None else counts[:0]).values())
    blank = np.full(len(METRICS), np.nan)
    summary = (blank, blank, blank)
    if depth is not None:
        drawn = [list(diversity(each).values()) for each in draw_counts(counts, depth, draws, rng)]
        summary = summarise_draws(np.array(drawn))
    plain = pd.DataFrame({"metric": METRICS, "value": raw, "low": blank, "high": blank, "standardised": False})
    drawn_table = pd.DataFrame(
        {"metric": METRICS, **dict(zip(("value", "low", "high"), summary, strict=True)), "standardised": True}
    )
    return pd.concat([plain, drawn_table], ignore_index=True).assign(sample=sample)


def _metrics_table(tables: list[pd.DataFrame], totals: dict[str, int], design: pd.DataFrame) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=METRIC_COLUMNS)
    table = pd.concat(tables, ignore_index=True).assign(scope="all")
    table["n_templates"] = table["sample"].map(totals)
    table["unit"] = table["metric"].map(UNITS)
    depth = table["depth"].where(table["standardised"], table["n_templates"])
    table["depth"] = pd.array([None if pd.isna(each) else int(each) for each in depth], dtype="Int64")
    return table.merge(design[_FACTS], on="sample", how="left", validate="many_to_one")[METRIC_COLUMNS]


def _depths_table(
    counted: dict[str, _Counted], design: pd.DataFrame, min_templates: int, depth: int | None
) -> pd.DataFrame:
    rows = [{"sample": sample, **found.facts} for sample, found in counted.items()]
    table = pd.DataFrame(rows, columns=[name for name in DEPTH_COLUMNS if name not in ("patient", "visit")])
    table["measured"] = table["templates"] >= min_templates
    table["depth"] = pd.array([depth] * len(table), dtype="Int64")
    return table.merge(design[["sample", "patient", "visit"]], on="sample", how="left")[DEPTH_COLUMNS]
