import claims as made
import numpy as np
import pytest
from claims import claim, claims_file, contrasts, endpoint, endpoints, row
from figure_checks import artists, check

from immune_landscape.claim_rules import CLAIM_VERDICTS
from immune_landscape.draw_claims import draw_claims
from immune_landscape.judge_claims import judge_claims
from immune_landscape.palette import CLAIM_VERDICTS as CLAIM_COLOURS
from immune_landscape.palette import luminance, text_on
from immune_landscape.store import read_table, write_table

STUDY = made.STUDY | {"power": 0.8, "simulated": True, "labels": {}}


def ledger_of(claims, *rows, ends=None):
    ends = endpoints(orr=(0.316, 0.126, 0.566, "share"), os=(12.0, 8.0, np.inf, "months")) if ends is None else ends
    return judge_claims([claims_file(*claims)], contrasts(*rows), ends, {}, made.STUDY, **made.SETTINGS)


def full_ledger():
    claims = [claim("a", size=1.5), *(claim(name) for name in "bcdef"), claim("g", direction="down")]
    ends = [endpoint("orr"), endpoint("os", 10.8, "months"), endpoint("pfs", 6.6, "months")]
    rows = [
        row("a", 2.0, 0.01),
        row("b", -2.0, 0.01),
        row("c", -0.7, 0.4),
        row("d", 0.4, 0.5),
        row("e", -0.4, 0.5, ci_low=-np.inf),
        row("f", status="too_sparse", note="fewer than 20 cells in 9 of 38 samples", effect=np.nan, ci_low=np.nan),
        row("g", -2.0, 0.01),
    ]
    return ledger_of([*claims, *ends], *rows)


def draw(ledger, show_reasons=True):
    return draw_claims(ledger, STUDY, show_reasons=show_reasons)


def test_every_claim_is_drawn_with_its_verdict_in_words():
    ledger = full_ledger()
    figure = draw(ledger)
    words = check(figure)
    assert set(ledger["verdict"]) == set(CLAIM_VERDICTS)
    assert len(artists(figure, "badge")) == len(ledger)
    assert all(label in words for label in ledger["label"])
    assert all(reason in words for reason in ledger["reason"])
    assert all(verdict in words for verdict in CLAIM_VERDICTS)
    assert "6 / 13" in words


def test_effects_are_drawn_in_standard_deviations_with_band_and_direction():
    ledger = full_ledger()
    figure = draw(ledger)
    drawn = [float(mark.get_xdata()[0]) for mark in artists(figure, "effect")]
    np.testing.assert_allclose(drawn, ledger["d"].dropna())
    bands = artists(figure, "mde")
    assert [band.get_width() / 2 for band in bands] == pytest.approx([1.47] * len(drawn))
    marks = artists(figure, "claimed")
    assert [mark.get_marker() for mark in marks] == [">"] * 6 + ["<"]
    # The size claimed is where it was published, at the edge otherwise.
    assert float(marks[0].get_xdata()[0]) == 1.5
    assert len(artists(figure, "arrow")) == 2


def test_endpoints_have_panels_of_their_own():
    figure = draw(full_ledger())
    assert [float(mark.get_xdata()[0]) for mark in artists(figure, "endpoint")] == pytest.approx([31.6, 12.0])
    assert [float(mark.get_xdata()[0]) for mark in artists(figure, "claimed_value")] == pytest.approx([31.6, 10.8])
    words = check(figure)
    assert "31.6 [12.6, 56.6] %" in words
    assert "12.0 [8.0, ∞] months" in words
    assert len([axes for axes in figure.axes if axes.axison]) == 3


def test_it_fits_a_page_across():
    width = draw(full_ledger()).get_size_inches()[0]
    assert width <= 11.69
    # 13 effects and 4 endpoints, as the reference paper claims.
    claims = [claim(name) for name in "abcdefghijklm"]
    ends = [endpoint("orr"), endpoint("dcr", 0.7), endpoint("pfs", 6.6, "months"), endpoint("os", 10.8, "months")]
    figure = draw(ledger_of([*claims, *ends], *(row(name, 2.0, 0.01) for name in "abcdefghijklm")))
    assert figure.get_size_inches()[1] <= 8.27
    check(figure)


def test_reasons_can_be_left_out():
    figure = draw(full_ledger(), show_reasons=False)
    assert not artists(figure, "reason")
    check(figure)


def test_works_from_the_file(tmp_path):
    write_table(full_ledger(), tmp_path / "claims.tsv")
    check(draw(read_table(tmp_path / "claims.tsv")))


@pytest.mark.parametrize(
    "claims", [[claim("a")], [endpoint("orr")], [endpoint("pfs", 6.6, "months")], [claim("z"), endpoint("dcr", 0.7)]]
)
def test_parts_alone(claims, tmp_path):
    ledger = ledger_of(claims, row("a", 0.4, 0.5))
    check(draw(ledger))
    write_table(ledger, tmp_path / "claims.tsv")
    check(draw(read_table(tmp_path / "claims.tsv")))


def test_no_claim_says_so():
    assert "No prior claim is declared" in check(draw(full_ledger().head(0)))


def test_every_verdict_has_a_colour_on_which_it_can_be_read():
    assert set(CLAIM_COLOURS) == set(CLAIM_VERDICTS)
    for colour in CLAIM_COLOURS.values():
        light, dark = sorted([luminance(colour), luminance(text_on(colour))], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_nothing_is_called_disproved():
    words = check(draw(full_ledger()))
    assert "not thereby false" in words
