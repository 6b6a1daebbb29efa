"""Follow the clones of each patient from visit to visit, and tell those that changed beyond sampling noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.clone_tracking import (
    SUMMARY_UNITS,
    ChangeTails,
    estimate_overdispersion,
    find_changes,
    summarise_changes,
)
from immune_landscape.errors import InputError
from immune_landscape.repertoire_metrics import draw_counts, summarise_draws
from immune_landscape.seeds import seed_of
from immune_landscape.value_tables import VALUE_COLUMNS

_PLACE = ["patient", "tissue", "reference_visit", "reference_sample", "visit", "sample"]
CLONE_COLUMNS = [
    *_PLACE,
    *("clonotype", "label", "before", "after", "share_before", "share_after", "rank_before", "rank_after"),
    *("presence", "p", "q", "change"),
]
SUMMARY_COLUMNS = [*_PLACE, "feature", "value", "low", "high", "depth", "reference_depth", "standardised", "unit"]
PAIR_COLUMNS = [
    *_PLACE,
    *("response", "total_before", "total_after", "measured", "depth"),
    *("own_overdispersion", "overdispersion", "estimated_from"),
]
LOG_UNIT = "log (1 + clonotypes)"


@dataclass
class _Pair:
    """Two samples of a patient and the counts of their clones, in one order."""

    place: dict[str, Any]
    clonotypes: np.ndarray
    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    own: float = np.nan
    overdispersion: float = np.nan
    source: str = ""
    depth: int | None = None
    share: float = field(init=False)

    def __post_init__(self) -> None:
        self.share = float(self.after.sum() / max(1, self.before.sum() + self.after.sum()))

    @property
    def smaller(self) -> int:
        """Templates or cells of the smaller of the two samples."""
        return int(min(self.before.sum(), self.after.sum()))


def track_clones(
    clones: Iterable[tuple[str, pd.DataFrame]],
    design: pd.DataFrame,
    visits: Sequence[str],
    source: str,
    seed: int,
    *,
    against: str,
    min_count: Mapping[str, int],
    min_total: Mapping[str, int],
    noise_from: str,
    min_clones: int,
    max_overdispersion: float,
    assumed_overdispersion: Mapping[str, float],
    alpha: float,
    draws: int,
    top_clones: int,
    compared_features: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Compare the clones of each patient between visits, within each tissue.

    Parameters
    ----------
    clones
        Sample and its clones: clonotype, count, label; the samples of a patient follow one another.
    design
        One row per sample: sample, patient, visit, tissue, response.
    visits
        Visits of the study in order.
    source
        ``bulk_tcr`` or ``tcr``: key of the settings that are given for each.
    seed
        Start of the random draws.
    against
        What a later visit is compared with, the ``first`` visit of the study or the ``previous`` one of the patient.
    min_count
        Count over both samples from which a clone is tested.
    min_total
        Templates or receptor cells that both samples of a pair need.
    noise_from
        Overdispersion of a pair: the median of the ``cohort``, or that of the ``pair`` alone.
    min_clones
        Clones with that count, seen in both samples, from which a pair's own overdispersion is estimated; a pair with
        fewer takes the median of the cohort.
    max_overdispersion
        Correlation within a clone that is still taken for noise.
    assumed_overdispersion
        Correlation taken where no pair has enough clones.
    alpha
        False discovery rate within a pair of samples.
    draws
        Random subsets of both samples of a pair, at one depth for the cohort.
    top_clones
        Largest clones of each sample that are listed though they are not tested.
    compared_features
        Numbers compared between patients, of `clone_tracking.SUMMARY_UNITS`.

    Returns
    -------
    dict
        ``clones``: clones tested or among the largest, at full depth (`CLONE_COLUMNS`). ``pairs``: one row per pair of
        samples with its noise (`PAIR_COLUMNS`). ``summary``: numbers of each pair, at full depth and at one depth for
        the cohort, there as mean and 95 % range of the draws (`SUMMARY_COLUMNS`). ``values``: what is compared
        (`value_tables.VALUE_COLUMNS`), at one depth, told of the later sample; numbers of clones as log (1 + number).

    Raises
    ------
    InputError
        A sample is not in the design, or two samples of a patient share visit and tissue.

    Notes
    -----
    The chance to see a clone, and to see it change, grows with depth: what is compared between patients is counted in
    subsets of one depth. A p value here says that a clone changed in its patient; patients are compared by
    `compare_values`.
    """
    pairs = [
        pair
        for group in _patients(clones, design)
        for pair in _pairs_of(group, list(visits), against, min_total[source])
    ]
    for pair in pairs:
        pair.own = _own_overdispersion(pair, min_count[source], min_clones, max_overdispersion)
    _set_overdispersion(pairs, noise_from, assumed_overdispersion[source])
    found = [_changes_of(pair, min_count[source], alpha) for pair in pairs]
    depth = min((pair.smaller for pair in pairs if pair.smaller >= min_total[source]), default=None)
    tables: list[pd.DataFrame] = []
    for pair, changes in zip(pairs, found, strict=True):
        measured = depth is not None and pair.smaller >= min_total[source]
        pair.depth = depth if measured else None
        rng = np.random.default_rng(seed_of(seed, "track_clones", source, pair.place["sample"]))
        tables += [_raw_summary(pair, changes), _drawn_summary(pair, min_count[source], alpha, draws, rng)]
    summary = _stack(tables, SUMMARY_COLUMNS)
    listed = [_listed(pair, changes, top_clones) for pair, changes in zip(pairs, found, strict=True)]
    return {
        "clones": _stack(listed, CLONE_COLUMNS),
        "pairs": _pairs_table(pairs, design),
        "summary": summary,
        "values": _values(summary, compared_features),
    }


def _patients(clones: Iterable[tuple[str, pd.DataFrame]], design: pd.DataFrame) -> Iterator[list[_Sample]]:
    """Gather the samples of one patient and tissue after another."""
    facts = design.set_index("sample")

    def known() -> Iterator[_Sample]:
        """Look each sample up in the design."""
        for sample, table in clones:
            if sample not in facts.index:
                raise InputError(f"clones of a sample that the design lacks: {sample}")
            row = facts.loc[sample]
            # Clones are followed within a region, where a tissue has several.
            place = "_".join(str(row[name]) for name in ("tissue", "region") if row.get(name))
            yield _Sample(sample, str(row["patient"]), place, str(row["visit"]), table)

    for _, of_patient in groupby(known(), key=lambda held: held.patient):
        held = sorted(of_patient, key=lambda each: each.tissue)
        for _, of_tissue in groupby(held, key=lambda each: each.tissue):
            yield list(of_tissue)


@dataclass(frozen=True)
class _Sample:
    """Clones of a sample and where it belongs."""

    sample: str
    patient: str
    tissue: str
    visit: str
    clones: pd.DataFrame


def _pairs_of(samples: list[_Sample], visits: list[str], against: str, min_total: int) -> Iterator[_Pair]:
    """Pair each later sample with the one it is compared with; pairs too small to be compared stay, empty of clones."""
    at_visit: dict[str, _Sample] = {}
    for each in samples:
        if each.visit in at_visit:
            names = f"{at_visit[each.visit].sample} and {each.sample}"
            raise InputError(f"clones of patient {each.patient}: {names} are of one visit and tissue")
        at_visit[each.visit] = each
    ordered = [at_visit[visit] for visit in visits if visit in at_visit]
    for place, later in enumerate(ordered[1:]):
        earlier = at_visit.get(visits[0]) if against == "first" else ordered[place]
        if earlier is not None:
            yield _joined(earlier, later)


def _joined(earlier: _Sample, later: _Sample) -> _Pair:
    columns = ["clonotype", "count", "label"]
    both = earlier.clones[columns].merge(later.clones[columns], "outer", "clonotype", suffixes=("", "_later"))
    values = (later.patient, later.tissue, earlier.visit, earlier.sample, later.visit, later.sample)
    before, after = (both[name].fillna(0).to_numpy(dtype=np.int64) for name in ("count", "count_later"))
    labels = both["label"].where(both["label"].notna(), both["label_later"])
    return _Pair(dict(zip(_PLACE, values, strict=True)), both["clonotype"].to_numpy(), labels.to_numpy(), before, after)


def _own_overdispersion(pair: _Pair, min_count: int, min_clones: int, largest: float) -> float:
    total = pair.before + pair.after
    typical = (total >= min_count) & (pair.before > 0) & (pair.after > 0)
    if typical.sum() < min_clones:
        return np.nan
    return estimate_overdispersion(pair.after[typical], total[typical], pair.share, largest)


def _set_overdispersion(pairs: list[_Pair], noise_from: str, assumed: float) -> None:
    """Noise comes from how samples are made, which the cohort shares; a patient's own includes what truly changed."""
    own = [pair.own for pair in pairs if not np.isnan(pair.own)]
    for pair in pairs:
        if noise_from == "pair" and not np.isnan(pair.own):
            pair.overdispersion, pair.source = pair.own, "own clones"
        else:
            pair.overdispersion = float(np.median(own)) if own else assumed
            pair.source = "median of the cohort" if own else "assumed"


def _changes_of(pair: _Pair, min_count: int, alpha: float) -> pd.DataFrame:
    # Without a template in one of the samples nothing can be told.
    least = min_count if pair.smaller else np.iinfo(np.int64).max
    tails = ChangeTails(pair.share, pair.overdispersion)
    return find_changes(pair.before, pair.after, tails, min_count=int(least), alpha=alpha)


def _raw_summary(pair: _Pair, changes: pd.DataFrame) -> pd.DataFrame:
    numbers = summarise_changes(pair.before, pair.after, changes)
    table = pd.DataFrame({"feature": list(numbers), "value": list(numbers.values()), "low": np.nan, "high": np.nan})
    depths = {"depth": int(pair.after.sum()), "reference_depth": int(pair.before.sum())}
    return table.assign(**pair.place, **depths, standardised=False)


def _drawn_summary(pair: _Pair, min_count: int, alpha: float, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Sum up subsets of both samples, drawn to one depth; a pair that is too small has no values."""
    summary = (np.full(len(SUMMARY_UNITS), np.nan),) * 3
    if pair.depth is not None:
        tails = ChangeTails(0.5, pair.overdispersion)
        drawn = []
        both = [draw_counts(counts, pair.depth, draws, rng) for counts in (pair.before, pair.after)]
        for before, after in zip(*both, strict=True):
            seen = (before + after) > 0
            changes = find_changes(before[seen], after[seen], tails, min_count=min_count, alpha=alpha)
            drawn.append(list(summarise_changes(before[seen], after[seen], changes).values()))
        summary = summarise_draws(np.array(drawn))
    table = pd.DataFrame(dict(zip(("value", "low", "high"), summary, strict=True)))
    named = table.assign(feature=list(SUMMARY_UNITS), **pair.place, standardised=True)
    return named.assign(**dict.fromkeys(("depth", "reference_depth"), pair.depth))


def _listed(pair: _Pair, changes: pd.DataFrame, top_clones: int) -> pd.DataFrame:
    """List the clones tested and the largest of each sample."""
    totals = [max(1, int(counts.sum())) for counts in (pair.before, pair.after)]
    table = changes.assign(clonotype=pair.clonotypes, label=pair.labels, before=pair.before, after=pair.after)
    for name, total in zip(("before", "after"), totals, strict=True):
        table[f"share_{name}"] = table[name] / total
        rank = table[name].rank(method="min", ascending=False)
        table[f"rank_{name}"] = rank.where(table[name] > 0).astype("Int64")
    top = (table[["rank_before", "rank_after"]] <= top_clones).fillna(False).any(axis=1)
    kept = table[top | (table["change"] != "untested")].assign(**pair.place)
    return kept.sort_values(["after", "before", "clonotype"], ascending=[False, False, True], ignore_index=True)


def _stack(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=columns)
    for table in tables:
        if "standardised" in table:
            table["unit"] = table["feature"].map(SUMMARY_UNITS)
            for name in ("depth", "reference_depth"):
                table[name] = table[name].astype("Int64")
    return pd.concat([table[columns] for table in tables], ignore_index=True)


def _pairs_table(pairs: list[_Pair], design: pd.DataFrame) -> pd.DataFrame:
    response = design.set_index("sample")["response"]
    rows = [
        {
            **pair.place,
            "response": response[pair.place["sample"]],
            "total_before": int(pair.before.sum()),
            "total_after": int(pair.after.sum()),
            "measured": pair.depth is not None,
            "own_overdispersion": pair.own,
            "overdispersion": pair.overdispersion,
            "estimated_from": pair.source,
        }
        for pair in pairs
    ]
    depth = pd.array([pair.depth for pair in pairs], dtype="Int64")
    return pd.DataFrame(rows).assign(depth=depth)[PAIR_COLUMNS] if rows else pd.DataFrame(columns=PAIR_COLUMNS)


def _values(summary: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Pick what is compared; numbers of clones are skewed, and compared as logarithms."""
    rows = summary[summary["standardised"].astype(bool) & summary["feature"].isin(list(features))]
    counted = rows["unit"] == "clonotypes"
    numbers = {name: rows[name].astype(float) for name in ("value", "low", "high")}
    logs = {name: column.where(~counted, pd.Series(np.log1p(column))) for name, column in numbers.items()}
    table = rows.assign(parent="all", **logs, unit=rows["unit"].where(~counted, LOG_UNIT))
    place = table["feature"].map({name: at for at, name in enumerate(features)})
    return table.iloc[np.argsort(place, kind="stable")][VALUE_COLUMNS].reset_index(drop=True)
