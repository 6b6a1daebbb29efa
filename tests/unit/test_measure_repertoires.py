from math import comb

import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.measure_repertoires import DEPTH_COLUMNS, METRIC_COLUMNS, measure_repertoires, standardise
from immune_landscape.repertoire_metrics import METRICS, diversity
from immune_landscape.sample_coverage import coverage_at
from immune_landscape.schemas import load_schema
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = {
    "draws": 100,
    "min_templates": 60,
    "equal": "depth",
    "compared_metrics": ["clonality", "homeo_hyperexpanded"],
}
UNEVEN = [60, 24, 16, 10, 6, 4, 4] + [2] * 58


def design_of(*samples):
    rows = [(sample, sample[0], f"v{sample[1:]}", "blood", "responder") for sample in samples]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])


def measure(seed=0, settings=SETTINGS, **samples):
    found = ((name, np.array(given, dtype=int)) for name, given in samples.items())
    return measure_repertoires(found, design_of(*samples), seed, **settings)


def values_of(metrics, sample, *, standardised, column="value"):
    rows = metrics[(metrics["sample"] == sample) & (metrics["standardised"] == standardised)]
    return rows.set_index("metric")[column]


def test_tables_have_a_row_per_sample_and_metric():
    metrics, depths, values = measure(a1=UNEVEN, a2=[3] * 40)
    assert list(metrics.columns) == METRIC_COLUMNS
    assert list(depths.columns) == DEPTH_COLUMNS
    assert list(values.columns) == VALUE_COLUMNS
    assert len(metrics) == 2 * 2 * len(METRICS)
    assert metrics[["patient", "visit", "tissue", "response"]].iloc[0].tolist() == ["a", "v1", "blood", "responder"]
    raw = values_of(metrics, "a1", standardised=False)
    assert raw.to_dict() == pytest.approx(diversity(np.array(UNEVEN)), nan_ok=True)


def test_standardised_richness_and_pairs_equal_the_exact_expectation():
    settings = {**SETTINGS, "draws": 4000}
    metrics, _, _ = measure(settings=settings, a1=UNEVEN, a2=[1] * 80)
    found, total = values_of(metrics, "a1", standardised=True), sum(UNEVEN)
    assert (values_of(metrics, "a1", standardised=True, column="depth") == 80).all()
    richness = sum(1 - comb(total - size, 80) / comb(total, 80) for size in UNEVEN)
    assert found["hill_0"] == pytest.approx(richness, rel=0.01)
    pairs = sum(size * (size - 1) for size in UNEVEN) / (total * (total - 1))
    assert found["gini_simpson"] == pytest.approx((1 - 1 / 80) * (1 - pairs), rel=0.005)


def test_the_smallest_sample_is_taken_whole_and_is_no_surer_than_a_deep_one():
    metrics, depths, _ = measure(a1=UNEVEN, a2=[3] * 40)
    assert depths.set_index("sample")["templates"].to_dict() == {"a1": 240, "a2": 120}
    assert (depths["depth"] == 120).all()
    drawn = metrics[(metrics["sample"] == "a2") & metrics["standardised"]].set_index("metric")
    raw = values_of(metrics, "a2", standardised=False)
    for metric in ("hill_0", "clonality", "gini_simpson", "hill_1"):
        assert drawn.loc[metric, "value"] == raw[metric]
        assert drawn.loc[metric, "low"] < drawn.loc[metric, "high"]
    wide = metrics[(metrics["sample"] == "a1") & metrics["standardised"]].set_index("metric")
    assert wide.loc["hill_0", "low"] < wide.loc["hill_0", "value"]
    assert wide.loc["hill_0", "value"] < wide.loc["hill_0", "high"]


def test_an_interval_is_as_wide_as_fresh_samples_spread():
    """The mean of depth templates of a sample of n has depth / n of the variance of a fresh sample of that depth."""
    rng = np.random.default_rng(3)
    share = (np.arange(3_000) + 2.0) ** -1.0
    share, depth, at = share / share.sum(), 2_000, list(METRICS).index("hill_1")
    fresh = np.std([diversity(rng.multinomial(depth, share))["hill_1"] for _ in range(400)])
    for total in (depth, 4 * depth):
        counts = rng.multinomial(total, share)
        counts = np.sort(counts[counts > 0])[::-1]
        _, low, high = standardise(counts, depth, 400, rng)
        assert (high - low)[at] / 3.92 == pytest.approx(fresh * np.sqrt(depth / total), rel=0.15)


def test_draws_made_in_parts_are_as_many(monkeypatch):
    monkeypatch.setattr("immune_landscape.measure_repertoires._HELD", 7 * len(UNEVEN))
    settings = {**SETTINGS, "draws": 500}
    found = values_of(measure(settings=settings, a1=UNEVEN, a2=[1] * 80)[0], "a1", standardised=True)
    richness = sum(1 - comb(sum(UNEVEN) - size, 80) / comb(sum(UNEVEN), 80) for size in UNEVEN)
    assert found["hill_0"] == pytest.approx(richness, rel=0.02)


def test_intervals_stay_where_a_metric_can_be():
    metrics, _, _ = measure(a1=[100, 1, 1], a2=[50, 49, 1])
    drawn = metrics[metrics["standardised"]]
    assert (drawn["low"].dropna() >= 0).all()
    shares = drawn[drawn["unit"].str.startswith(("fraction", "index"))]
    assert (shares["high"].dropna() <= 1).all()


def test_depth_standardisation_removes_what_depth_alone_makes():
    """One repertoire sequenced at 100 % down to 1 %: standardised values stay, raw ones move."""
    rng = np.random.default_rng(5)
    share = (np.arange(20_000) + 1.0) ** -0.7
    whole = rng.multinomial(400_000, share / share.sum())
    samples = {
        f"a{percent}": rng.multivariate_hypergeometric(whole, 4_000 * percent).tolist() for percent in (1, 10, 100)
    }
    metrics, _, _ = measure(settings={**SETTINGS, "min_templates": 4_000}, **samples)
    for metric in ("clonality", "homeo_large", "hill_0", "hill_1"):
        raw = metrics[(metrics["metric"] == metric) & ~metrics["standardised"]]["value"]
        drawn = metrics[(metrics["metric"] == metric) & metrics["standardised"]]
        thin = drawn[drawn["sample"] == "a1"].iloc[0]
        moved = drawn["value"].max() - drawn["value"].min()
        assert moved < thin["high"] - thin["low"]
        assert raw.max() - raw.min() > moved


def test_small_sample_has_its_depth_and_no_value_and_does_not_set_the_depth():
    metrics, depths, values = measure(a1=UNEVEN, a2=[1] * 59)
    by_sample = depths.set_index("sample")
    assert by_sample["measured"].to_dict() == {"a1": True, "a2": False}
    assert by_sample.loc["a1", "depth"] == sum(UNEVEN)
    assert by_sample.loc["a2", "templates"] == 59
    assert by_sample.loc[["a2"], "depth"].isna().all()
    assert metrics.loc[metrics["sample"] == "a2", "value"].isna().all()
    assert values.loc[values["sample"] == "a2", "value"].isna().all()


def test_no_sample_deep_enough_gives_missing_values():
    metrics, depths, values = measure(a1=[1] * 10)
    assert metrics["value"].isna().all()
    assert depths["depth"].isna().all()
    assert values["value"].isna().all()
    empty = measure_repertoires(iter(()), design_of("a1"), 0, **SETTINGS)
    assert [list(table.columns) for table in empty] == [METRIC_COLUMNS, DEPTH_COLUMNS, VALUE_COLUMNS]


def test_a_sample_without_any_clonotype_is_listed_without_a_value():
    design = design_of("a1", "a2", "a3").assign(bulk_tcr=["x", "y", ""])
    metrics, depths, _ = measure_repertoires([("a1", np.array(UNEVEN))], design, 0, **SETTINGS)
    assert depths["sample"].tolist() == ["a1", "a2"]
    assert depths.loc[1, ["clonotypes", "templates"]].tolist() == [0, 0]
    assert metrics.loc[metrics["sample"] == "a2", "value"].isna().all()
    assert metrics.loc[metrics["sample"] == "a1", "value"].notna().any()


def test_equal_coverage_brings_every_sample_to_the_least_complete_one():
    rng = np.random.default_rng(2)
    share = (np.arange(3_000) + 1.0) ** -0.8
    samples = {"a1": rng.multinomial(4_000, share / share.sum()), "a2": rng.multinomial(20_000, np.full(900, 1 / 900))}
    settings = {**SETTINGS, "equal": "coverage"}
    metrics, depths, _ = measure(settings=settings, **{name: each[each > 0].tolist() for name, each in samples.items()})
    table = depths.set_index("sample")
    assert table["common_coverage"].tolist() == [table["coverage"].min()] * 2
    assert table.loc["a1", "depth"] == 4_000
    depth = int(table.loc["a2", "depth"])
    assert depth < 20_000
    expected = coverage_at(samples["a2"], depth)
    assert expected == pytest.approx(table["common_coverage"].iloc[0], abs=1e-3)
    assert (values_of(metrics, "a2", standardised=True, column="depth") == depth).all()


def test_eighty_singletons_have_no_large_or_hyperexpanded_space():
    settings = {**SETTINGS, "compared_metrics": ["homeo_large", "homeo_hyperexpanded"]}
    metrics, _, values = measure(settings=settings, a1=[1] * 80)
    for standardised in (False, True):
        found = values_of(metrics, "a1", standardised=standardised)
        assert found[["homeo_large", "homeo_hyperexpanded", "homeo_large_screpertoire"]].isna().all()
    assert values["value"].isna().all()


def test_values_are_the_standardised_metrics_asked_for():
    metrics, _, values = measure(a1=UNEVEN, a2=[3] * 40)
    assert values["feature"].drop_duplicates().tolist() == SETTINGS["compared_metrics"]
    assert set(values["parent"]) == {"all"}
    for row in values.itertuples():
        standardised = metrics[metrics["standardised"] & (metrics["metric"] == row.feature)].set_index("sample")
        expected = standardised.loc[row.sample, ["value", "low", "high"]].tolist()
        assert [row.value, row.low, row.high] == pytest.approx(expected, nan_ok=True)
    assert values.loc[values["feature"] == "clonality", "value"].notna().all()


def test_draws_depend_on_the_seed_and_neither_on_other_samples_nor_on_the_order_of_rows():
    first = measure(a1=UNEVEN, a2=[3] * 40)[0]
    again = measure(b1=[3] * 50, a2=[3] * 40, a1=UNEVEN[::-1])[0]
    other = measure(seed=1, a1=UNEVEN, a2=[3] * 40)[0]
    of_a1 = [table[table["sample"] == "a1"].reset_index(drop=True) for table in (first, again, other)]
    pd.testing.assert_frame_equal(of_a1[0], of_a1[1])
    assert not of_a1[0].equals(of_a1[2])


def test_a_sample_that_the_design_lacks_is_named():
    with pytest.raises(InputError, match="samples that the design lacks: a9"):
        measure_repertoires(iter([("a9", np.array(UNEVEN))]), design_of("a1"), 0, **SETTINGS)


def test_every_metric_can_be_chosen():
    chosen = load_schema("settings/measure_repertoires")["properties"]["compared_metrics"]
    assert set(chosen["items"]["enum"]) == set(METRICS)
