import numpy as np
import pandas as pd
import pytest
from made_signatures import make_cells

from immune_landscape.scope_profiles import LAYER, profile_scopes

SUBSETS = ("nk_c4_zeb2", "nk_cd56bright", "nk_unassigned")


def levels(seed=1):
    rng = np.random.default_rng(seed)
    genes = [f"G{number}" for number in range(40)]
    return {subset: dict(zip(genes, rng.gamma(1.0, 3.0, 40), strict=True)) for subset in (*SUBSETS, "cd4_tn")}


def profiles(numbers, **changes):
    counts, labels = make_cells(numbers, levels())
    settings = {"min_cells": 10, "min_weight": 0.5, "n_bins": 5} | changes
    return counts, labels, profile_scopes(counts, labels, **settings)


def rows(found, scope):
    table = pd.DataFrame(np.asarray(found.layers[LAYER]), index=found.obs_names, columns=found.var_names)
    own = table[found.obs["scope"] == scope]
    return own.set_axis(found.obs.loc[own.index, "sample"])


def dense(counts):
    table = pd.DataFrame(counts.X.toarray().astype(float), index=counts.obs_names, columns=counts.var_names)
    return np.log1p(table.div(table.sum(axis=1), axis=0) * 1e4)


NUMBERS = {
    ("S1", "nk_c4_zeb2"): 60,
    ("S1", "nk_cd56bright"): 30,
    ("S1", "nk_unassigned"): 20,
    ("S2", "nk_c4_zeb2"): 20,
    ("S2", "nk_cd56bright"): 70,
    ("S2", "cd4_tn"): 9,
    ("S3", "nk_cd56bright"): 4,
}


def test_means_are_those_of_dense_arithmetic_over_the_cells_of_a_scope():
    counts, labels, found = profiles(NUMBERS)
    normal = dense(counts)
    for scope, key in (("nk", "branch"), ("nk_c4_zeb2", "subset"), ("nk_cd56bright", "subset")):
        wanted = normal[labels[key] == scope].groupby(labels["sample"]).mean()
        own = rows(found, scope)
        assert own.to_numpy() == pytest.approx(wanted.loc[own.index].to_numpy(), rel=1e-5)


def test_scopes_need_cells_and_cells_without_a_subset_are_no_scope():
    _, _, found = profiles(NUMBERS)
    held = set(zip(found.obs["sample"], found.obs["scope"], strict=True))
    assert ("S3", "nk") not in held
    assert not {scope for _, scope in held} & {"nk_unassigned", "t", "cd4_tn", "t_adjusted"}
    assert found.obs.set_index(["sample", "scope"]).loc[("S1", "nk"), "cells"] == 110
    assert (found.var["bin_t"] >= 0).all()


def test_adjusted_mean_is_the_subsets_means_with_pooled_weights():
    counts, labels, found = profiles(NUMBERS)
    nk = labels[labels["branch"] == "nk"]
    pooled = nk["subset"].value_counts(normalize=True)
    means = dense(counts).loc[nk.index].groupby([nk["sample"], nk["subset"]]).mean()
    for sample, present in (("S1", list(SUBSETS)), ("S2", list(SUBSETS[:2]))):
        weight = pooled[present]
        wanted = sum(means.loc[(sample, subset)] * weight[subset] for subset in present) / weight.sum()
        assert rows(found, "nk_adjusted").loc[sample].to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-5)
        row = found.obs.set_index(["sample", "scope"]).loc[(sample, "nk_adjusted")]
        assert row["weight"] == pytest.approx(weight.sum())


def test_adjusted_mean_needs_enough_of_the_composition():
    *_, found = profiles(NUMBERS, min_weight=0.95)
    assert list(rows(found, "nk_adjusted").index) == ["S1"]


def test_a_cohort_without_these_branches_has_no_profiles():
    *_, found = profiles({("S1", "cd4_tn"): 3})
    assert found.n_obs == 0
    assert (found.var["bin_nk"] == -1).all()


def test_labels_in_another_order_and_of_cells_that_are_gone_change_nothing():
    counts, labels, found = profiles(NUMBERS)
    more = pd.concat([labels.sample(frac=1, random_state=0), labels.head(1).set_axis(["S1:gone"])])
    again = profile_scopes(counts, more, min_cells=10, min_weight=0.5, n_bins=5)
    pd.testing.assert_frame_equal(again.obs, found.obs)
    assert np.asarray(again.layers[LAYER]) == pytest.approx(np.asarray(found.layers[LAYER]), rel=1e-6)
