"""The planted NK subsets of the demo cohort come back under their names, and one that is not there does not."""

import pandas as pd
import pytest
from science.demo_cells import name_demo
from sklearn.metrics import f1_score

ANCHORED = {
    "nk_c4_zeb2": "c4-ZEB2",
    "nk_c5_il7": "c5-IL7",
    "nk_c6_il15": "c6-IL15",
    "nk_c10_ncr3": "c10-NCR3",
    "nk_c11_tnfsf8": "c11-TNFSF8",
}
CELLS_PER_SAMPLE = 400


@pytest.fixture(scope="module")
def demo():
    return name_demo(CELLS_PER_SAMPLE)


@pytest.fixture(scope="module")
def without_c11():
    return name_demo(CELLS_PER_SAMPLE - 100, ["nk_c11_tnfsf8"])


def recovered(named, slug, name):
    """Tell whether a cluster of that name holds most cells of the planted type, and they most of it."""
    clusters = named.clusters.loc[named.clusters["name"] == name, "cluster"]
    inside = named.cells["cluster"].isin(clusters)
    planted = named.cells["planted"] == slug
    both = (inside & planted).sum()
    return both > planted.sum() / 2 and both > inside.sum() / 2


def test_planted_nk_subsets_come_back_in_the_frozen_labels(demo, science):
    planted = sorted(name for name in demo.cells["planted"].unique() if name.startswith("nk_"))
    assert len(planted) == 12
    rows = demo.cells[demo.cells["planted"].isin(planted) | demo.cells["subset"].str.startswith("nk_")]
    each = pd.Series(f1_score(rows["planted"], rows["subset"], labels=planted, average=None), index=planted)
    print(each.round(3).to_dict())
    print(pd.crosstab(rows["planted"], rows["subset"]).to_string())
    what = "Macro-F1 of the frozen NK labels against 12 planted subsets of the demo cohort, doublets left out"
    science.row("annotation/demo_subset_macro_f1", what, each.mean(), 0.85, 1.0, len(rows))


def test_every_planted_anchor_names_its_cluster(demo, science):
    print(demo.clusters.to_string())
    found = [recovered(demo, slug, name) for slug, name in ANCHORED.items()]
    what = "Share of the planted NK subsets with an anchor that are a cluster under their published name"
    science.row("annotation/demo_nk_anchors", what, sum(found) / len(found), 1.0, 1.0, len(found))


def test_a_subset_that_nobody_has_is_reported_as_no_match(without_c11, science):
    assert "nk_c11_tnfsf8" not in set(without_c11.cells["planted"])
    told = without_c11.anchors.set_index("anchor")["status"]
    names = without_c11.clusters["name"]
    wrong = names.str.contains("TNFSF8") | names.str.match(r"c11(-|$)")
    others = {slug: name for slug, name in ANCHORED.items() if slug != "nk_c11_tnfsf8"}
    found = [recovered(without_c11, slug, name) for slug, name in others.items()]
    right = told["TNFSF8"] == "no match" and not wrong.any() and all(found)
    right = right and not (without_c11.cells["subset"] == "nk_c11_tnfsf8").any()
    print(without_c11.anchors.to_string())
    what = "1 when a cohort without c11-TNFSF8 reports no match, bears its name nowhere, and finds the other four"
    science.row("annotation/no_match_without_c11", what, float(right), 1.0, 1.0, len(without_c11.cells))
