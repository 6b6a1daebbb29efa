import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from cells import make_counts
from scipy.stats import mannwhitneyu, norm

from immune_landscape.anchors import (
    anchor_values,
    fold_and_share,
    match_anchors,
    name_by_anchor,
    rank_sums,
    read_anchors,
)
from immune_landscape.errors import DesignError

PAPER = {"ZEB2": "nk_c4_zeb2", "IL7": "nk_c5_il7", "IL7R": "c5", "NCR3": "nk_c10_ncr3"}


def matched_of(values, genes, clusters, anchors=PAPER, fold=1.0, share=0.1):
    counts = make_counts(values, genes, ["S1"] * len(values))
    cluster = pd.Series(list(clusters), index=counts.obs_names)
    return match_anchors(counts, cluster, read_anchors(anchors, "nk"), fold, share)


def pairs_of(table):
    return list(zip(table["anchor"], table["cluster"], strict=True))


def test_the_list_tells_label_and_number():
    table = read_anchors(PAPER, "nk")
    assert table.loc["ZEB2"].tolist() == ["nk_c4_zeb2", 4]
    assert table.loc["IL7R"].tolist() == ["", 5]
    assert read_anchors({"NCAM1": "nk_cd56bright"}, "nk").loc["NCAM1"].tolist() == ["nk_cd56bright", 0]
    assert read_anchors(PAPER, "t").empty


@pytest.mark.parametrize("target", ["nk_c5_il7r", "cd8_teff", "nk", "5"])
def test_an_anchor_that_names_no_subset_of_the_branch_is_refused(target):
    with pytest.raises(DesignError, match=f"IL7R names '{target}'"):
        read_anchors({"IL7R": target}, "nk")


def test_clusters_may_share_an_anchor_and_an_absent_gene_has_no_match():
    values = np.array([[20, 8, 50]] * 10 + [[15, 0, 50]] * 10 + [[0, 9, 50]] * 10 + [[0, 0, 50]] * 30)
    table = matched_of(values, ["ZEB2", "NCR3", "ACTB"], "0" * 10 + "1" * 10 + "2" * 10 + "3" * 30)
    assert pairs_of(table) == [("ZEB2", "0"), ("ZEB2", "1"), ("IL7", ""), ("IL7R", ""), ("NCR3", "2")]
    assert table.loc[table["anchor"].isin(["IL7", "IL7R"]), "log2_fold"].isna().all()
    assert table["share"].iloc[0] == 1
    assert table["status"].tolist() == ["named", "named", "not measured", "not measured", "named"]


def test_the_better_ranked_anchor_names_a_cluster_even_with_the_smaller_fold():
    rng = np.random.default_rng(0)
    # ZEB2: few cells with many molecules; NCR3: every cell has some.
    few = np.column_stack([rng.choice([0, 60], 40, p=[0.7, 0.3]), np.full(40, 6), np.full(40, 900)])
    rest = np.column_stack([np.zeros(80), np.ones(80), np.full(80, 900)])
    table = matched_of(np.vstack([few, rest]), ["ZEB2", "NCR3", "ACTB"], "0" * 40 + "1" * 80).set_index("anchor")
    assert table.at["NCR3", "cluster"] == "0"
    assert table.at["ZEB2", "cluster"] == ""
    assert table.at["ZEB2", "log2_fold"] > table.at["NCR3", "log2_fold"]
    assert table.at["ZEB2", "score"] < table.at["NCR3", "score"]


def test_a_weak_gene_names_no_cluster_and_tells_its_best_one():
    values = np.array([[2, 500]] * 20 + [[1, 500]] * 40)
    genes, clusters = ["ZEB2", "ACTB"], "0" * 20 + "1" * 40
    weak = matched_of(values, genes, clusters).set_index("anchor").loc["ZEB2"]
    assert weak["cluster"] == ""
    assert weak["status"] == "no match"
    assert weak["score"] > 5
    assert matched_of(values, genes, clusters, fold=0.5).set_index("anchor").at["ZEB2", "cluster"] == "0"
    rare = np.array([[50, 500]] + [[0, 500]] * 59)
    assert matched_of(rare, genes, clusters).set_index("anchor").at["ZEB2", "cluster"] == ""


def test_a_handful_of_cells_gets_no_name_by_chance():
    rng = np.random.default_rng(3)
    values = np.column_stack([rng.poisson(0.3, 200), np.full(200, 500)])
    values[:4, 0] = [0, 3, 0, 2]
    table = matched_of(values, ["ZEB2", "ACTB"], "0" * 4 + "1" * 196).set_index("anchor").loc["ZEB2"]
    assert table["log2_fold"] > 1
    assert table["share"] == 0.5
    assert table["status"] == "no match"


def test_only_anchors_with_a_label_name_cells():
    values = np.array([[9, 0, 90]] * 10 + [[0, 9, 90]] * 10 + [[0, 0, 90]] * 10)
    clusters = "0" * 10 + "1" * 10 + "2" * 10
    table = matched_of(values, ["IL7", "IL7R", "ACTB"], clusters)
    assert ("IL7R", "1") in pairs_of(table)
    cluster = pd.Series(list(clusters))
    label = pd.Series("nk_cd56bright", index=cluster.index)
    named = name_by_anchor(label, cluster, table)
    assert named.groupby(cluster).unique().str[0].tolist() == ["nk_c5_il7", "nk_cd56bright", "nk_cd56bright"]
    meant = matched_of(values, ["IL7", "IL7R", "ACTB"], clusters, {"IL7R": "nk_c5_il7"})
    assert name_by_anchor(label, cluster, meant)[15] == "nk_c5_il7"


def test_rank_sums_are_those_of_scanpy_and_scipy():
    rng = np.random.default_rng(1)
    genes = ["rare", "tied", "dense"]
    values = np.column_stack([rng.poisson(0.1, 90), rng.poisson(1, 90), rng.gamma(2, 1, 90)]).astype(float)
    values[:30, 2] += 1
    cells = anndata.AnnData(values, obs={"cluster": pd.Categorical(list("a" * 30 + "b" * 40 + "c" * 20))})
    cells.var_names = genes
    found = rank_sums(cells.to_df(), cells.obs["cluster"].astype(str))
    sc.tl.rank_genes_groups(cells, "cluster", method="wilcoxon", tie_correct=True)
    for name in "abc":
        expected = sc.get.rank_genes_groups_df(cells, name).set_index("names")["scores"]
        assert found.loc[name, genes].to_numpy() == pytest.approx(expected[genes].to_numpy(), abs=1e-4)
    flat = cells.to_df().assign(flat=1.0)
    assert (rank_sums(flat, cells.obs["cluster"].astype(str))["flat"] == 0).all()
    exact = mannwhitneyu(values[:30, 1], values[30:, 1], use_continuity=False, method="asymptotic").pvalue
    assert 2 * norm.sf(abs(found.at["a", "tied"])) == pytest.approx(exact)


def test_fold_and_share_by_hand():
    values = pd.DataFrame({"ZEB2": [4.0, 0.0, 1.0, 0.0]})
    fold, share = fold_and_share(values, pd.Series(["0", "0", "1", "1"]))
    assert fold["ZEB2"].tolist() == [pytest.approx(np.log2(2.5)), pytest.approx(-np.log2(2.5))]
    assert share["ZEB2"].tolist() == [0.5, 0.5]


def test_values_are_per_ten_thousand():
    counts = make_counts(np.array([[1, 99], [0, 50]]), ["ZEB2", "ACTB"], ["S1", "S1"])
    values = anchor_values(counts, read_anchors(PAPER, "nk"))
    assert values["ZEB2"].tolist() == [pytest.approx(100), 0]
    assert list(values) == ["ZEB2"]


def test_a_branch_without_cells_matches_no_anchor_and_one_without_the_genes_measures_none():
    counts = make_counts(np.zeros((2, 2)), ["ZEB2", "ACTB"], ["S1", "S1"])[:0].copy()
    table = match_anchors(counts, pd.Series(dtype=object), read_anchors(PAPER, "nk"), 1.0, 0.1).set_index("anchor")
    assert table["status"].to_dict() == dict.fromkeys(PAPER, "not measured") | {"ZEB2": "no match"}
    assert (table["cluster"] == "").all()
    assert table["score"].isna().all()


def test_one_cluster_is_not_named_by_a_gene_that_nothing_is_compared_with():
    table = matched_of(np.array([[30, 90]] * 20), ["ZEB2", "ACTB"], "0" * 20).set_index("anchor")
    assert table.loc["ZEB2", ["status", "cluster", "score"]].tolist() == ["no match", "", 0]


def test_without_anchors_nothing_is_matched_and_labels_stay():
    table = matched_of(np.array([[30, 90]] * 20), ["ZEB2", "ACTB"], "0" * 10 + "1" * 10, anchors={})
    assert table.empty
    label = pd.Series("nk_cd56dim", index=range(20))
    assert name_by_anchor(label, pd.Series(["0"] * 20), table).tolist() == label.tolist()


def test_equal_anchors_go_to_the_one_first_in_the_list():
    values = np.array([[9, 9, 90]] * 20 + [[0, 0, 90]] * 20)
    for first, second in (("ZEB2", "NCR3"), ("NCR3", "ZEB2")):
        anchors = {gene: PAPER[gene] for gene in (first, second)}
        table = matched_of(values, ["ZEB2", "NCR3", "ACTB"], "0" * 20 + "1" * 20, anchors=anchors).set_index("anchor")
        assert table.at[first, "status"] == "named"
        assert table.at[second, "status"] == "no match"
