"""Matches by chance: standardised rates, and intervals held against literal draws."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.chance_matches import (
    LEAST_MATCHES,
    Background,
    compare_with_chance,
    pooled_expectation,
    scaled_expectation,
)


def receptors(rng, number):
    return pd.DataFrame(
        {
            "v_call": rng.choice(["V1", "V2", "V3"], number, p=[0.7, 0.25, 0.05]),
            "j_call": rng.choice(["J1", "J2"], number),
            "length": rng.choice([12, 13, 14], number),
        }
    )


def hits_of(table, rng, rates):
    """Match receptors at a rate given by their V gene."""
    matched = rng.random(len(table)) < table["v_call"].map(rates)
    return pd.DataFrame({"receptor": table.index[matched], "label": 0})


def test_expected_is_the_rate_of_each_stratum_times_the_receptors_in_it():
    rng = np.random.default_rng(0)
    drawn, own = receptors(rng, 5_000), receptors(rng, 300)
    hits = hits_of(drawn, rng, {"V1": 0.01, "V2": 0.1, "V3": 0.3})
    found = Background(drawn, hits, min_stratum=30).expect(own).loc[0]
    matched = drawn.index.isin(hits["receptor"])
    expected = variance = 0.0
    for keys, group in own.groupby(["v_call", "j_call", "length"]):
        here = (drawn[["v_call", "j_call", "length"]] == list(keys)).all(axis=1).to_numpy()
        # All strata of this example are thick enough but, for V3, perhaps some.
        assert here.sum() >= 30
        weight = len(group) / here.sum()
        expected += weight * matched[here].sum()
        variance += weight**2 * matched[here].sum()
    assert found["expected"] == pytest.approx(expected)
    assert found["variance"] == pytest.approx(variance)


def test_thin_strata_give_way_to_coarser_ones():
    drawn = pd.DataFrame({"v_call": ["V1"] * 9 + ["V2"], "j_call": "J1", "length": 12})
    hits = pd.DataFrame({"receptor": [0, 9], "label": "x"})
    own = pd.DataFrame({"v_call": ["V2", "V9"], "j_call": ["J1", "J9"], "length": [12, 40]})
    background = Background(drawn, hits, min_stratum=5)
    # V2 is too thin and stands for J1 and length 12; a length that nobody has stands for all.
    assert background.expect(own.iloc[:1])["expected"].to_dict() == {"x": pytest.approx(0.2)}
    assert background.expect(own.iloc[1:])["expected"].to_dict() == {"x": pytest.approx(0.2)}
    assert background.expect(pd.DataFrame({"v_call": ["V1"], "j_call": ["J1"], "length": [12]})).loc[
        "x", "expected"
    ] == pytest.approx(1 / 9)


def test_other_patients_give_their_rate():
    found = pooled_expectation(100, 400, pd.Series({0: 8.0, 1: 0.0}))
    assert found["expected"].to_dict() == {0: 2.0, 1: 0.0}
    assert found["variance"].to_dict() == {0: 0.5, 1: 0.0}


def test_matches_of_other_species_scale_what_is_expected():
    chance = pd.DataFrame({"expected": [10.0, 4.0, 6.0], "variance": [1.0, 0.4, 0.6]})
    observed = pd.Series([35, 5, 30])
    rivals = pd.Series([0, 1, 2])
    found = scaled_expectation(chance, observed, rivals, every=0)
    assert found["expected"].tolist()[1:] == pytest.approx([4 * 30 / 6, 6 * 5 / 4])
    assert np.isnan(found["expected"][0])
    relative = 1 / 30 + 0.4 / 16 + 0.6 / 36
    assert found["variance"][1] == pytest.approx(20.0**2 * relative)


def test_intervals_are_those_of_literal_draws():
    rng = np.random.default_rng(3)
    clonotypes, size, matched = 4_000, 50_000, 600
    weight = clonotypes / size
    told = compare_with_chance(
        np.array([60]), np.array([weight * matched]), np.array([weight**2 * matched]), clonotypes, draws=20_000, rng=rng
    )
    background = rng.binomial(size, matched / size, 20_000) / size
    literal = np.quantile(rng.binomial(clonotypes, background), [0.025, 0.975])
    assert told["expected_low"][0] == pytest.approx(literal[0], abs=1)
    assert told["expected_high"][0] == pytest.approx(literal[1], abs=1)
    assert told["ratio"][0] == pytest.approx(60 / 48)
    assert told["excess"][0] == pytest.approx(12 / clonotypes)
    assert told["ratio_low"][0] < 60 / 48
    assert told["ratio_high"][0] > 60 / 48
    # Sign and ratio tell the same: the interval of the excess holds 0 where that of the ratio holds 1.
    assert (told["excess_low"][0] < 0) == (told["ratio_low"][0] < 1)


def test_a_rate_that_rests_on_few_receptors_is_not_told():
    rng = np.random.default_rng(0)
    expected = np.array([LEAST_MATCHES - 1.0, LEAST_MATCHES, 0.0, np.nan])
    told = compare_with_chance(np.array([3, 3, 3, 3]), expected, expected, 1_000, draws=200, rng=rng)
    assert np.isfinite(told["ratio"]).tolist() == [False, True, False, False]
    assert np.isfinite(told["expected_high"]).tolist() == [False, True, False, False]
