"""Compare endpoints between groups of patients: randomised arms, and groups that a landmark makes comparable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from immune_landscape.clinical_checks import late_columns
from immune_landscape.errors import DesignError
from immune_landscape.guarantee_time import from_landmark, unguarded
from immune_landscape.hazards import COX, fit_hazards, interaction_p, proportionality
from immune_landscape.patient_outcomes import (
    COUNTED,
    DAYS,
    TIMES,
    followed_population,
    ordered_values,
    populations,
    ratio_of,
    strata_of,
    stratum_of,
    texts_of,
    times_of,
)
from immune_landscape.proportions import difference_p, share_difference
from immune_landscape.recist import Rule, best_response
from immune_landscape.survival import log_rank, restricted_mean

COLUMNS = [
    *("endpoint", "measure", "population", "by", "group_a", "group_b", "n_a", "n_b", "events_a", "events_b"),
    *("strata", "landmark", "at", "estimate", "low", "high", "p", "unit", "method", "note"),
]
SUBGROUP_COLUMNS = [
    *("endpoint", "population", "group_a", "group_b", "subgroup", "value", "n_a", "n_b", "events_a", "events_b"),
    *("estimate", "low", "high", "p", "p_interaction", "method", "note"),
]
TEXTS = ("strata", "subgroup", "value", "by")
"""Columns of words that may all be empty or look like numbers."""

MOST_VALUES = 6
"""Values of a column beyond which it makes no subgroups."""

SMALLEST_ARM = 2
Row = dict[str, Any]


class Pair(NamedTuple):
    """Two groups of patients.

    Attributes
    ----------
    by
        Column that tells them.
    group_a, group_b
        Its values; the second is the reference.
    population
        Whom the pair was taken from.
    landmark
        Time from which they are compared; NaN for the start.
    note
        How the groups came about.
    """

    by: str
    group_a: str
    group_b: str
    population: str
    landmark: float
    note: str


class Rules(NamedTuple):
    """How groups are compared; see the settings of the rule."""

    level: float
    firth_below: float
    window: float | None


def compare_outcomes(
    outcomes: pd.DataFrame,
    points: pd.DataFrame | None,
    study: Mapping[str, Any],
    *,
    level: float,
    firth_below: float,
    window: float | None,
    by: list[str],
    landmark: float | None,
) -> dict[str, pd.DataFrame]:
    """Compare rates and times between randomised arms, and times between other groups.

    Parameters
    ----------
    outcomes
        As for `measure_endpoints`.
    points
        Responses at each assessment, as from `recist.time_points`; None without assessments.
    study
        Facts of the cohort: ``time_unit``, ``randomisation``, ``extra_columns``.
    level
        Confidence level.
    firth_below
        Events per coefficient below which hazard ratios are those of Firth's penalised likelihood.
    window
        End of the window of restricted means; None for the largest time that both groups were followed to.
    by
        Further columns of patients whose groups are compared.
    landmark
        Time from which groups are compared that only became known during treatment; None for no such comparison.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``comparisons``: `COLUMNS`, one row per endpoint, measure and pair of groups. Measures are ``rate_difference``
        (of arms, first less second), ``log_rank`` (estimate is chi-square), ``hazard_ratio`` (first over second),
        ``mean_difference`` (restricted means) and ``proportionality`` (p against a constant hazard ratio); log-rank and
        hazard ratio of arms with strata are there without and with them. ``subgroups``: `SUBGROUP_COLUMNS`, hazard
        ratios of arms in all patients (within strata) and within the values of each stratum and subgroup column, and
        one p of interaction for each column.

    Raises
    ------
    DesignError
        When a column is known only after treatment began, and no landmark is given.

    References
    ----------
    Anderson, Cain and Gelber (1983), https://doi.org/10.1200/JCO.1983.1.11.710
    """
    late = late_columns(study)
    if refused := unguarded(by, late, guarded=landmark is not None):
        message = f"{', '.join(refused)} is known only after treatment began: times are compared from a landmark only"
        raise DesignError(message)
    rules = Rules(level, firth_below, window)
    inside = populations(outcomes, study)
    population = followed_population(study, inside)
    rows: list[Row] = []
    subgroups: list[Row] = []
    for pair in _arm_pairs(study, population):
        for name, belongs in inside.items():
            rows += _rate_rows(outcomes[belongs], pair._replace(population=name), level)
        rows += _time_rows(outcomes[inside[population]], pair, strata_of(study), rules, study)
        subgroups += _subgroup_rows(outcomes[inside[population]], pair, study, rules)
    for column in by:
        moment = float(landmark) if column in late and landmark is not None else math.nan
        table, note = _grouped(outcomes[inside[population]], column, points, moment, study)
        for pair in _value_pairs(table, column, population, moment, note):
            rows += _time_rows(table, pair, [], rules, study)
    counts = ["n_a", "n_b", "events_a", "events_b"]
    return {
        "comparisons": pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(counts, "Int64")),
        "subgroups": pd.DataFrame(subgroups, columns=SUBGROUP_COLUMNS).astype(dict.fromkeys(counts, "Int64")),
    }


def _arm_pairs(study: Mapping[str, Any], population: str) -> Iterator[Pair]:
    ratio = ratio_of(study)
    control = study["randomisation"]["control"] if ratio else ""
    for arm in ratio:
        if arm != control:
            yield Pair("arm", arm, control, population, math.nan, "")


def _grouped(
    outcomes: pd.DataFrame, column: str, points: pd.DataFrame | None, landmark: float, study: Mapping[str, Any]
) -> tuple[pd.DataFrame, str]:
    """Return the patients with their groups, and how these came about; responses are those up to the landmark."""
    if column not in ("response", "best_response") or points is None or points.empty or math.isnan(landmark):
        late = not math.isnan(landmark)
        note = "groups as recorded, some of them perhaps after the landmark" if late else "not randomised"
        return outcomes, note
    found = responses_by(points, landmark * DAYS[study["time_unit"]])
    groups = outcomes["patient"].map(found)
    if column == "response":
        positive, negative = (study["responders"][name] for name in ("positive", "negative"))
        named = dict.fromkeys(negative, "non_responder") | dict.fromkeys(positive, "responder")
        groups = groups.map(named)
    return outcomes.assign(**{column: groups.fillna("")}), "response as assessed up to the landmark"


def responses_by(points: pd.DataFrame, day: float) -> dict[str, str]:
    """Return the best response of each patient up to a day.

    Parameters
    ----------
    points
        As from `recist.time_points`.
    day
        Last day that counts.

    Returns
    -------
    dict
        Patient -> CR, PR, SD, PD or NE, without confirmation and without a least duration of stable disease.
    """
    rule = Rule(confirmation=False, min_interval_days=0, min_stable_days=0)
    known = points[(points["response"].fillna("") != "") & (points["day"] <= day)]
    parts = known.groupby("patient", sort=False)
    return {str(name): best_response(own["day"].tolist(), own["response"].tolist(), rule)[0] for name, own in parts}


def _value_pairs(table: pd.DataFrame, column: str, population: str, landmark: float, note: str) -> Iterator[Pair]:
    """Give each value of a column with its reference: non-responders, or else the first value."""
    values = ordered_values(table, column)
    reference = "non_responder" if "non_responder" in values else next(iter(values), "")
    for value in values if len(values) <= MOST_VALUES else []:
        if value != reference:
            yield Pair(column, value, reference, population, landmark, note)


def _members(table: pd.DataFrame, pair: Pair) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the patients of a pair, and which of them are of the first group."""
    cells = texts_of(table, pair.by)
    chosen = cells.isin([pair.group_a, pair.group_b])
    return table[chosen], (cells[chosen] == pair.group_a).to_numpy()


def _facts(pair: Pair, is_a: np.ndarray, counted: np.ndarray) -> Row:
    """Return what all rows of a pair begin with."""
    numbers = {"n_a": int(is_a.sum()), "n_b": int((~is_a).sum())}
    events = {"events_a": int(counted[is_a].sum()), "events_b": int(counted[~is_a].sum())}
    named = {name: getattr(pair, name) for name in ("by", "group_a", "group_b", "population", "landmark", "note")}
    return named | numbers | events | {"strata": ""}


def _rate_rows(table: pd.DataFrame, pair: Pair, level: float) -> Iterator[Row]:
    chosen, is_a = _members(table, pair)
    response = texts_of(chosen, "best_response")
    for endpoint, counted in COUNTED.items() if (response != "").any() else ():
        hits = response.isin(counted).to_numpy()
        facts = _facts(pair, is_a, hits)
        counts, totals = (facts["events_a"], facts["events_b"]), (facts["n_a"], facts["n_b"])
        told = share_difference(counts, totals, level)._asdict() | {"p": difference_p(counts, totals)}
        words = {"measure": "rate_difference", "unit": "share", "method": "Newcombe interval, Fisher exact p"}
        yield facts | {"endpoint": endpoint} | told | words


def _time_rows(
    table: pd.DataFrame, pair: Pair, strata: list[str], rules: Rules, study: Mapping[str, Any]
) -> Iterator[Row]:
    chosen, is_a = _members(table, pair)
    flags = pd.Series(is_a, index=chosen.index)
    for endpoint in TIMES:
        found = times_of(chosen, endpoint)
        members, times, events = found if math.isnan(pair.landmark) else from_landmark(found, pair.landmark)
        group = flags[members].to_numpy()
        facts = _facts(pair, group, events) | {"endpoint": endpoint}
        if min(facts["n_a"], facts["n_b"]) < SMALLEST_ARM:
            if len(times):
                yield facts | {"measure": "hazard_ratio", "note": f"fewer than {SMALLEST_ARM} patients in a group"}
            continue
        for columns in [[], strata] if strata else [[]]:
            within = stratum_of(chosen.loc[members], columns)
            named = facts | {"strata": ", ".join(columns)}
            yield from _tests(named, times, events, group, within, rules)
        yield facts | mean_difference(times, events, group, rules, study["time_unit"])


def _tests(
    facts: Row, times: np.ndarray, events: np.ndarray, group: np.ndarray, within: np.ndarray | None, rules: Rules
) -> Iterator[Row]:
    statistic, p = log_rank(times, events, group, within)
    yield facts | {"measure": "log_rank", "estimate": statistic, "p": p, "unit": "chi-square", "method": "Log-rank"}
    ratio = hazard_ratio(times, events, group, rules, within)
    yield facts | {"measure": "hazard_ratio", "unit": "ratio"} | ratio
    words = {"measure": "proportionality", "method": "Score test, Kaplan-Meier transform of time"}
    constant = proportionality(times, events, group, within) if ratio["method"] == COX else math.nan
    yield facts | words | {"p": constant}


def hazard_ratio(
    times: np.ndarray, events: np.ndarray, is_a: np.ndarray, rules: Rules, within: np.ndarray | None = None
) -> Row:
    """Return a hazard ratio with its interval.

    Parameters
    ----------
    times, events
        (patients,) times, and true for an event.
    is_a
        (patients,) true for the group whose hazard stands above the line.
    rules
        Level, and when the likelihood is penalised.
    within
        (patients,) stratum of each patient.

    Returns
    -------
    dict
        estimate, low, high, p, method; NaN without an event that tells the groups apart.
    """
    if not events.any() or len(np.unique(is_a)) < 2:
        return {"estimate": math.nan, "low": math.nan, "high": math.nan, "p": math.nan, "method": ""}
    fit = fit_hazards(times, events, is_a, rules.level, rules.firth_below, within)
    low, estimate, high = (float(np.exp(part[0])) for part in (fit.low, fit.coefficients, fit.high))
    return {"estimate": estimate, "low": low, "high": high, "p": float(fit.p[0]), "method": fit.method}


def mean_difference(times: np.ndarray, events: np.ndarray, group: np.ndarray, rules: Rules, unit: str) -> Row:
    """Return the difference of two restricted means with its interval.

    Parameters
    ----------
    times, events
        (patients,) times, and true for an event.
    group
        (patients,) true for the group from whose mean the other is subtracted.
    rules
        Level, and the end of the window; None for the largest time that both groups were followed to.
    unit
        Unit of the times.

    Returns
    -------
    dict
        estimate, low, high, p, at (end of the window), unit, method; no interval where a group has no event in it.
    """
    ends = [float(times[members].max()) for members in (group, ~group)]
    window = min(ends) if rules.window is None else rules.window
    first, second = (restricted_mean(times[members], events[members], window) for members in (group, ~group))
    difference, error = first.time - second.time, math.hypot(first.error, second.error)
    reach = float(ndtri(0.5 + rules.level / 2)) * error
    told = {"estimate": difference, "low": difference - reach, "high": difference + reach, "at": window, "unit": unit}
    words = {"measure": "mean_difference", "method": "Restricted means"}
    if not min(first.error, second.error) > 0:
        # Without an event in the window a mean has an error of zero, which would make anything significant.
        unknown = dict.fromkeys(("low", "high", "p"), math.nan)
        return told | words | unknown | {"note": "no event of a group within the window: no interval"}
    return told | words | {"p": 2 * float(ndtr(-abs(difference) / error))}


def _subgroup_rows(table: pd.DataFrame, pair: Pair, study: Mapping[str, Any], rules: Rules) -> Iterator[Row]:
    chosen, is_a = _members(table, pair)
    flags = pd.Series(is_a, index=chosen.index)
    columns = dict.fromkeys([*strata_of(study), *study["randomisation"]["subgroups"]])
    for endpoint in TIMES:
        found = times_of(chosen, endpoint)
        group = flags[found.patients].to_numpy()
        if not found.events.any():
            continue
        facts = {"endpoint": endpoint, "population": pair.population, "group_a": pair.group_a, "group_b": pair.group_b}
        everybody = np.ones(len(group), dtype=bool)
        strata = stratum_of(chosen.loc[found.patients], strata_of(study))
        overall = _within(found.times, found.events, group, everybody, rules, strata)
        yield facts | {"subgroup": "", "value": ""} | overall
        for column in columns:
            values = texts_of(chosen.loc[found.patients], column).to_numpy()
            names = ordered_values(chosen.loc[found.patients], column)
            if len(names) > MOST_VALUES:
                yield facts | {"subgroup": column, "value": "", "note": f"more than {MOST_VALUES} values"}
                continue
            filled = values != ""
            p = interaction_p(
                found.times[filled], found.events[filled], group[filled], values[filled], rules.firth_below
            )
            for name in names:
                row = _within(found.times, found.events, group, values == name, rules)
                yield facts | {"subgroup": column, "value": name, "p_interaction": p} | row


def _within(
    times: np.ndarray,
    events: np.ndarray,
    group: np.ndarray,
    inside: np.ndarray,
    rules: Rules,
    strata: np.ndarray | None = None,
) -> Row:
    """Return the hazard ratio within a subgroup, with its patients and events."""
    counts = {
        f"{what}_{end}": int((inside & members & counted).sum())
        for what, counted in (("n", np.ones(len(times), dtype=bool)), ("events", events))
        for end, members in (("a", group), ("b", ~group))
    }
    within = None if strata is None else strata[inside]
    return counts | hazard_ratio(times[inside], events[inside], group[inside], rules, within)
