"""Interferon beta in blood cells of two donors: the genes it induces come first in every published cluster."""

import numpy as np
import pytest
from expression_tables import COMPARE, TESTING
from science.kang_sums import CONTRAST, read_kang

from immune_landscape.compare_expression import compare_expression

INDUCED = ["ISG15", "ISG20", "IFI6", "IFIT1", "IFIT2", "IFIT3", "LY6E", "MX1", "OAS1", "RSAD2", "IRF7"]
"""Kang 2018 (doi:10.1038/nbt.4042); all are on the panel of 1,267 genes."""

FIRST = 50
STRONGEST = ["ISG15", "IFIT1", "IFIT2", "IFIT3", "MX1", "RSAD2"]
CLUSTERS = {"B cells", "CD14+ Monocytes", "CD4 T cells", "CD8 T cells", "FCGR3A+ Monocytes"}


@pytest.fixture(scope="module")
def kang():
    return read_kang()


@pytest.fixture(scope="module")
def tables(kang):
    return compare_expression(*kang, [CONTRAST], TESTING, 1, **(COMPARE | {"normalisation": "tmm", "top": 20}))


def test_two_donors_are_too_few_to_test(tables):
    assert set(tables["subsets"]["subset"]) == CLUSTERS
    assert (tables["subsets"]["status"] == "not_testable").all()
    assert (tables["subsets"]["n_a"] == 2).all()
    assert tables["genes"]["p"].isna().all()


def test_interferon_genes_rise_most_in_every_cluster(science, tables):
    shares, first = {}, {}
    for cluster, genes in tables["genes"].groupby("subset"):
        rank = genes.sort_values("effect", ascending=False)["gene"].reset_index(drop=True)
        place = {gene: at + 1 for at, gene in zip(rank.index, rank, strict=True)}
        folds = genes.set_index("gene")["effect"]
        assert set(INDUCED) <= set(rank), cluster
        assert max(place[gene] for gene in STRONGEST) <= 20, (cluster, place["MX1"])
        shares[cluster] = max(place[gene] for gene in INDUCED) / len(rank)
        first[cluster] = sum(place[gene] <= FIRST for gene in INDUCED)
        assert np.median([place[gene] for gene in INDUCED]) <= 20, cluster
        assert folds[INDUCED].min() > 1, cluster
        assert abs(folds.median()) < 0.3, cluster
        print(f"{cluster}: {len(rank)} genes, ranks {', '.join(f'{gene} {place[gene]}' for gene in INDUCED)}")
    what = f"largest rank of {len(INDUCED)} interferon genes as a share of all, in {len(shares)} clusters of Kang 2018"
    science.row("golden/kang_interferon", what, max(shares.values()), None, 0.07, len(shares))
    told = ", ".join(f"{cluster} {count}" for cluster, count in first.items())
    what = f"fewest of {len(INDUCED)} interferon genes among the first {FIRST} of a cluster ({told})"
    science.row("golden/kang_interferon_first", what, min(first.values()), 9, None, len(first))


def test_the_figures_genes_are_those_of_interferon(tables):
    listed = tables["differences"].groupby("subset")["gene"].agg(set)
    for cluster, genes in listed.items():
        assert len(genes & set(STRONGEST)) == len(STRONGEST), cluster


def test_both_donors_agree(tables):
    rows = tables["differences"]
    known = rows[rows["gene"].isin(INDUCED)]
    assert (known["difference"] > 0).all()
    assert known.groupby(["subset", "gene"]).size().eq(2).all()


def test_two_donors_cannot_be_tested_with_lower_limits_either(kang):
    lowered = COMPARE | {"normalisation": "tmm", "min_second": 2}
    row = compare_expression(*kang, [CONTRAST], TESTING, 1, **lowered)["subsets"].iloc[0]
    # Four signings of two donors cannot reach p 0.05 by permutation, so nothing could be calibrated.
    assert row["status"] == "not_testable"
    assert "smallest attainable p" in row["note"]
