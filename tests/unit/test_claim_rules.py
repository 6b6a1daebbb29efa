import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune_landscape.claim_rules import (
    CLAIM_VERDICTS,
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_SUPPORTED,
    NOT_TESTABLE,
    REPLICATES,
    UNDERPOWERED,
    Effect,
    Level,
    Thresholds,
    judge_effect,
    judge_level,
    why_untested,
)

LIMITS = Thresholds(alpha=0.05, min_stable_share=0.9, assumed_d=1.0, half=0.5)
NAN = math.nan


def effect(estimate, low, high, p, *, sign=1, claimed=1.0, detectable=1.47, stable=1.0, size_known=True):
    return Effect(sign, estimate, low, high, p, "p maxT", claimed, detectable, stable, "label runs", size_known)


@pytest.mark.parametrize(
    ("case", "verdict", "number"),
    [
        (effect(2.0, 1.0, 3.0, 0.01), REPLICATES, "0.010"),
        (effect(2.0, 1.0, 3.0, 0.01, stable=0.9), REPLICATES, "90 %"),
        (effect(2.0, 1.0, 3.0, 0.01, stable=0.89), INCONCLUSIVE, "89 %"),
        (effect(2.0, 1.0, 3.0, 0.01, stable=NAN), INCONCLUSIVE, "no sweep"),
        (effect(2.0, 0.1, 3.9, 0.05), INCONCLUSIVE, "0.050"),
        (effect(2.0, 1.0, 3.0, NAN), INCONCLUSIVE, "no p value"),
        # A small effect that replicates does so, though its interval excludes half the claimed size.
        (effect(0.3, 0.1, 0.5, 0.01, claimed=2.0), REPLICATES, "0.010"),
        (effect(-2.0, -3.0, -1.0, 0.01), CONTRADICTED, "−2.00 SD"),
        (effect(-2.0, -3.0, -1.0, 0.01, stable=NAN), CONTRADICTED, "0.010"),
        (effect(-0.5, -0.9, 0.1, 0.2), NOT_SUPPORTED, "+0.10 SD"),
        (effect(0.1, -0.2, 0.4, 0.6), NOT_SUPPORTED, "+0.50 SD"),
        (effect(0.5, -0.5, 1.5, 0.3), UNDERPOWERED, "1.47 SD"),
        (effect(0.5, -0.5, 1.5, 0.3, claimed=2.0), INCONCLUSIVE, "2.00 SD"),
        (effect(-0.5, -1.5, 0.5, 0.3), INCONCLUSIVE, "+0.50 SD"),
        (effect(0.0, -1.0, 1.0, 1.0), INCONCLUSIVE, "is 0"),
        (effect(0.5, -math.inf, math.inf, 0.3), UNDERPOWERED, "1.47 SD"),
    ],
)
def test_verdicts_and_the_number_that_decided(case, verdict, number):
    found, reason = judge_effect(case, LIMITS)
    assert found == verdict
    assert number in reason
    assert reason.endswith(".")


def test_a_size_that_was_assumed_is_said_to_be():
    assumed = judge_effect(effect(0.5, -0.5, 1.5, 0.3, size_known=False), LIMITS)[1]
    assert "assumed (none published)" in assumed
    assert "1.00 SD claimed" in judge_effect(effect(0.5, -0.5, 1.5, 0.3), LIMITS)[1]


numbers = st.floats(-6, 6, allow_nan=False)
shares = st.one_of(st.just(NAN), st.floats(0, 1))
chances = st.one_of(st.just(NAN), st.floats(1e-5, 1))


@st.composite
def effects(draw):
    """Draw effects with intervals around them, bounds infinite at times."""
    estimate = draw(numbers)
    low = draw(st.one_of(st.just(-math.inf), st.floats(0, 5).map(lambda reach: estimate - reach)))
    high = draw(st.one_of(st.just(math.inf), st.floats(0, 5).map(lambda reach: estimate + reach)))
    return effect(
        estimate,
        low,
        high,
        draw(chances),
        sign=draw(st.sampled_from([1, -1])),
        claimed=draw(st.floats(0.05, 4)),
        detectable=draw(st.floats(0.1, 4)),
        stable=draw(shares),
        size_known=draw(st.booleans()),
    )


def conditions(case):
    """Restate the clauses of the standard, each by itself, in the claimed direction."""
    low, high = (case.low, case.high) if case.sign > 0 else (-case.high, -case.low)
    towards = case.estimate * case.sign
    significant = not math.isnan(case.p) and case.p < 0.05
    stable = not math.isnan(case.stable) and case.stable >= 0.9
    return {
        REPLICATES: towards > 0 and significant and stable,
        CONTRADICTED: towards < 0 and significant,
        NOT_SUPPORTED: high < case.claimed / 2,
        UNDERPOWERED: towards > 0 and low <= 0 <= high and case.claimed < case.detectable,
    }


@settings(max_examples=600, deadline=None)
@given(effects())
def test_rules_are_exhaustive_and_exclusive(case):
    verdict, reason = judge_effect(case, LIMITS)
    clauses = conditions(case)
    assert verdict in CLAIM_VERDICTS
    assert verdict != NOT_TESTABLE
    # The verdict is the first clause that holds, in the order of the standard; none holding is inconclusive.
    held = [name for name in (REPLICATES, CONTRADICTED, NOT_SUPPORTED, UNDERPOWERED) if clauses[name]]
    assert verdict == (held[0] if held else INCONCLUSIVE)
    assert not (clauses[REPLICATES] and clauses[CONTRADICTED])
    assert re.fullmatch(r"[A-Z|p].*\.", reason)
    assert not re.search(r"\bnan\b", reason)


@settings(max_examples=300, deadline=None)
@given(effects())
def test_a_claim_of_the_other_sign_on_mirrored_data_has_the_same_verdict(case):
    mirrored = case._replace(sign=-case.sign, estimate=-case.estimate, low=-case.high, high=-case.low)
    assert judge_effect(case, LIMITS)[0] == judge_effect(mirrored, LIMITS)[0]


@settings(max_examples=300, deadline=None)
@given(effects(), st.floats(0.5, 1))
def test_a_stricter_level_never_makes_a_claim_replicate(case, factor):
    strict = LIMITS._replace(alpha=0.05 * factor)
    if judge_effect(case, strict)[0] == REPLICATES:
        assert judge_effect(case, LIMITS)[0] == REPLICATES


LEVEL = Level(0.316, None, 0.2, 0.5, True)


@pytest.mark.parametrize(
    ("case", "verdict", "number"),
    [
        (LEVEL, REPLICATES, "31.6 %"),
        (LEVEL._replace(low=0.158), INCONCLUSIVE, "15.8 %"),
        (LEVEL._replace(low=0.4, high=0.6), NOT_SUPPORTED, "40.0 % to 60.0 %"),
        (LEVEL._replace(low=0.4, high=0.6, published=(0.1, 0.45)), NOT_SUPPORTED, "31.6 %"),
        (LEVEL._replace(low=0.4, high=0.6, published=(0.2, 0.39)), CONTRADICTED, "20.0 % to 39.0 %"),
        (Level(6.6, None, 4.0, math.inf, False), REPLICATES, "4.0 to no bound"),
        (Level(6.6, None, 8.0, math.inf, False), NOT_SUPPORTED, "8.0 to no bound"),
    ],
)
def test_levels(case, verdict, number):
    found, reason = judge_level(case, LIMITS)
    assert found == verdict
    assert number in reason


@settings(max_examples=300, deadline=None)
@given(st.floats(0.1, 20), st.floats(0, 30), st.floats(0, 30), st.one_of(st.none(), st.floats(0, 5)))
def test_a_level_has_one_verdict(value, low, reach, spread):
    published = None if spread is None else (max(value - spread, 0), value + spread)
    case = Level(value, published, low, low + reach, False)
    holds, far = low <= value <= low + reach, low > value / 2
    apart = published is not None and (low > published[1] or low + reach < published[0])
    expected = {REPLICATES: holds and far, INCONCLUSIVE: holds and not far}
    expected |= {CONTRADICTED: not holds and apart, NOT_SUPPORTED: not holds and not apart}
    assert [name for name, told in expected.items() if told] == [judge_level(case, LIMITS)[0]]


def test_why_a_row_was_not_tested():
    note = "fewer than 20 cells in 11 of 34 samples; batches differ"
    assert why_untested({"status": "too_sparse", "note": note}) == "too sparse: fewer than 20 cells in 11 of 34 samples"
    assert why_untested({"status": "not_testable", "note": "a; b"}) == "not testable: a; b"
    assert why_untested({"status": "not_testable", "note": NAN}) == "not testable"
