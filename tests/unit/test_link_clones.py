from itertools import combinations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from linked_clones import CHAINS, clone_cells, make_tables

from immune_landscape.clone_cells import COLUMNS, is_closed, label_carriers
from immune_landscape.clone_depth import chance_of_size
from immune_landscape.clone_leaders import LEADER_COLUMNS, list_leaders
from immune_landscape.clone_programmes import CONTROL, score_sides
from immune_landscape.clone_subsets import SUBSET_COLUMNS, SubsetRule, compared_subsets, measure_subsets
from immune_landscape.compare_values import TOO_SPARSE
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.errors import InputError
from immune_landscape.link_clones import link_clones
from immune_landscape.programme_effects import (
    DIFFERENCE_COLUMNS,
    PROGRAMME_COLUMNS,
    compare_programmes,
    patient_differences,
)
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.set_scores import expression_bins
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = fill_defaults(load_schema("settings/link_clones"), {})
RULE = SubsetRule(expanded_from=2, min_cells=10, min_subset_cells=4)
TESTING = {"alpha": 0.05, "power": 0.8, "max_exact": 5_000_000, "draws": 1000, "null_draws": 50}


def carriers_of(tables):
    return label_carriers(tables["clonotypes"], tables["cells"], tables["receptors"], tables["design"])


def measured(cells, rule=RULE):
    tables = make_tables(cells)
    return measure_subsets(carriers_of(tables), tables["cells"], tables["design"], rule).set_index(["sample", "subset"])


def test_carriers_are_t_cells_with_a_receptor():
    cells = clone_cells("a_v1", [2, 1], "cd8_teff")
    cells["branch"] = ["t", "t", "nk"]
    without = pd.DataFrame({"sample": ["a_v1"], "clonotype": [""], "subset": ["cd8_tn"], "branch": ["t"]})
    tables = make_tables(pd.concat([cells, without]))
    table = carriers_of(tables)
    assert list(table.columns) == COLUMNS
    assert table["clonotype"].tolist() == ["a-cd8_teff0"] * 2
    assert set(table["tissue"]) == {"blood"}
    with pytest.raises(InputError, match="a_v1"):
        label_carriers(tables["clonotypes"], tables["cells"], tables["receptors"], tables["design"].head(0))


def test_open_names_are_no_subset():
    assert is_closed("cd8_teff")
    assert is_closed("mait")
    assert not any(map(is_closed, ("cd4_t", "t_unassigned", "unassigned")))


def test_chance_of_a_size_is_the_share_of_all_draws():
    sizes = [3, 2, 1]
    cells = np.repeat(np.arange(3), sizes)
    inside = np.zeros(3)
    for drawn in combinations(range(6), 4):
        number = np.bincount(cells[list(drawn)], minlength=3)
        inside += np.where((number > 1) & (number <= 2.5), number, 0)
    # Each cell is in C(5, 3) of the draws.
    expected = inside / (10 * np.array(sizes))
    found = chance_of_size(np.repeat(sizes, sizes), 6, 4, 1, 2.5)
    np.testing.assert_allclose(found, np.repeat(expected, sizes))
    assert chance_of_size(np.array([1, 2, 3]), 6, 6, 1, 6).tolist() == [0, 1, 1]


@pytest.fixture(scope="module")
def subsets():
    """A clone of two cells in two subsets counts as expanded in both; the second sample is half as deep."""
    first = [clone_cells("a_v1", [4, 2, 1, 1], "cd8_teff"), clone_cells("a_v1", [1] * 8, "cd4_tn")]
    both = pd.DataFrame({"sample": "a_v1", "clonotype": "a-both", "subset": ["cd8_teff", "cd4_tn"]})
    second = [clone_cells("b_v1", [2, 2], "cd8_teff"), clone_cells("b_v1", [1] * 5, "cd4_tn")]
    second += [clone_cells("b_v1", [1], "mait").assign(receptor="mait")]
    return measured(pd.concat([*first, both, *second]).fillna({"receptor": "alpha_beta"}))


def test_expanded_cells_are_counted_where_they_lie(subsets):
    row = subsets.loc["a_v1", "cd8_teff"]
    assert list(subsets.reset_index()[SUBSET_COLUMNS].columns) == SUBSET_COLUMNS
    assert (row["cells"], row["receptor_cells"], row["clonotypes"], row["expanded_cells"]) == (9, 9, 5, 7)
    assert row["expanded_share"] == pytest.approx(7 / 9)
    assert row["share_of_expanded"] == pytest.approx(7 / 8)
    assert (row["largest_clone"], row["largest_cells"]) == ("a-cd8_teff0", 4)
    assert row["largest_share"] == pytest.approx(4 / 9)
    assert subsets.loc[("a_v1", "mait"), "receptor_cells"] == 0
    assert np.isnan(subsets.loc[("a_v1", "mait"), "expanded_share"])
    assert subsets.loc[("b_v1", "mait"), "invariant_share"] == 1
    assert subsets.loc[("b_v1", "cd8_teff"), "invariant_share"] == 0


def test_shares_at_one_depth_are_expectations_over_draws(subsets):
    assert (subsets["depth"].dropna() == 10).all()
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(13), [4, 2, 1, 1, *[1] * 8, 2])
    is_teff = np.array([True] * 8 + [False] * 8 + [True, False])
    drawn_cells, drawn_expanded, of_all = 0, 0, 0
    for _ in range(4000):
        drawn = rng.choice(18, 10, replace=False)
        expanded = np.bincount(codes[drawn])[codes[drawn]] > 1
        drawn_cells += is_teff[drawn].sum()
        drawn_expanded += (expanded & is_teff[drawn]).sum()
        of_all += expanded.sum()
    row = subsets.loc["a_v1", "cd8_teff"]
    assert row["expanded_share_at_depth"] == pytest.approx(drawn_expanded / drawn_cells, rel=0.02)
    assert row["share_of_expanded_at_depth"] == pytest.approx(drawn_expanded / of_all, rel=0.02)
    whole = subsets.loc["b_v1", "cd8_teff"]
    assert whole["expanded_share_at_depth"] == pytest.approx(whole["expanded_share"])


def test_classes_are_given_where_the_depth_allows_them():
    table = measured(pd.concat([clone_cells(f"{name}_v1", [8, *[1] * 40], "cd8_teff") for name in "ab"]))
    row = table.loc["a_v1", "cd8_teff"]
    # At 48 cells two are 4.2 %: only the class above 10 % cannot be reached by a clone seen twice.
    assert row["homeo_hyperexpanded_screpertoire"] == pytest.approx(8 / 48)
    for name in ("homeo_large", "homeo_hyperexpanded", "homeo_large_screpertoire"):
        assert np.isnan(row[name])


def test_expansion_within_a_subset_does_not_follow_its_size():
    """The same clones beside others: more of the sample lies in the subset, and nothing changed within it."""
    few = clone_cells("a_v1", [4, 2, *[1] * 6], "cd8_teff")
    more = pd.concat([few.assign(clonotype=few["clonotype"] + str(at), sample="b_v1") for at in range(3)])
    rest = [clone_cells(name, [1] * 30, "cd4_tn") for name in ("a_v1", "b_v1")]
    table = measured(pd.concat([few, more, *rest])).xs("cd8_teff", level="subset")
    assert (table["subset_depth"] == 12).all()
    assert table.loc["a_v1", "expanded_share_within"] == pytest.approx(0.5)
    assert table.loc["b_v1", "expanded_share_within"] == pytest.approx(np.mean(
        chance_of_size(np.repeat([4, 2, 1], [12, 6, 18]), 36, 12, 1, 12)
    ))  # fmt: skip
    assert table.loc["b_v1", "expanded_share_within"] < 0.5


def test_small_samples_and_subsets_have_counts_and_no_values(subsets):
    small = measured(clone_cells("a_v1", [2, 2, 1], "cd8_teff"))
    row = small.loc["a_v1", "cd8_teff"]
    assert row["expanded_cells"] == 4
    assert np.isnan(row["expanded_share_at_depth"])
    assert np.isnan(subsets.loc[("b_v1", "mait"), "expanded_share_within"])


def test_compared_values_name_sparse_subsets():
    cells = [clone_cells(f"{name}_v1", [3, *[1] * 9], "cd8_teff") for name in "abc"]
    cells += [clone_cells("a_v1", [2, 2, 1], "treg"), clone_cells("a_v1", [1] * 5, "cd4_t")]
    tables = make_tables(pd.concat(cells))
    table = measure_subsets(carriers_of(tables), tables["cells"], tables["design"], RULE)
    values = compared_subsets(table, tables["design"], ["expanded_share_within"], 0.3)
    assert list(values.columns) == [*VALUE_COLUMNS, "note"]
    assert set(values["parent"]) == {"cd8_teff", "treg"}
    notes = values.groupby("parent")["note"].first()
    assert notes["cd8_teff"] == ""
    assert notes["treg"].startswith(TOO_SPARSE)
    assert compared_subsets(table.head(0), tables["design"], ["expanded_share_within"], 0.3).empty


def test_leaders_rank_by_share_of_a_sample_and_tell_where_their_cells_are():
    deep = clone_cells("a_v1", [6, 5, *[1] * 89], "cd8_tem")
    later = [clone_cells("a_v2", [3, *[1] * 7], "cd8_teff", prefix="new")]
    move = pd.DataFrame({"sample": "a_v2", "clonotype": "a-cd8_tem1", "subset": ["cd8_teff"] * 2})
    mait = clone_cells("b_v1", [2, 1], "mait").assign(receptor="mait")
    tables = make_tables(pd.concat([deep, *later, move, mait]).fillna({"receptor": "alpha_beta"}))
    found = list_leaders(carriers_of(tables), tables["clonotypes"], tables["design"], ["v1", "v2"], 3)
    assert list(found.columns) == [*LEADER_COLUMNS, "cells_v1", "cells_v2"]
    own = found[found["patient"] == "a"].set_index("clonotype")
    assert own.index.tolist() == ["a-newcd8_teff0", "a-cd8_tem1", "a-newcd8_teff1"]
    assert own["rank"].tolist() == [1, 2, 3]
    row = own.loc["a-cd8_tem1"]
    assert (row["cells_v1"], row["cells_v2"], row["cells"], row["subsets"]) == (5, 2, 7, 2)
    assert (row["main_subset"], row["largest_sample"]) == ("cd8_tem", "a_v2")
    assert row["main_subset_share"] == pytest.approx(5 / 7)
    assert row["largest_share"] == pytest.approx(2 / 12)
    assert row["vdj_junction_aa"] == f"{CHAINS[6]} of a-cd8_tem1"
    other = found[found["patient"] == "b"].iloc[0]
    assert other["invariant"]
    assert other["receptor"] == "mait"
    assert pd.isna(other["cells_v2"])


GENES = [f"g{number}" for number in range(60)]
REGISTRY = pd.DataFrame(
    [
        ("planted", "t", "scored", "g0,g1,g2", ""),
        ("other", "any", "scored", "g10,g11,g12", "g20"),
        ("natural", "nk", "scored", "g30,g31", ""),
        ("absent", "t", "too few genes", "", ""),
    ],
    columns=["signature", "branch", "status", "found_genes", "negative_genes"],
)


def counts_of(cells, raised, seed=0):
    """Return counts in which g0 to g2 are threefold in the cells of expanded clones."""
    rng = np.random.default_rng(seed)
    rate = np.tile(rng.uniform(1, 3, len(GENES)), (len(cells), 1))
    rate[np.asarray(raised)[:, None] & (np.arange(len(GENES)) < 3)] *= 3
    data = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    return ad.AnnData(data, obs=pd.DataFrame(index=cells.index), var=pd.DataFrame(index=GENES))


@pytest.fixture(scope="module")
def programmes():
    """Seven patients, two visits each; the last patient has singletons alone."""
    cells = []
    for patient in "abcdefg":
        for visit in ("v1", "v2"):
            sizes = [1] * 20 if patient == "g" else [*[4] * 4, *[1] * 20]
            cells.append(clone_cells(f"{patient}_{visit}", sizes, "cd8_teff", prefix=visit))
            cells.append(clone_cells(f"{patient}_{visit}", [2, 2, *[1] * 20], "cd4_tn", prefix=visit))
    tables = make_tables(pd.concat(cells))
    sizes = tables["clonotypes"].groupby(["sample", "clonotype"])["sample"].transform("size")
    counts = counts_of(tables["clonotypes"], sizes == 4)
    bins = expression_bins(np.asarray(counts.X.mean(axis=0)).ravel(), 3)
    profiles = ad.AnnData(np.zeros((0, len(GENES)), dtype=np.float32), var=pd.DataFrame({"bin_t": bins}, index=GENES))
    return tables | {"registry": REGISTRY}, counts, profiles


def linked(programmes, **changes):
    study = {"visits": ["v1", "v2"], "testing": TESTING}
    return link_clones(*programmes, study, 0, **(SETTINGS | {"min_cells": 10, "min_subset_cells": 5} | changes))


@pytest.fixture(scope="module")
def tables(programmes):
    return linked(programmes)


def test_a_programme_of_expanded_cells_is_found_across_patients(tables):
    found = tables["programmes"]
    assert list(found.columns) == PROGRAMME_COLUMNS
    assert set(found["subset"]) == {"cd8_teff"}
    rows = found.set_index("signature")
    assert set(rows.index) == {"planted", "other", CONTROL}
    assert (rows["n_a"] == 6).all()
    assert (rows["status"] == "tested").all()
    # All six differences have one sign: 2 of 64 signings.
    assert rows.loc["planted", "p"] == pytest.approx(2 / 64)
    assert rows.loc["planted", "effect"] > 0.5
    assert rows.loc["planted", "ci_low"] > 0
    assert rows.loc["other", "p"] > rows.loc["planted", "p"]
    assert rows.loc["planted", "fdr"] == pytest.approx(min(2 * 2 / 64, rows.loc["other", "p"]))
    assert np.isnan(rows.loc[CONTROL, "fdr"])


def test_a_difference_is_the_mean_over_the_samples_of_a_patient(tables, programmes):
    given, counts, profiles = programmes
    found = tables["differences"]
    assert list(found.columns) == DIFFERENCE_COLUMNS
    row = found[(found["patient"] == "a") & (found["signature"] == "other")].iloc[0]
    assert (row["samples"], row["expanded_cells"], row["singleton_cells"]) == (2, 32, 40)
    normal = np.log1p(counts.X.toarray() / counts.X.toarray().sum(axis=1, keepdims=True) * 1e4)
    bins = profiles.var["bin_t"].to_numpy()
    size = given["clonotypes"].groupby(["sample", "clonotype"])["sample"].transform("size").to_numpy()

    def score(cells, genes):
        mean = normal[cells].mean(axis=0)
        control = np.isin(bins, bins[genes])
        control[genes] = False
        return mean[genes].mean() - mean[control].mean()

    differences = []
    for sample in ("a_v1", "a_v2"):
        here = ((given["cells"]["sample"] == sample) & (given["cells"]["subset"] == "cd8_teff")).to_numpy()
        sides = [score(here & side, [10, 11, 12]) - score(here & side, [20]) for side in (size == 4, size == 1)]
        differences.append(sides[0] - sides[1])
    assert row["difference"] == pytest.approx(np.mean(differences), abs=1e-6)


def test_sides_need_cells_and_clones_in_between_are_on_neither(programmes):
    given, counts, profiles = programmes
    carriers, bins = carriers_of(given), profiles.var["bin_t"].to_numpy()
    few = score_sides(carriers, counts, bins, REGISTRY, expanded_from=2, min_profile_cells=4)
    assert set(few["subset"]) == {"cd8_teff", "cd4_tn"}
    assert set(few.loc[few["subset"] == "cd4_tn", "cells"]) == {4, 20}
    larger = score_sides(carriers, counts, bins, REGISTRY, expanded_from=3, min_profile_cells=4)
    assert set(larger["subset"]) == {"cd8_teff"}
    none = score_sides(carriers, counts, bins, REGISTRY, expanded_from=2, min_profile_cells=30)
    assert none.empty
    empty = patient_differences(none)
    assert compare_programmes(empty, ContrastSettings(**TESTING), 0).empty


def test_too_few_patients_are_told_and_not_tested(tables):
    few = tables["differences"][tables["differences"]["patient"].isin(list("abcd"))]
    found = compare_programmes(few, ContrastSettings(**TESTING), 0)
    assert set(found["status"]) == {"not_testable"}
    assert found["p"].isna().all()
    assert found["fdr"].isna().all()
    assert found["note"].str.contains("smallest attainable p").all()


def test_all_tables_come_from_one_call(tables, programmes):
    assert list(tables) == ["subsets", "values", "top_clones", "differences", "programmes"]
    assert len(tables["subsets"]) == 14 * 2
    assert tables["top_clones"].groupby("patient").size().max() == SETTINGS["top_clones"]
    assert set(tables["values"]["feature"]) == set(SETTINGS["compared_features"])
    again = linked(programmes)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_a_cohort_without_receptors_has_empty_tables(programmes):
    given, counts, profiles = programmes
    without = given | {"clonotypes": given["clonotypes"].assign(has_receptor=False)}
    found = linked((without, counts, profiles))
    assert (found["subsets"]["receptor_cells"] == 0).all()
    assert all(found[name].empty for name in ("values", "top_clones", "differences", "programmes"))
