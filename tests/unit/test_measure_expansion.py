from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.errors import InputError
from immune_landscape.measure_expansion import COLUMNS, DIVERSITY_METRICS, expanded_share, measure_expansion
from immune_landscape.measure_repertoires import standardise
from immune_landscape.repertoire_metrics import METRICS, diversity
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = {
    "draws": 200,
    "min_cells": 50,
    "min_subset_cells": 10,
    "expanded_from": 2,
    "t_cells_only": True,
    "compared_metrics": ["expanded_share", "clonality", "gini_simpson"],
    "compared_scopes": ["all"],
}
UNEVEN = [30, 12, 8, 5, 3, 2, 2] + [1] * 58


def clonotype_table(**samples):
    """Build the clonotype table of samples given as clone sizes; 0 stands for a barcode without receptor."""
    rows = []
    for sample, sizes in samples.items():
        for clone, size in enumerate(sizes):
            rows += [(sample, f"{sample[0]}-{clone + 1}", True)] * size or [(sample, "", False)]
    table = pd.DataFrame(rows, columns=["sample", "clonotype", "has_receptor"])
    table.index = [f"{sample}:{number}" for number, sample in enumerate(table["sample"])]
    return table.rename_axis("cell")


def design_table(*samples):
    rows = [(sample, sample[0], f"v{sample[1:]}", "blood", "responder") for sample in samples]
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])


def values_of(table, sample, *, standardised, scope="all", column="value"):
    rows = table[(table["sample"] == sample) & (table["scope"] == scope) & (table["standardised"] == standardised)]
    return rows.set_index("metric")[column]


def expected_richness(sizes, depth):
    total = sum(sizes)
    return sum(1 - comb(total - size, depth) / comb(total, depth) for size in sizes)


def expected_expanded(sizes, depth):
    """Mean share of drawn cells whose clone is drawn twice or more, hypergeometric clone by clone."""
    drawn = 0.0
    for size in sizes:
        counts = np.arange(2, min(size, depth) + 1)
        drawn += (counts * stats.hypergeom.pmf(counts, sum(sizes), size, depth)).sum()
    return drawn / depth


def test_raw_values_are_the_shared_metrics_and_the_counts():
    sizes = np.array(UNEVEN)
    table, _, _ = measure_expansion(clonotype_table(a1=UNEVEN), None, design_table("a1"), 0, **SETTINGS)
    found = values_of(table, "a1", standardised=False)
    assert found["receptor_cells"] == sizes.sum()
    assert found["clonotypes"] == found["hill_0"] == len(sizes)
    assert found["expanded_share"] == pytest.approx(sizes[sizes > 1].sum() / sizes.sum())
    shared = diversity(sizes)
    assert found[list(shared)].to_dict() == pytest.approx(shared, nan_ok=True)


def test_expanded_share_counts_cells_of_clones_at_least_that_large():
    assert expanded_share(np.array([4, 3, 2, 1]), 3) == 0.7
    assert np.isnan(expanded_share(np.array([0]), 2))


def test_standardised_values_equal_the_exact_expectation():
    data = clonotype_table(a1=UNEVEN, a2=[1] * 60)
    settings = {**SETTINGS, "draws": 4000}
    table, _, _ = measure_expansion(data, None, design_table("a1", "a2"), 0, **settings)
    found = values_of(table, "a1", standardised=True)
    assert (values_of(table, "a1", standardised=True, column="depth") == 60).all()
    assert found["hill_0"] == pytest.approx(expected_richness(UNEVEN, 60), rel=0.01)
    assert found["expanded_share"] == pytest.approx(expected_expanded(UNEVEN, 60), rel=0.01)
    total = sum(UNEVEN)
    identical_pairs = sum(size * (size - 1) for size in UNEVEN) / (total * (total - 1))
    assert found["gini_simpson"] == pytest.approx((1 - 1 / 60) * (1 - identical_pairs), rel=0.005)


def test_the_interval_encloses_the_value_and_is_open_at_full_depth():
    data = clonotype_table(a1=UNEVEN, a2=[3] * 20)
    table, _, _ = measure_expansion(data, None, design_table("a1", "a2"), 0, **SETTINGS)
    drawn = table[table["standardised"] & table["value"].notna()]
    assert len(drawn) > 2 * 8
    assert (drawn["low"] <= drawn["value"] + 1e-12).all()
    assert (drawn["value"] <= drawn["high"] + 1e-12).all()
    full = table[table["standardised"] & (table["sample"] == "a2")].set_index("metric")
    raw = values_of(table, "a2", standardised=False)
    for metric in DIVERSITY_METRICS:
        assert full.loc[metric, "value"] == pytest.approx(raw[metric], nan_ok=True)
    # All its cells are counted, and yet another tube of that blood would hold others.
    for sample in ("a1", "a2"):
        wide = drawn[drawn["sample"] == sample].set_index("metric")
        assert (wide.loc["hill_0", "high"] - wide.loc["hill_0", "low"]) > 1


def test_intervals_are_those_of_bulk_repertoires_of_the_same_counts():
    data = clonotype_table(a1=UNEVEN * 3, a2=UNEVEN)
    settings = {**SETTINGS, "draws": 400}
    table, _, _ = measure_expansion(data, None, design_table("a1", "a2"), 0, **settings)
    for sample, counts in (("a1", UNEVEN * 3), ("a2", UNEVEN)):
        own = table[table["standardised"] & (table["sample"] == sample)].set_index("metric")
        value, low, high = standardise(np.array(counts), sum(UNEVEN), 400, np.random.default_rng(1))
        place = METRICS.index("hill_1")
        assert own.loc["hill_1", "value"] == pytest.approx(value[place], rel=0.02)
        width = own.loc["hill_1", "high"] - own.loc["hill_1", "low"]
        assert width == pytest.approx(high[place] - low[place], rel=0.2)


def test_depth_standardisation_removes_what_depth_alone_makes():
    deep = UNEVEN * 5
    data = clonotype_table(a1=deep, a2=UNEVEN)
    table, _, _ = measure_expansion(data, None, design_table("a1", "a2"), 0, **SETTINGS)
    raw = [values_of(table, sample, standardised=False)["hill_0"] for sample in ("a1", "a2")]
    assert raw[0] == 5 * raw[1]
    depths = table.loc[table["standardised"], "depth"].unique()
    assert depths.tolist() == [sum(UNEVEN)]
    found = values_of(table, "a1", standardised=True)["hill_0"]
    assert found == pytest.approx(expected_richness(deep, sum(UNEVEN)), rel=0.02)


def test_eighty_singletons_have_no_expansion():
    table, _, _ = measure_expansion(clonotype_table(a1=[1] * 80), None, design_table("a1"), 0, **SETTINGS)
    for standardised in (False, True):
        found = values_of(table, "a1", standardised=standardised)
        assert found["expanded_share"] == 0
        assert found["clonality"] == pytest.approx(0, abs=1e-12)
        assert found["hill_0"] == 80
        assert found[["homeo_large", "homeo_hyperexpanded", "homeo_large_screpertoire"]].isna().all()
        assert found["homeo_hyperexpanded_screpertoire"] == 0


def test_single_clonotype_has_no_evenness():
    table, _, _ = measure_expansion(clonotype_table(a1=[80]), None, design_table("a1"), 0, **SETTINGS)
    assert np.isnan(values_of(table, "a1", standardised=True)["clonality"])


def test_small_sample_keeps_its_counts_and_does_not_set_the_depth():
    data = clonotype_table(a1=UNEVEN, a2=[2] * 5 + [1] * 39)
    table, _, _ = measure_expansion(data, None, design_table("a1", "a2"), 0, **SETTINGS)
    small = table[table["sample"] == "a2"]
    counts = small[small["metric"].isin(["receptor_cells", "clonotypes"])].set_index("metric")["value"]
    assert counts.to_dict() == {"receptor_cells": 49, "clonotypes": 44}
    assert small.loc[small["metric"].isin(DIVERSITY_METRICS), "value"].isna().all()
    assert (small["n_cells"] == 49).all()
    assert (table.loc[table["standardised"], "depth"] == sum(UNEVEN)).all()


def test_no_sample_large_enough_gives_missing_values():
    data = clonotype_table(a1=[1, 1, 0])
    table, _, _ = measure_expansion(data, None, design_table("a1"), 0, **SETTINGS)
    assert values_of(table, "a1", standardised=False)["receptor_cells"] == 2
    assert values_of(table, "a1", standardised=True).isna().all()
    assert table.loc[table["standardised"], "depth"].isna().all()


def test_cells_without_receptor_are_not_singletons():
    with_bare = measure_expansion(clonotype_table(a1=[*UNEVEN, 0, 0]), None, design_table("a1"), 0, **SETTINGS)[0]
    without = measure_expansion(clonotype_table(a1=UNEVEN), None, design_table("a1"), 0, **SETTINGS)[0]
    pd.testing.assert_frame_equal(with_bare, without)


def test_draws_depend_on_the_seed_and_not_on_other_samples():
    alone = clonotype_table(a1=UNEVEN, b1=[2] * 30)
    more = clonotype_table(c1=UNEVEN, b1=[2] * 30, a1=UNEVEN)
    first = measure_expansion(alone, None, design_table("a1", "b1"), 0, **SETTINGS)[0]
    again = measure_expansion(more, None, design_table("a1", "b1", "c1"), 0, **SETTINGS)[0]
    other = measure_expansion(alone, None, design_table("a1", "b1"), 1, **SETTINGS)[0]
    of_a1 = [table[table["sample"] == "a1"].reset_index(drop=True) for table in (first, again, other)]
    pd.testing.assert_frame_equal(of_a1[0], of_a1[1])
    assert not of_a1[0].equals(of_a1[2])


def annotated(clonotypes, lineages, subsets):
    cells = pd.DataFrame({"sample": clonotypes["sample"], "lineage": lineages, "subset": subsets})
    cells["branch"] = np.where(cells["lineage"] == "t", "t", "other")
    return cells


def two_subset_cohort(*expanded):
    clonotypes = clonotype_table(a1=[*(expanded or [40])] + [1] * 60 + [0] * 20)
    lineages = ["t"] * 100 + ["b"] * 20
    subsets = ["cd8_teff"] * 50 + ["cd4_naive"] * 50 + ["b"] * 20
    return clonotypes, annotated(clonotypes, lineages, subsets)


def test_subset_shares_and_detection():
    clonotypes, cells = two_subset_cohort()
    _, found, _ = measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS)
    detection = found[found["metric"] == "receptor_detection"].set_index("scope")
    assert detection["value"].to_dict() == {"b": 0, "cd4_naive": 1, "cd8_teff": 1, "t": 1}
    assert detection["n_cells"].to_dict() == {"b": 20, "cd4_naive": 50, "cd8_teff": 50, "t": 100}
    shares = found[(found["metric"] == "expanded_share") & ~found["standardised"]].set_index("scope")["value"]
    assert shares.to_dict() == pytest.approx({"cd4_naive": 0, "cd8_teff": 0.8, "t": 0.4})


def test_subset_share_at_depth_equals_the_exact_chance_of_a_second_cell():
    clonotypes, cells = two_subset_cohort(*[2] * 20)
    shallow = clonotype_table(b1=[1] * 50)
    cells = pd.concat([cells, annotated(shallow, "t", "cd4_naive")])
    clonotypes = pd.concat([clonotypes, shallow])
    settings = {**SETTINGS, "draws": 4000}
    _, found, _ = measure_expansion(clonotypes, cells, design_table("a1", "b1"), 0, **settings)
    drawn = found[(found["sample"] == "a1") & found["standardised"]].set_index("scope")
    # A drawn cell meets its one sister when she is among the 49 other cells drawn of 99.
    assert drawn.loc["cd8_teff", "value"] == pytest.approx(0.8 * 49 / 99, rel=0.02)
    assert drawn.loc["cd8_teff", "low"] < 0.8 * 49 / 99 < drawn.loc["cd8_teff", "high"]
    assert drawn.loc["cd4_naive", "value"] == 0


def test_small_subset_has_its_number_and_no_share():
    clonotypes, cells = two_subset_cohort()
    cells.loc[cells.index[:92], "subset"] = "cd4_naive"
    cells.loc[cells.index[92:100], "subset"] = "cd8_mait"
    _, found, _ = measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS)
    small = found[(found["scope"] == "cd8_mait") & (found["metric"] == "expanded_share")]
    assert small["value"].isna().all()
    assert (small["n_cells"] == 8).all()


def test_only_t_cells_count_unless_asked():
    clonotypes, cells = two_subset_cohort()
    cells.loc[cells.index[:40], ["lineage", "subset", "branch"]] = ["nk", "nk", "nk"]
    strict = measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS)[0]
    assert values_of(strict, "a1", standardised=False)["expanded_share"] == 0
    assert values_of(strict, "a1", standardised=False)["receptor_cells"] == 60
    every = measure_expansion(clonotypes, cells, design_table("a1"), 0, **{**SETTINGS, "t_cells_only": False})[0]
    assert values_of(every, "a1", standardised=False)["expanded_share"] == pytest.approx(0.4)


def test_samples_follow_the_design():
    design = design_table("a1", "a2", "a3").assign(tcr=["x.csv", "y.csv", ""])
    table, by_subset, _ = measure_expansion(clonotype_table(a1=UNEVEN), None, design, 0, **SETTINGS)
    assert table["sample"].unique().tolist() == ["a1", "a2"]
    assert values_of(table, "a2", standardised=False)["receptor_cells"] == 0
    assert tuple(table.columns) == tuple(by_subset.columns) == COLUMNS
    assert by_subset.empty
    with pytest.raises(InputError, match="samples that the design lacks: a1"):
        measure_expansion(clonotype_table(a1=UNEVEN), None, design_table("b1"), 0, **SETTINGS)


def test_values_are_the_standardised_metrics_and_scopes_asked_for():
    clonotypes, cells = two_subset_cohort()
    asked = {"compared_metrics": ["clonality", "expanded_share", "receptor_detection", "receptor_cells"]}
    asked["compared_scopes"] = ["all", "cd8_teff", "nk_c1"]
    metrics, by_subset, values = measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS | asked)
    assert list(values.columns) == VALUE_COLUMNS
    found = values.set_index(["parent", "feature"])
    measured = found[found["value"].notna()]
    assert sorted(measured.index) == [
        ("all", "clonality"),
        ("all", "expanded_share"),
        ("all", "receptor_cells"),
        ("cd8_teff", "expanded_share"),
        ("cd8_teff", "receptor_detection"),
    ]
    for parent, feature, table in (("all", "clonality", metrics), ("cd8_teff", "expanded_share", by_subset)):
        rows = table[(table["scope"] == parent) & (table["metric"] == feature) & table["standardised"]]
        expected = rows[["value", "low", "high"]].iloc[0].astype(float).tolist()
        assert found.loc[(parent, feature), ["value", "low", "high"]].astype(float).tolist() == expected
    assert found.loc[("all", "receptor_cells"), "value"] == 100
    assert found.loc["nk_c1", "value"].isna().all()


def test_without_gene_expression_the_whole_repertoire_is_compared():
    _, _, values = measure_expansion(clonotype_table(a1=UNEVEN), None, design_table("a1"), 0, **SETTINGS)
    assert values["feature"].tolist() == SETTINGS["compared_metrics"]
    expected = diversity(np.array(UNEVEN))
    shares = [expanded_share(np.array(UNEVEN), 2), expected["clonality"], np.log(expected["hill_2"])]
    assert values["value"].tolist() == pytest.approx(shares)


def test_one_cell_before_and_one_after_is_expanded_at_neither_visit():
    visits = clonotype_table(a1=[1] * 60, a2=[1] * 60)
    assert visits.groupby("clonotype").size().eq(2).all()
    table, _, _ = measure_expansion(visits, None, design_table("a1", "a2"), 0, **SETTINGS)
    for sample in ("a1", "a2"):
        for standardised in (False, True):
            assert values_of(table, sample, standardised=standardised)["expanded_share"] == 0


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    clonotypes, cells = two_subset_cohort(*[2] * 20)
    whole = measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS)
    monkeypatch.setattr("immune_landscape.measure_expansion._BLOCK", 700)
    for table, expected in zip(
        measure_expansion(clonotypes, cells, design_table("a1"), 0, **SETTINGS), whole, strict=True
    ):
        pd.testing.assert_frame_equal(table, expected)
