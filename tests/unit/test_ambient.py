import warnings

import numpy as np
import pandas as pd
import pytest
from expression_tables import COMPARE, TESTING, contrast
from science.leaking_sums import CONTROLS, leaking_sums
from scipy import stats

from immune_landscape.ambient import AMBIENT_COLUMNS, MOST_AMBIENT, ambient_counts, changed_by
from immune_landscape.compare_expression import compare_expression
from immune_landscape.pseudobulk import Pseudobulk


def made(counts, genes):
    return pd.DataFrame(np.atleast_2d(counts), columns=genes, index=[f"s{at}" for at in range(len(counts))])


def test_the_profile_is_scaled_to_the_upper_limit_of_the_controls():
    genes = ["LYZ", "IGKC", "A", "B"]
    counts, whole = made([[4, 90, 1000, 3]], genes), made([[2000, 300, 9000, 500]], genes)
    found = ambient_counts(counts, whole, {"m": ["LYZ"], "ig": ["IGKC"], "absent": ["X"]})
    # 4 counts are at most 9.15: the limit is what gives 4 or fewer in 5 % of the cases.
    limit = 9.1535
    assert stats.poisson.cdf(4, limit) == pytest.approx(0.05, abs=1e-4)
    assert found.controls.tolist() == ["m"]
    assert found.counts.loc["s0", "A"] == pytest.approx(limit / 2000 * 9000, rel=1e-3)
    # Never more than there is.
    assert found.counts.loc["s0", ["LYZ", "B"]].tolist() == [4, pytest.approx(limit / 2000 * 500, rel=1e-3)]
    assert found.share[0] == pytest.approx(limit / 2000 * 11_800 / 1097, rel=1e-3)


def test_controls_of_which_none_is_counted_bound_it_by_three_counts():
    genes = ["LYZ", "A"]
    found = ambient_counts(made([[0, 5000]], genes), made([[3000, 90_000]], genes), {"m": ["LYZ"]})
    assert found.counts.loc["s0", "A"] == pytest.approx(-np.log(0.05) / 3000 * 90_000)


def test_a_set_that_the_subset_expresses_or_that_is_nowhere_does_not_bound():
    genes = ["LYZ", "IGKC", "HBB", "A"]
    counts, whole = made([[2, 900, 0, 1000]], genes), made([[3000, 1000, 0, 9000]], genes)
    found = ambient_counts(counts, whole, {"ig": ["IGKC"], "m": ["LYZ"], "h": ["HBB"]})
    assert found.controls.tolist() == ["m"]


def test_a_bound_of_more_than_half_is_cut_and_in_most_samples_says_nothing():
    genes, whole = ["LYZ", "A"], [[100, 10_000]] * 3
    few = made([[0, 8000], [0, 9000], [90, 8000]], genes)
    found = ambient_counts(few, made(whole, genes), {"m": ["LYZ"]})
    assert found.fault == ""
    assert found.share[2] == MOST_AMBIENT
    assert found.counts.loc["s2", "A"] == pytest.approx(0.5 * 8090 / 10_100 * 10_000)
    sorted_cells = ambient_counts(made(whole, genes), made(whole, genes), {"m": ["LYZ"]})
    assert sorted_cells.fault == "no control gene tells the subset from the whole sample"
    assert (sorted_cells.counts == 0).all(axis=None)


def test_without_controls_or_whole_samples_nothing_is_said():
    counts = made([[1, 2]], ["A", "B"])
    assert ambient_counts(counts, counts, {"m": ["LYZ"]}).fault == "no control gene is measured"
    assert "whole samples" in ambient_counts(counts, pd.DataFrame(), {"a": ["A"]}).fault


def ambient_of(sums, design, chosen=None, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = COMPARE | {"ambient_controls": CONTROLS, "top": 3} | changes
        tables = compare_expression(sums, design, [chosen or contrast()], TESTING, 1, **settings)
    assert list(tables["ambient"]) == AMBIENT_COLUMNS
    return tables["ambient"].set_index("gene"), tables


def test_genes_that_only_leak_depend_on_ambient_rna_and_a_planted_gene_does_not():
    ambient, tables = ambient_of(*leaking_sums())
    found = tables["genes"].set_index("gene")
    assert found.loc["CD14", "fdr"] < 0.05
    assert found.loc["CD14", "effect"] > 1
    leaked = ambient.loc[["CD14", "LYZ", "S100A8"]]
    assert leaked["depends_on_ambient"].all()
    assert (leaked["ambient_share"] > 0.9).all()
    assert (leaked["share_left"] < 0.5).all()
    own = ambient.loc["GZMB"]
    assert not own["depends_on_ambient"]
    assert own["same_sign"]
    assert own["effect_ambient_removed"] == pytest.approx(1.2 / np.log(2), abs=0.35)
    # The leak damps it, and without the leak it is nearer to what was planted.
    assert own["effect"] < own["effect_ambient_removed"]
    assert ambient["controls"].unique().tolist() == ["monocytes"]


def test_without_a_change_of_ambient_rna_nothing_depends_on_it():
    ambient, _ = ambient_of(*leaking_sums(later=0.02))
    assert not ambient.loc["GZMB", "depends_on_ambient"]
    assert ambient.loc["GZMB", "share_left"] == pytest.approx(1, abs=0.1)
    # A share of 2 % was planted; the limit of few counts is above it.
    assert ambient["subset_ambient_share"].iloc[0] > 0.02
    assert ambient["subset_ambient_share"].iloc[0] < 0.04


@pytest.mark.parametrize(
    "keys", [{"estimand": "change"}, {"estimand": "baseline", "target": ""}, {"covariates": ["age"]}]
)
def test_every_estimand_is_repeated(keys):
    ambient, tables = ambient_of(*leaking_sums(), contrast(**keys))
    genes = tables["genes"]
    reported = set(genes["gene"].head(3)) | set(genes.loc[genes["fdr"] <= 0.05, "gene"])
    assert set(ambient.index) == reported
    assert ambient["effect_ambient_removed"].notna().all()
    expected = genes.set_index("gene").loc[ambient.index, "effect"]
    assert ambient["effect"].to_numpy() == pytest.approx(expected.to_numpy())


def test_where_it_cannot_be_told_the_table_says_why():
    sums, design = leaking_sums()
    ambient, _ = ambient_of(sums, design, ambient_controls={"tissue": ["ALB"]})
    assert (ambient["note"] == "no control gene is measured").all()
    assert ambient[["effect_ambient_removed", "same_sign", "depends_on_ambient"]].isna().all(axis=None)
    bare, _ = ambient_of(Pseudobulk(sums.profiles, sums.genes, sums.counts), design)
    assert (bare["note"] == "the sums of whole samples are not known").all()


def test_a_number_depends_on_ambient_rna_when_its_sign_or_half_of_it_does():
    before, removed = np.array([2.0, 2.0, -2.0, 2.0, 0.0]), np.array([1.1, 0.9, 1.0, np.nan, 0.3])
    found = changed_by(before, removed)
    assert found["share_left"][:3].tolist() == [0.55, 0.45, -0.5]
    assert list(found["same_sign"][:3]) == [True, True, False]
    assert list(found["depends_on_ambient"][:3]) == [False, True, True]
    assert pd.isna(found["same_sign"][3])
    assert pd.isna(found["depends_on_ambient"][3])
    assert found["depends_on_ambient"][4]
