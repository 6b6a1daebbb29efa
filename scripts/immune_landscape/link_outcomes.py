"""Relate immune features to PFS and OS: before treatment by Cox, later from a landmark on or as values change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_outcomes import Rules
from immune_landscape.errors import DesignError
from immune_landscape.guarantee_time import from_landmark, guarantee_message, unguarded
from immune_landscape.layers import LAYERS
from immune_landscape.linked_features import declaring_contrast, linked_markers
from immune_landscape.measure_endpoints import risk_ticks
from immune_landscape.multiple_tests import false_discovery_rates
from immune_landscape.outcome_links import Covariates, Followed, Limits, Row, link_marker, link_sides, value_rows
from immune_landscape.outcome_markers import Marker, markers_of
from immune_landscape.patient_outcomes import (
    DAYS,
    TIMES,
    Times,
    followed_population,
    ordered_values,
    populations,
    ratio_of,
    strata_of,
    stratum_of,
    times_of,
)
from immune_landscape.score_tests import permute_markers
from immune_landscape.seeds import seed_of
from immune_landscape.survival import count_at_risk, curve_table

BASELINE, LANDMARK, TIME_DEPENDENT = "baseline", "landmark", "time_dependent"
PER_SD, MEDIAN, CUT = "per_sd", "median", "cut"
COLUMNS = [
    *("endpoint", "layer", "parent", "feature", "analysis", "visit", "marker", "compared", "landmark", "cut", "sd"),
    *("unit", "n", "events", "hazard_ratio", "low", "high", "p", "p_permutation", "p_maxt", "q", "tests"),
    *("permutations", "p_proportional", "mean_difference", "mean_low", "mean_high", "window", "strata", "covariates"),
    *("followed", "events_before", "censored_before", "sampled_late", "no_value", "no_covariate", "method", "note"),
]
COUNTS = [
    *("n", "events", "tests", "permutations", "followed", "events_before", "censored_before"),
    *("sampled_late", "no_value", "no_covariate"),
]
TEXTS = ("endpoint", "layer", "parent", "feature", "analysis", "visit", "marker", "compared", "strata", "covariates")
"""Columns of words that may all be empty or look like numbers."""

STRAGGLES = 1.5
"""Time of a visit's last sample, in units of the median, from which a landmark set by it is remarked on."""

NAMED = ["endpoint", "layer", "parent", "feature", "analysis", "visit"]
CURVE_COLUMNS = [*NAMED, "side", "time", "at_risk", "events", "censored", "survival", "low", "high"]
RISK_COLUMNS = [*NAMED, "side", "time", "at_risk"]


class View(NamedTuple):
    """The values of one marker at one visit, by patient.

    Attributes
    ----------
    analysis, visit
        `BASELINE` or `LANDMARK`, and the visit.
    landmark
        Time from which patients are followed; NaN for the start.
    compared
        ``value`` or ``change``.
    numbers, own
        What is related to outcome, and the value at the visit; patients without one are not there.
    late
        Patients whose sample was taken too late to count.
    fault
        Why the visit cannot be related to outcome; empty when it can.
    remark
        What a reader should know of the landmark; may be empty.
    """

    analysis: str
    visit: str
    landmark: float
    compared: str
    numbers: pd.Series
    own: pd.Series
    late: set[str]
    fault: str
    remark: str = ""


class Cohort(NamedTuple):
    """What all markers share: the patients followed, their samples, and how they are looked at."""

    outcomes: pd.DataFrame
    design: pd.DataFrame
    unit: str
    visits: list[str]
    first: str
    strata: list[str]
    covariates: Covariates
    limits: Limits
    draws: int


def link_outcomes(
    layers: Mapping[str, pd.DataFrame],
    design: pd.DataFrame,
    outcomes: pd.DataFrame,
    study: Mapping[str, Any],
    seed: int,
    *,
    markers: list[dict[str, Any]],
    visits: list[str],
    on_treatment: list[str],
    later_marker: str,
    landmarks: Mapping[str, float],
    latest_baseline: float,
    tissue: str,
    strata: list[str] | None,
    covariates: list[str],
    events_per_coefficient: float,
    min_events: int,
    firth_below: float,
    level: float,
    window: float | None,
    draws: int,
) -> dict[str, pd.DataFrame]:
    """Relate immune features to times to progression and death, one feature at a time.

    Parameters
    ----------
    layers
        Layer -> its numbers per sample: the table of `measure_composition` under ``composition``, and else values.
    design
        One row per sample: ``sample, patient, visit, tissue, day``.
    outcomes
        One row per patient, as for `measure_endpoints`.
    study
        Facts of the cohort: ``visits``, ``tissues``, ``contrasts``, ``time_unit``, ``randomisation``, and ``floors``,
        the settings of `compare_composition`.
    seed
        Seed of the permutations.
    markers
        Features, see `linked_features.linked_markers`.
    visits
        Visits whose values are used; empty for all that `on_treatment` allows.
    on_treatment
        ``landmark``, ``time_dependent``: how values of visits after the first are used.
    later_marker
        ``change`` since the first visit, or ``value``, from a landmark on.
    landmarks
        Visit -> landmark; others take the day of the visit's last sample.
    latest_baseline
        Last day of a sample that counts as taken before treatment.
    tissue
        Of the samples; empty for that of the contrast that declares the features, or the first.
    strata
        Columns whose values have baseline hazards of their own; None for arm and strata of a randomisation.
    covariates
        Columns that ratios are adjusted for, as far as the events allow.
    events_per_coefficient
        Events that each coefficient beyond the marker's asks for.
    min_events
        Events below which nothing is estimated.
    firth_below
        Events per coefficient below which the likelihood is penalised.
    level
        Confidence level.
    window
        End of the window of restricted means; None for the largest time that both sides were followed to.
    draws
        Permutations of markers.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``links``: `COLUMNS`, one row per endpoint, marker, analysis and visit, and way the marker enters: ``per_sd``,
        and but for ``time_dependent`` the patients above the ``median`` or a declared ``cut`` against the others. ``n``
        and the patients left out add up to ``followed``. ``p`` is that of the model; ``p_permutation`` that of
        `score_tests.permute_markers` where there are no covariates. ``q`` is the false discovery rate and ``p_maxt``
        the family-wise p of markers per standard deviation within endpoint, layer, analysis and visit, of ``tests`` of
        them; sides of a cut-point are the same markers again and have neither. ``curves``, ``at_risk``: survival of the
        sides of the median.

    Raises
    ------
    DesignError
        When values of a later visit are asked for without a landmark or time-dependent model.

    References
    ----------
    Anderson, Cain and Gelber (1983), https://doi.org/10.1200/JCO.1983.1.11.710; Andersen and Gill (1982),
    https://doi.org/10.1214/aos/1176345976; Altman et al. (1994), https://doi.org/10.1093/jnci/86.11.829
    """
    if refused := unguarded(visits, study["visits"][1:], guarded=bool(on_treatment)):
        remedy = "use a landmark or a time-dependent model"
        raise DesignError("; ".join(guarantee_message(f"a value at {name}", remedy) for name in refused))
    inside = populations(outcomes, study)
    people = outcomes[inside[followed_population(study, inside)]]
    limits = Limits(Rules(level, firth_below, window), events_per_coefficient, min_events)
    used = [name for name in study["visits"] if (not visits or name in visits)]
    used = used if on_treatment else [name for name in used if name == study["visits"][0]]
    samples = _samples(design, tissue, markers, study)
    used = [name for name in used if (samples["visit"] == name).any()]
    samples = samples[samples["visit"].isin([study["visits"][0], *used])]
    columns = _strata(strata, people, study)
    shared = Covariates(covariates, outcomes)
    cohort = Cohort(people, samples, study["time_unit"], used, study["visits"][0], columns, shared, limits, draws)
    asked = linked_markers(markers, study["contrasts"], list(layers))
    rows: list[Row] = []
    curves: list[pd.DataFrame] = []
    for layer, table in layers.items():
        own = [entry for entry in asked if entry["layer"] == layer]
        chosen = markers_of(layer, table, list(samples["sample"]), own, study["floors"])
        # Changes are told of the later sample, so there is none at the first visit.
        for visit in used if not LAYERS[layer].tells_change else [name for name in used if name != cohort.first]:
            views = [_view(marker, visit, cohort, later_marker, landmarks, latest_baseline) for marker in chosen]
            if visit == cohort.first or LANDMARK in on_treatment:
                for endpoint in TIMES:
                    found = _linked(chosen, views, endpoint, cohort, seed_of(seed, layer, endpoint, visit))
                    rows += found[0]
                    curves += found[1]
        if TIME_DEPENDENT in on_treatment and any(visit != cohort.first for visit in used):
            rows += [_changing(marker, endpoint, cohort) for endpoint in TIMES for marker in chosen]
    return {"links": _with_rates([row for row in rows if row["followed"]])} | _curve_tables(curves)


def _samples(
    design: pd.DataFrame, tissue: str, markers: list[dict[str, Any]], study: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the samples of a tissue, of the region alone that the declaring contrast names."""
    contrast = None if markers else declaring_contrast(study["contrasts"])
    facts = contrast or {}
    chosen = design[design["tissue"] == str(tissue or facts.get("tissue") or study["tissues"][0])]
    region = facts.get("region")
    return chosen[chosen["region"] == region] if region and "region" in chosen else chosen


def _strata(strata: list[str] | None, outcomes: pd.DataFrame, study: Mapping[str, Any]) -> list[str]:
    """Return the columns by which patients are parted, as far as they part them."""
    chosen = list(strata) if strata is not None else ["arm", *strata_of(study)] if ratio_of(study) else []
    return [name for name in dict.fromkeys(chosen) if len(ordered_values(outcomes, name)) > 1]


def _view(
    marker: Marker,
    visit: str,
    cohort: Cohort,
    later_marker: str,
    landmarks: Mapping[str, float],
    latest_baseline: float,
) -> View:
    """Take the values of a marker at one visit, each patient's own."""
    rows = cohort.design[cohort.design["visit"] == visit]
    days = rows.groupby("patient", sort=False)["day"].max().astype(float)
    values = _by_patient(marker, rows)
    tells_change = LAYERS[marker.layer].tells_change
    if visit == cohort.first:
        late = set(days.index[days > latest_baseline])
        kept = values.drop(index=[name for name in late if name in values.index])
        return View(BASELINE, visit, math.nan, "value", kept, kept, late, marker.fault)
    days = days / DAYS[cohort.unit]
    landmark = float(landmarks.get(visit, days.max()))
    # A sample without a day may have been taken after the landmark, unless the whole sheet leaves days out.
    late = set(days.index[~(days <= landmark)]) if days.notna().any() else set()
    remark = "" if visit in landmarks else _straggler(days)
    kept = values.drop(index=[name for name in late if name in values.index])
    fault = marker.fault or ("" if landmark > 0 else "no day of its samples and no landmark")
    if later_marker == "value" or tells_change:
        compared = "change" if tells_change else "value"
        return View(LANDMARK, visit, landmark, compared, kept, kept, late, fault, remark)
    # A first sample taken after the landmark only the living can have given.
    first = cohort.design["visit"] == cohort.first
    after = cohort.design["day"].astype(float) / DAYS[cohort.unit] > landmark
    earlier = _by_patient(marker, cohort.design[first & ~after])
    change = (kept - earlier.reindex(kept.index)).dropna()
    return View(LANDMARK, visit, landmark, "change", change, kept, late, fault, remark)


def _straggler(days: pd.Series) -> str:
    """Tell when one late sample moves the landmark away from the day on which most were taken."""
    dated = days.dropna()
    if dated.empty or not dated.max() > STRAGGLES * dated.median():
        return ""
    usual, last = float(dated.median()), float(dated.max())
    return f"the last sample was taken at {last:.3g}, half of them by {usual:.3g}: declare the landmark of the visit"


def _by_patient(marker: Marker, rows: pd.DataFrame) -> pd.Series:
    """Return the value of each patient who has one, the mean over regions of the tissue."""
    values = pd.Series(marker.numbers.reindex(rows["sample"]).to_numpy(dtype=float), index=rows["patient"])
    return values.dropna().groupby(level=0, sort=False).mean()


def _followed(view: View, endpoint: str, cohort: Cohort) -> tuple[Followed, Row]:
    """Return who is followed from the view's landmark on, and how many were before or dropped out before it."""
    found = times_of(cohort.outcomes, endpoint)
    facts = {"endpoint": endpoint, "followed": len(found.times)}
    if not math.isnan(view.landmark):
        early = found.times <= view.landmark
        facts |= {"events_before": int((early & found.events).sum())}
        facts |= {"censored_before": int((early & ~found.events).sum())}
        found = from_landmark(found, view.landmark)
    return _rows_of(found, cohort), facts


def _rows_of(found: Times, cohort: Cohort) -> Followed:
    people = cohort.outcomes.loc[found.patients]
    names = people["patient"].astype(str).to_numpy()
    return Followed(names, found.times, found.events, None, stratum_of(people, cohort.strata))


def _linked(
    markers: Sequence[Marker], views: Sequence[View], endpoint: str, cohort: Cohort, seed: int
) -> tuple[list[Row], list[pd.DataFrame]]:
    """Return the rows of the markers of a layer at one visit, and the curves of the sides of their medians."""
    rows: list[Row] = []
    curves: list[pd.DataFrame] = []
    for marker, view in zip(markers, views, strict=True):
        for row, curve in _marker_rows(marker, view, endpoint, cohort):
            rows.append(row)
            curves += curve
    single = [row for row in rows if row["marker"] == PER_SD]
    _permute(single, views, endpoint, cohort, seed)
    return rows, curves


def _marker_rows(marker: Marker, view: View, endpoint: str, cohort: Cohort) -> Iterator[tuple[Row, list[pd.DataFrame]]]:
    """Give a marker per standard deviation, above its median, and above a cut-point known beforehand."""
    followed, facts = _followed(view, endpoint, cohort)
    here = followed.take(np.isin(followed.patients, view.numbers.index))
    late = np.isin(followed.patients, list(view.late))
    facts |= {"layer": marker.layer, "parent": marker.parent, "feature": marker.feature, "unit": marker.unit}
    facts |= {"analysis": view.analysis, "visit": view.visit, "landmark": view.landmark, "compared": view.compared}
    facts |= {"sampled_late": int(late.sum()), "no_value": len(late) - len(here.times) - int(late.sum())}
    facts |= {"strata": ", ".join(cohort.strata)}
    if view.fault:
        yield facts | {"marker": PER_SD, "n": len(here.times), "note": view.fault}, []
        return
    numbers = view.numbers.reindex(here.patients).to_numpy(dtype=float)
    told = link_marker(numbers, here, cohort.covariates, cohort.limits)
    yield facts | {"marker": PER_SD} | _remarked(told, view.remark), []
    if not len(numbers):
        return
    sides = [(MEDIAN, numbers, float(np.median(numbers)), view.compared)]
    if not math.isnan(marker.cut):
        what = "change" if LAYERS[marker.layer].tells_change else "value"
        sides.append((CUT, view.own.reindex(here.patients).to_numpy(dtype=float), marker.cut, what))
    for name, values, cut, compared in sides:
        above = values > cut
        found = link_sides(above, here, cohort.covariates, cohort.limits, cohort.unit)
        row = facts | {"marker": name, "cut": cut, "compared": compared} | _remarked(found, view.remark)
        yield row, _curves(row, above, here, cohort.limits.rules.level) if name == MEDIAN else []


def _remarked(told: Row, remark: str) -> Row:
    """Add a remark to the note of a row."""
    return told | {"note": "; ".join(part for part in (told.get("note"), remark) if part)}


def _curves(row: Row, above: np.ndarray, followed: Followed, level: float) -> list[pd.DataFrame]:
    if "hazard_ratio" not in row:
        return []
    named = {name: row[name] for name in NAMED}
    sides = {"above": above, "below": ~above}
    return [
        curve_table(followed.times[inside], followed.events[inside], level).assign(**named, side=side)
        for side, inside in sides.items()
    ]


def _permute(rows: Sequence[Row], views: Sequence[View], endpoint: str, cohort: Cohort, seed: int) -> None:
    """Add the permutation test to the rows of the markers of a layer, tested together."""
    tested = [at for at, row in enumerate(rows) if math.isfinite(row.get("hazard_ratio", math.nan))]
    tested = [at for at in tested if not rows[at]["covariates"]]
    if not tested:
        return
    followed = _followed(views[tested[0]], endpoint, cohort)[0]
    values = np.column_stack([views[at].numbers.reindex(followed.patients).to_numpy(dtype=float) for at in tested])
    found = permute_markers(
        values,
        followed.times,
        followed.events,
        seed,
        strata=followed.strata,
        max_exact=cohort.draws,
        draws=cohort.draws,
    )
    for place, at in enumerate(tested):
        rows[at]["p_permutation"], rows[at]["p_maxt"] = float(found.p[place]), float(found.p_maxt[place])
        rows[at]["permutations"] = int(found.labelings[place])


def _changing(marker: Marker, endpoint: str, cohort: Cohort) -> Row:
    """Relate the last value so far of a marker to an endpoint."""
    found = times_of(cohort.outcomes, endpoint)
    everybody = _rows_of(found, cohort)
    facts: Row = {"endpoint": endpoint, "layer": marker.layer, "parent": marker.parent, "feature": marker.feature}
    facts |= {"unit": marker.unit, "analysis": TIME_DEPENDENT, "visit": "", "marker": PER_SD}
    facts |= {"compared": "change" if LAYERS[marker.layer].tells_change else "value"}
    facts |= {"followed": len(found.times), "strata": ", ".join(cohort.strata)}
    if marker.fault:
        return facts | {"note": marker.fault}
    ends = {str(name): (time, bool(event)) for name, time, event in zip(*everybody[:3], strict=True)}
    rows, unused = value_rows(_dated(marker, cohort), ends, DAYS[cohort.unit])
    strata = None
    if everybody.strata is not None:
        strata = pd.Series(everybody.strata, index=everybody.patients)[rows["patient"]].to_numpy()
    columns = [rows[name].to_numpy() for name in ("patient", "stop", "event", "start")]
    followed = Followed(columns[0], columns[1], columns[2].astype(bool), columns[3], strata)
    told = link_marker(rows["value"].to_numpy(dtype=float), followed, cohort.covariates, cohort.limits)
    return facts | {"no_value": len(unused)} | told


def _dated(marker: Marker, cohort: Cohort) -> pd.DataFrame:
    """Return the values of a marker with their days; a first sample without one was taken at the start."""
    rows = cohort.design[cohort.design["visit"].isin(cohort.visits)]
    days = rows["day"].astype(float).where(rows["day"].notna() | (rows["visit"] != cohort.first), 0.0)
    values = marker.numbers.reindex(rows["sample"]).to_numpy(dtype=float)
    table = pd.DataFrame({"patient": rows["patient"].astype(str), "visit": rows["visit"], "day": days, "value": values})
    known = table.dropna(subset=["day", "value"])
    return known.groupby(["patient", "visit"], sort=False, as_index=False).agg({"day": "max", "value": "mean"})


def best_p(links: pd.DataFrame) -> pd.Series:
    """Return the p by permutation of each link, and that of the model where there is none."""
    return links["p_permutation"].astype(float).fillna(links["p"].astype(float))


def _with_rates(rows: Sequence[Row]) -> pd.DataFrame:
    """Make the table of links, with the false discovery rate of each family."""
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))
    table[list(TEXTS)] = table[list(TEXTS)].astype(object).where(table[list(TEXTS)].notna(), "")
    best = best_p(table)
    known = best.notna() & (table["marker"] == PER_SD)
    for _, at in table[known].groupby(["endpoint", "layer", "analysis", "visit"], sort=False).groups.items():
        rates = false_discovery_rates(best[at].to_numpy(dtype=float))
        table.loc[at, "q"] = pd.Series(rates, index=at)
        table.loc[at, "tests"] = len(at)
    ranks = {name: at for at, name in enumerate([*TIMES, BASELINE, LANDMARK, TIME_DEPENDENT])}
    return table.sort_values(
        ["endpoint", "analysis"], key=lambda names: names.map(ranks), kind="stable", ignore_index=True
    )


def _curve_tables(curves: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Join the curves, and count who is at risk at round times of both sides."""
    if not curves:
        return {"curves": pd.DataFrame(columns=CURVE_COLUMNS), "at_risk": pd.DataFrame(columns=RISK_COLUMNS)}
    joined = pd.concat(curves, ignore_index=True)[CURVE_COLUMNS]
    risks = []
    for _, own in joined.groupby(NAMED, sort=False):
        ticks = risk_ticks(own["time"].to_numpy())
        for side, rows in own.groupby("side", sort=False):
            times = np.repeat(rows["time"].to_numpy(), (rows["events"] + rows["censored"]).to_numpy())
            counts = pd.DataFrame({"time": ticks, "at_risk": count_at_risk(times, ticks), "side": side})
            risks.append(counts.assign(**{name: own[name].iloc[0] for name in NAMED}))
    return {"curves": joined, "at_risk": pd.concat(risks, ignore_index=True)[RISK_COLUMNS]}
