import numpy as np
import pandas as pd
import pytest

from immune_landscape.clone_sources import count_cells, label_clones
from immune_landscape.clone_tracking import SUMMARY_UNITS
from immune_landscape.errors import InputError
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.track_clones import CLONE_COLUMNS, LOG_UNIT, PAIR_COLUMNS, SUMMARY_COLUMNS, track_clones
from immune_landscape.value_tables import VALUE_COLUMNS

VISITS = ["before", "after", "later"]
SETTINGS = fill_defaults(load_schema("settings/track_clones"), {}) | {
    "min_total": {"bulk_tcr": 1000, "tcr": 50},
    "top_clones": 3,
}


def clones_of(counts):
    kept = np.flatnonzero(counts)
    names = [f"c{number}" for number in kept]
    return pd.DataFrame({"clonotype": names, "count": np.asarray(counts)[kept], "label": [f"L{n}" for n in names]})


def design_of(*samples):
    rows = [(sample, *sample.split("_"), "blood", "responder") for sample in samples]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])


def track(samples, settings=SETTINGS, seed=0, design=None):
    given = [(name, clones_of(counts)) for name, counts in samples.items()]
    return track_clones(given, design_of(*samples) if design is None else design, VISITS, "bulk_tcr", seed, **settings)


@pytest.fixture(scope="module")
def cohort():
    """Two patients sampled without any change, but for a clone of the first that grows tenfold."""
    rng = np.random.default_rng(0)
    samples = {}
    for patient, depths in (("a", (6_000, 9_000, 5_000)), ("b", (5_000, 12_000))):
        frequency = (np.arange(2_000) + 3.0) ** -0.9
        for visit, depth in zip(VISITS, depths, strict=False):
            level = frequency.copy()
            level[40] *= 10 if (patient, visit) == ("a", "after") else 1
            samples[f"{patient}_{visit}"] = rng.multinomial(depth, level / level.sum())
    return samples


@pytest.fixture(scope="module")
def tables(cohort):
    return track(cohort)


def test_tables_have_their_columns_and_one_pair_per_later_sample(tables):
    assert list(tables["clones"].columns) == CLONE_COLUMNS
    assert list(tables["pairs"].columns) == PAIR_COLUMNS
    assert list(tables["summary"].columns) == SUMMARY_COLUMNS
    assert list(tables["values"].columns) == VALUE_COLUMNS
    pairs = tables["pairs"]
    assert pairs["sample"].tolist() == ["a_after", "a_later", "b_after"]
    assert pairs["reference_sample"].tolist() == ["a_before", "a_before", "b_before"]
    assert (pairs["depth"] == 5_000).all()
    assert (pairs["estimated_from"] == "median of the cohort").all()
    assert (pairs["overdispersion"] == pairs["own_overdispersion"].median()).all()
    assert len(tables["summary"]) == 3 * 2 * len(SUMMARY_UNITS)


def test_the_clone_that_grew_is_found_and_no_other(tables, cohort):
    changed = tables["clones"][tables["clones"]["change"].isin(["expanded", "contracted"])]
    assert changed[["sample", "clonotype", "change"]].to_numpy().tolist() == [["a_after", "c40", "expanded"]]
    row = changed.iloc[0]
    assert (row["before"], row["after"]) == (cohort["a_before"][40], cohort["a_after"][40])
    assert row["share_after"] == pytest.approx(cohort["a_after"][40] / 9_000)
    assert row["label"] == "Lc40"
    assert row["rank_after"] == 1 + (cohort["a_after"] > row["after"]).sum()


def test_full_depth_summary_is_a_count_over_all_clones(tables, cohort):
    rows = tables["summary"][~tables["summary"]["standardised"]]
    found = rows[rows["sample"] == "b_after"].set_index("feature")
    before, after = cohort["b_before"], cohort["b_after"]
    assert found.loc["clones_new", "value"] == ((before == 0) & (after > 0)).sum()
    assert found.loc["share_persistent", "value"] == pytest.approx(after[before > 0].sum() / 12_000)
    assert found.loc["clones_tested", "value"] == (before + after >= 10).sum()
    assert found.loc["clones_tested", ["depth", "reference_depth"]].tolist() == [12_000, 5_000]


def test_compared_shares_do_not_follow_the_depth(tables):
    """Nothing but depth tells b_after from a_later; new clones are fewer where the reference is deeper."""
    summary = tables["summary"][tables["summary"]["feature"] == "share_new"].set_index(["sample", "standardised"])
    raw = [summary.loc[(name, False), "value"] for name in ("a_later", "b_after")]
    equal = [summary.loc[(name, True), "value"] for name in ("a_later", "b_after")]
    assert abs(equal[0] - equal[1]) < 0.02
    assert abs(equal[0] - equal[1]) < abs(raw[0] - raw[1])
    assert (summary.loc[("b_after", True), ["depth", "reference_depth"]] == 5_000).all()


def test_values_are_standardised_and_numbers_of_clones_logarithms(tables):
    values, summary = tables["values"], tables["summary"]
    assert values["feature"].drop_duplicates().tolist() == SETTINGS["compared_features"]
    assert not values.duplicated(["sample", "feature"]).any()
    standardised = summary[summary["standardised"]].set_index(["sample", "feature"])
    for row in values.itertuples():
        expected = standardised.loc[(row.sample, row.feature), ["value", "low", "high"]].to_numpy(dtype=float)
        if row.unit == LOG_UNIT:
            expected = np.log1p(expected)
        assert [row.value, row.low, row.high] == pytest.approx(expected)
    assert set(values.loc[values["feature"] == "clones_expanded", "unit"]) == {LOG_UNIT}


def test_draws_depend_on_the_seed_alone(tables, cohort):
    again, other = track(cohort), track(cohort, seed=1)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert not tables["values"].equals(other["values"])


def test_the_previous_visit_may_be_the_reference(cohort):
    pairs = track(cohort, SETTINGS | {"against": "previous"})["pairs"]
    assert pairs["reference_sample"].tolist() == ["a_before", "a_after", "b_before"]
    late = {name: counts for name, counts in cohort.items() if name != "a_before"}
    assert track(late)["pairs"]["sample"].tolist() == ["b_after"]
    assert track(late, SETTINGS | {"against": "previous"})["pairs"]["sample"].tolist() == ["a_later", "b_after"]


def test_a_sample_too_small_is_told_without_values_and_sets_no_depth(cohort):
    small = {**cohort, "b_after": cohort["b_after"] // 40}
    tables = track(small)
    pairs = tables["pairs"].set_index("sample")
    assert pairs["measured"].to_dict() == {"a_after": True, "a_later": True, "b_after": False}
    assert pairs.loc["a_after", "depth"] == 5_000
    assert pairs["depth"].isna().tolist() == [False, False, True]
    values = tables["values"]
    assert values.loc[values["sample"] == "b_after", "value"].isna().all()


def test_noise_of_few_clones_is_that_of_the_cohort_or_assumed(cohort):
    few = {"b_before": [900, 600], "b_after": [800, 900]}
    pairs = track({**{name: cohort[name] for name in ("a_before", "a_after")}, **few})["pairs"].set_index("sample")
    assert pairs.loc["b_after", "estimated_from"] == "median of the cohort"
    assert pairs["overdispersion"].tolist() == [pairs.loc["a_after", "own_overdispersion"]] * 2
    assert np.isnan(pairs.loc["b_after", "own_overdispersion"])
    alone = track(few)["pairs"].iloc[0]
    assert (alone["estimated_from"], alone["overdispersion"]) == ("assumed", 0.02)


def test_a_pair_may_stand_for_itself(cohort):
    pairs = track(cohort, SETTINGS | {"noise_from": "pair"})["pairs"]
    assert pairs["overdispersion"].tolist() == pairs["own_overdispersion"].tolist()
    assert (pairs["estimated_from"] == "own clones").all()


def test_faults_of_the_design_are_named(cohort):
    with pytest.raises(InputError, match="design lacks: b_before"):
        track(cohort, design=design_of("a_before", "a_after", "a_later"))
    twice = design_of(*cohort).assign(visit="before")
    with pytest.raises(InputError, match="patient a: a_before and a_after are of one visit"):
        track(cohort, design=twice)


def test_nothing_to_follow_gives_empty_tables(cohort):
    for samples in ({}, {"a_before": cohort["a_before"]}):
        tables = track(samples)
        assert all(table.empty for table in tables.values())
        assert list(tables["values"].columns) == VALUE_COLUMNS
        assert list(tables["clones"].columns) == CLONE_COLUMNS


def test_a_singleton_at_both_visits_is_persistent_and_not_tested():
    rows = [(f"{sample}:c{n}", sample, "a", "x", True) for sample in ("a_before", "a_after") for n in range(1)]
    table = pd.DataFrame(rows, columns=["cell", "sample", "patient", "clonotype", "has_receptor"])
    none = table.head(1).assign(cell="a_before:n", clonotype="", has_receptor=False)
    cells = pd.concat([table, none]).assign(
        vdj_junction_aa="CASSF", vdj_v_gene="TRBV9", vj_junction_aa="", vj_v_gene=""
    )
    counted = list(count_cells(cells))
    assert [(name, rows["count"].tolist(), rows["label"].tolist()) for name, rows in counted] == [
        ("a_before", [1], ["CASSF TRBV9"]),
        ("a_after", [1], ["CASSF TRBV9"]),
    ]
    tables = track_clones(counted, design_of("a_before", "a_after"), VISITS, "tcr", 0, **SETTINGS)
    assert tables["clones"][["presence", "change"]].to_numpy().tolist() == [["persistent", "untested"]]


def test_clones_without_a_beta_chain_are_labelled_by_their_alpha_chain():
    cells = pd.DataFrame({"sample": ["s"], "patient": ["a"], "clonotype": ["x"], "has_receptor": [True]})
    cells = cells.assign(vdj_junction_aa="", vdj_v_gene="", vj_junction_aa="CAVF", vj_v_gene="TRAV2")
    ((_, found),) = count_cells(cells)
    assert found["label"].tolist() == ["CAVF TRAV2"]
    bulk = pd.DataFrame({"clonotype": ["i"], "count": [3], "junction_aa": ["CASF"], "v_call": ["TRBV9"]})
    ((_, named),) = label_clones([("s", bulk)])
    assert named.to_numpy().tolist() == [["i", 3, "CASF TRBV9"]]


def test_every_number_of_the_summary_can_be_chosen():
    chosen = load_schema("settings/track_clones")["properties"]["compared_features"]
    assert set(chosen["items"]["enum"]) == set(SUMMARY_UNITS)
