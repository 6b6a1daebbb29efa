import math

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.gates import gate_slugs, parent_counts, summed_parents
from immune_landscape.measure_populations import measure_populations
from immune_landscape.store import read_table, write_table
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = {"pseudo_count": 0.5, "min_events": 20, "max_sparse_share": 0.3, "share_floor": 0.001}
COLUMNS = ["sample", "population", "parent", "count", "fraction"]


def sheet(*rows):
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"count": float, "fraction": float})


def design_of(*samples):
    return pd.DataFrame({"sample": list(samples), "patient": [f"P{i}" for i in range(len(samples))]})


def measured(populations, *samples, **changed):
    names = samples or tuple(dict.fromkeys(populations["sample"]))
    return measure_populations(populations, design_of(*names), **{**SETTINGS, **changed})


def value_of(table, feature, sample="a"):
    return table.set_index(["feature", "sample"]).loc[(feature, sample)]


NESTED = sheet(
    ("a", "all", "", 10_000, None),
    ("a", "CD3+", "", 6_000, None),
    ("a", "CD8+", "CD3+", 1_500, None),
    ("a", "Teff", "CD8+", 300, None),
)


def test_shares_are_taken_of_the_parent_listed():
    table = measured(NESTED)
    assert list(table.columns) == [*VALUE_COLUMNS, "note"]
    assert list(table["feature"]) == ["CD3+", "CD8+", "Teff"]
    assert list(table["parent"]) == ["all", "CD3pos", "CD8pos"]
    for feature, count, total in (("CD3+", 6_000, 10_000), ("CD8+", 1_500, 6_000), ("Teff", 300, 1_500)):
        assert value_of(table, feature)["value"] == pytest.approx(math.log((count + 0.5) / (total - count + 0.5)))
    assert set(table["unit"]) == {"log odds"}


def test_the_interval_is_that_of_counting_events():
    """The log odds of binomial draws lie within the interval of the expected count as often as it says."""
    row = value_of(measured(NESTED), "Teff")
    drawn = np.random.default_rng(3).binomial(1_500, 0.2, 20_000)
    inside = np.log((drawn + 0.5) / (1_500 - drawn + 0.5))
    share = ((inside > row["low"]) & (inside < row["high"])).mean()
    print(f"95 % interval of 300 of 1,500 events holds {share:.3f} of 20,000 draws")
    assert 0.94 < share < 0.96
    assert row["low"] < row["value"] < row["high"]


def test_a_parent_that_is_not_listed_is_the_sum_of_its_children():
    parts = sheet(
        ("a", "B", "", 100, None), ("a", "T", "", 300, None), ("b", "B", "", 50, None), ("b", "T", "", 50, None)
    )
    table = measured(parts)
    assert value_of(table, "B", "a")["value"] == pytest.approx(math.log(100.5 / 300.5))
    assert value_of(table, "B", "b")["value"] == 0
    assert summed_parents(parts) == {"all": ["B", "T"]}


def test_a_sum_with_a_part_left_out_is_not_made():
    parts = sheet(("a", "B", "", 100, None), ("a", "T", "", 300, None), ("b", "B", "", 50, None))
    table = measured(parts)
    assert np.isnan(value_of(table, "B", "b")["value"])
    assert np.isfinite(value_of(table, "B", "a")["value"])
    assert parent_counts(parts).tolist()[:2] == [400, 400]


def test_a_listed_parent_counts_as_listed_in_every_sample():
    """Sample b lacks the row of the parent: the sum of the children would be another denominator."""
    parts = sheet(("a", "T", "", 400, None), ("a", "CD4", "T", 100, None), ("b", "CD4", "T", 100, None))
    totals = parent_counts(parts)
    assert totals[1] == 400
    assert np.isnan(totals[2])


def test_counts_go_before_fractions_and_fractions_stand_in():
    parts = sheet(
        ("a", "T", "", 500, 0.9), ("a", "B", "", 500, 0.9), ("b", "T", "", None, 0.25), ("b", "B", "", None, 0.75)
    )
    table = measured(parts)
    assert value_of(table, "T", "a")["value"] == pytest.approx(0)
    assert value_of(table, "T", "b")["value"] == pytest.approx(math.log(1 / 3))
    assert np.isnan(value_of(table, "T", "b")["low"])


def test_fractions_at_the_ends_are_cut_off_at_the_floor():
    parts = sheet(("a", "x", "", None, 0.0), ("b", "x", "", None, 1.0), ("c", "x", "", None, 0.0002))
    values = measured(parts)["value"].tolist()
    floor = math.log(0.001 / 0.999)
    assert values == pytest.approx([floor, -floor, floor])


def test_zero_events_have_a_value():
    parts = sheet(*[(name, "rare", "", 0 if name == "a" else 40, None) for name in "abcd"])
    parts = pd.concat([parts, sheet(*[(name, "rest", "", 1_000, None) for name in "abcd"])], ignore_index=True)
    assert value_of(measured(parts), "rare")["value"] == pytest.approx(math.log(0.5 / 1_000.5))


@pytest.mark.parametrize(("few", "sparse"), [(3, False), (4, True)])
def test_a_population_with_few_events_in_too_many_samples_is_too_sparse(few, sparse):
    """Of ten samples three are 30 %, which passes; four do not."""
    names = "abcdefghij"
    parts = [(name, "rare", "", 19 if at < few else 20, None) for at, name in enumerate(names)]
    parts += [(name, "rest", "", 1_000, None) for name in names]
    table = measured(sheet(*parts))
    assert value_of(table, "rare", "j").isna()["value"] == sparse
    words = f"too sparse: fewer than 20 events in {few} of 10 samples" if sparse else ""
    assert set(table.loc[table["feature"] == "rare", "note"]) == {words}
    assert table.loc[table["feature"] == "rest", "value"].notna().all()


def test_a_parent_with_few_events_gives_no_share():
    parts = sheet(("a", "T", "", 19, None), ("a", "CD4", "T", 10, None), ("a", "rest", "", 900, None))
    assert np.isnan(value_of(measured(parts, max_sparse_share=1), "CD4")["value"])
    assert np.isfinite(value_of(measured(parts, max_sparse_share=1, min_events=0), "CD4")["value"])


def test_an_empty_parent_gives_no_share_whatever_the_floor():
    parts = sheet(("a", "T", "", 0, None), ("a", "CD4", "T", 0, None), ("a", "rest", "", 900, None))
    assert np.isnan(value_of(measured(parts, min_events=0), "CD4")["value"])


def test_rows_follow_the_sheet_and_the_design_and_other_samples_are_passed_over():
    parts = sheet(*[(name, gate, "", 100, None) for name in "ab" for gate in ("T", "B")])
    table = measured(parts, "b", "a", "c")
    assert table[["feature", "sample"]].to_numpy().tolist() == [["T", "b"], ["T", "a"], ["B", "b"], ["B", "a"]]
    assert measured(parts, "b")["sample"].tolist() == ["b", "b"]


@pytest.mark.parametrize("rows", [(), (("a", "7", "", 80, None), ("a", "1e5", "7", 20, None))])
def test_tables_between_rules_keep_empty_sheets_and_gates_that_look_like_numbers(tmp_path, rows):
    write_table(sheet(*rows).astype({"count": "Int64"}), tmp_path / "populations.tsv")
    table = measured(read_table(tmp_path / "populations.tsv"), "a", min_events=0)
    assert list(table.columns) == [*VALUE_COLUMNS, "note"]
    assert table[["parent", "feature"]].to_numpy().tolist() == ([["all", "7"], ["7", "1e5"]] if rows else [])
    assert table["value"].iloc[1:].tolist() == ([pytest.approx(math.log(20.5 / 60.5))] if rows else [])


def test_gates_that_differ_in_signs_keep_apart():
    slugs = gate_slugs(["all", "CD3+", "CD3-", "CD3", "CD3+CD56+", "+", "αβ"])
    assert slugs["all"] == "all"
    assert slugs["CD3+"] == "CD3pos"
    assert len(set(slugs.values())) == len(slugs)
    assert all(slug.replace("_", "").isalnum() for slug in slugs.values())


def test_a_gate_cannot_take_the_id_of_all_cells():
    assert gate_slugs(["(all)"]) == {"all": "all", "(all)": "all_2"}


def test_real_counts_keep_the_published_proportions():
    path = shared_data("sccomp_composition", "counts_by_sample_celltype.tsv")
    published = pd.read_csv(path, sep="\t")
    populations = published.rename(columns={"cell_group": "population"}).assign(parent="", fraction=np.nan)
    table = measured(populations[COLUMNS], max_sparse_share=1)
    joined = table.merge(published, left_on=["sample", "feature"], right_on=["sample", "cell_group"])
    share = 1 / (1 + np.exp(-joined["value"]))
    large = joined["count"] >= 200
    relative = (share / joined["proportion"] - 1)[large].abs().max()
    print(f"sccomp: {large.sum()} of {len(joined)} shares of 200 cells or more, off by {relative:.4f} at most")
    assert len(joined) == 720
    assert relative < 0.0025  # half an event of 200
    sparse = measured(populations[COLUMNS]).groupby("feature")["value"].agg(lambda values: values.isna().all())
    few = (published["count"] < 20).groupby(published["cell_group"]).mean() > 0.3
    assert sparse.to_dict() == few.to_dict()
    assert sparse.sum() == 9
