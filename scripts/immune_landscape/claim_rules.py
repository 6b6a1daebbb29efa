"""Verdict rules: what an estimate of this cohort says of a claim made elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from immune_landscape.display_text import format_number, format_p

REPLICATES = "replicates"
UNDERPOWERED = "same direction but underpowered"
INCONCLUSIVE = "inconclusive"
NOT_SUPPORTED = "not supported"
CONTRADICTED = "contradicted"
NOT_TESTABLE = "not testable here"
CLAIM_VERDICTS = (REPLICATES, UNDERPOWERED, INCONCLUSIVE, NOT_SUPPORTED, CONTRADICTED, NOT_TESTABLE)


class Thresholds(NamedTuple):
    """What the rules compare with.

    Attributes
    ----------
    alpha
        Level of the corrected p value.
    min_stable_share
        Share of the sweeps that must agree in sign.
    assumed_d
        Size taken for a claim that gives none, in standard deviations between patients.
    half
        Part of the claimed size, or of the claimed value, that an interval must exclude or leave behind.
    """

    alpha: float
    min_stable_share: float
    assumed_d: float
    half: float


class Effect(NamedTuple):
    """A tested effect and the claim about it, in standard deviations between patients.

    Attributes
    ----------
    sign
        1 for a claimed increase, -1 for a decrease.
    estimate, low, high
        Effect with its interval; bounds may be infinite.
    p
        p value corrected for its family, NaN when there is none.
    correction
        What the p value is called.
    claimed
        Size claimed, without sign.
    detectable
        Effect that one test detects at the power set.
    stable
        Smallest share, over the kinds of sweep, of refits that agree in sign; NaN when no sweep was run.
    weakest
        What the refits of that sweep are, such as ``responder definitions``.
    size_known
        Whether the claim gives its size.
    """

    sign: int
    estimate: float
    low: float
    high: float
    p: float
    correction: str
    claimed: float
    detectable: float
    stable: float
    weakest: str
    size_known: bool


class Level(NamedTuple):
    """An endpoint and the value claimed for it, in one unit.

    Attributes
    ----------
    value
        Value claimed.
    published
        Interval published with it, or None.
    low, high
        Interval of this cohort; the upper bound of a time may be infinite.
    percent
        Whether the numbers are shares, to be written in percent.
    """

    value: float
    published: tuple[float, float] | None
    low: float
    high: float
    percent: bool


def judge_effect(effect: Effect, limits: Thresholds) -> tuple[str, str]:
    """Give the verdict on a tested effect, and the number that decided.

    Parameters
    ----------
    effect
        The effect and the claim.
    limits
        Thresholds of the rules.

    Returns
    -------
    verdict : str
        One of `CLAIM_VERDICTS` but ``not testable here``.
    reason : str
        One sentence.

    Notes
    -----
    The first rule that holds decides:

    1. ``replicates``: the claimed sign, corrected p below `alpha`, and the same sign in at least `min_stable_share` of
       each sweep (references, labels, leave-one-out, responder definitions). Without any sweep nothing is known of
       stability, and the claim does not replicate.
    2. ``contradicted``: the opposite sign, corrected p below `alpha`.
    3. ``not supported``: the whole interval lies short of half the claimed effect, counted in the claimed direction.
    4. ``same direction but underpowered``: the claimed sign, an interval that holds 0, and a claimed effect smaller
       than the detectable one.
    5. ``inconclusive``: anything else.

    A claim that gives no size is taken as `assumed_d` standard deviations in rules 3 and 4. Rule 3 comes before rule 4
    as what the data exclude weighs more than what they were expected to detect.
    """
    towards = effect.sign * effect.estimate
    significant = effect.p < limits.alpha
    if towards > 0 and significant and effect.stable >= limits.min_stable_share:
        share = f"at least {_percent(effect.stable)}" if effect.stable < 1 else _percent(1)
        return REPLICATES, f"{_tested(effect, limits)}, and the sign holds in {share} of each sweep."
    if towards < 0 and significant:
        return CONTRADICTED, f"The effect is {_sd(effect.estimate)}, against the claim; {_tested(effect, limits)}."
    reach = effect.high if effect.sign > 0 else -effect.low
    if reach < limits.half * effect.claimed:
        end = _sd(effect.sign * reach)
        return NOT_SUPPORTED, f"The interval ends at {end}, short of {_part(effect, limits)}."
    if towards > 0 and effect.low <= 0 <= effect.high and effect.claimed < effect.detectable:
        size, detectable = _size(effect), format_number(effect.detectable).removeprefix("+")
        return UNDERPOWERED, f"The smallest detectable effect is {detectable} SD, more than {size}."
    return INCONCLUSIVE, _undecided(effect, limits)


def judge_level(level: Level, limits: Thresholds) -> tuple[str, str]:
    """Give the verdict on the value of an endpoint, and the number that decided.

    Parameters
    ----------
    level
        The endpoint and the claim.
    limits
        Thresholds of the rules; ``half`` alone is used.

    Returns
    -------
    verdict : str
        One of `CLAIM_VERDICTS` but ``same direction but underpowered`` and ``not testable here``.
    reason : str
        One sentence.

    Notes
    -----
    A value has no direction and is not tested. The first rule that holds decides:

    1. ``contradicted``: the interval lies beyond the whole published interval. Without a published interval the
       uncertainty of the claim is not known, and nothing is contradicted.
    2. ``not supported``: the interval excludes the claimed value.
    3. ``inconclusive``: the interval holds the claimed value and half of it too, so it could not tell them apart.
    4. ``replicates``: the interval holds the claimed value and excludes half of it.
    """
    interval = f"{_value(level.low, level)} to {_value(level.high, level)}"
    half = "half of it" if limits.half == 0.5 else f"{limits.half:g} times that"
    claimed, part = _value(level.value, level), f"{half}, {_value(limits.half * level.value, level)}"
    if level.published and (level.low > level.published[1] or level.high < level.published[0]):
        bounds = " to ".join(_value(bound, level) for bound in level.published)
        return CONTRADICTED, f"The interval, {interval}, lies beyond the published one, {bounds}."
    if not level.low <= level.value <= level.high:
        return NOT_SUPPORTED, f"The interval, {interval}, excludes the claimed {claimed}."
    if level.low <= limits.half * level.value:
        return INCONCLUSIVE, f"The interval, {interval}, holds the claimed {claimed}, and also {part}."
    return REPLICATES, f"The interval, {interval}, holds the claimed {claimed}, and excludes {part}."


def why_untested(row: Mapping[str, Any]) -> str:
    """Say why a row of a contrasts table was not tested.

    Parameters
    ----------
    row
        ``status`` and ``note``; of the remarks on a row that is too sparse, the one that counts its cells is told.

    Returns
    -------
    str
        Such as ``too sparse: fewer than 20 cells in 11 of 34 samples``.
    """
    status = str(row["status"]).replace("_", " ")
    remarks = [] if not isinstance(row["note"], str) else [part for part in row["note"].split("; ") if part]
    counted = [part for part in remarks if part.startswith("fewer than")]
    told = counted if row["status"] == "too_sparse" and counted else remarks
    return f"{status}: {'; '.join(told)}" if told else status


def _undecided(effect: Effect, limits: Thresholds) -> str:
    """Say what kept an effect from every other verdict."""
    if effect.sign * effect.estimate <= 0:
        side = "points the other way" if effect.estimate else "is 0"
        return f"The estimate {side}, but the interval does not exclude {_part(effect, limits)}."
    if effect.p < limits.alpha:
        if math.isnan(effect.stable):
            return f"{_tested(effect, limits)}, but no sweep tells whether the sign is stable."
        share = f"only {_percent(effect.stable)} of the {effect.weakest}"
        return f"{_tested(effect, limits)}, but the sign holds in {share}, not {_percent(limits.min_stable_share)}."
    if math.isnan(effect.p):
        return "There is no p value corrected for a family."
    if effect.low <= 0 <= effect.high:
        detectable = format_number(effect.detectable).removeprefix("+")
        return f"The interval holds 0, though {_size(effect)}, is not below the detectable {detectable} SD."
    return f"The interval excludes 0, but {_tested(effect, limits)}."


def _tested(effect: Effect, limits: Thresholds) -> str:
    side = "below" if effect.p < limits.alpha else "not below"
    return f"{effect.correction} = {format_p(effect.p)} is {side} {limits.alpha:g}".replace("= <", "<")


def _size(effect: Effect) -> str:
    source = "claimed" if effect.size_known else "assumed (none published)"
    return f"the {format_number(effect.claimed).removeprefix('+')} SD {source}"


def _part(effect: Effect, limits: Thresholds) -> str:
    half = "half" if limits.half == 0.5 else f"{limits.half:g} times"
    return f"{_sd(effect.sign * limits.half * effect.claimed)}, {half} {_size(effect)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _sd(value: float) -> str:
    return f"{format_number(value)} SD"


def _value(value: float, level: Level) -> str:
    if level.percent:
        return f"{100 * value:.1f} %"
    return "no bound" if math.isinf(value) else f"{value:.1f}"
