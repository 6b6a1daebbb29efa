import numpy as np
import pandas as pd
import pytest
from cells import make_groups
from science.test_cells_are_no_replicates import P_COLUMN

from immune_landscape.rank_markers import COLUMNS, rank_markers

SETTINGS = {"target_sum": 1e4, "n_genes": 5, "min_cells": 20}
MARKERS = {group: [f"{group.upper()}{at}" for at in range(8)] for group in ("nk_a", "nk_b", "b")}


@pytest.fixture(scope="module")
def labelled():
    counts, truth = make_groups({"nk_a": 60, "nk_b": 50, "b": 40}, MARKERS)
    nk = np.isin(truth, ["nk_a", "nk_b"])
    columns = {"lineage": np.where(nk, "nk", "b"), "branch": np.where(nk, "nk", "other"), "subset": truth}
    return counts, pd.DataFrame(columns | {"cluster": np.where(truth == "nk_a", 0, 1)}, index=counts.obs_names)


@pytest.fixture(scope="module")
def markers(labelled):
    return rank_markers(*labelled, **SETTINGS)


def test_planted_markers_come_first(markers):
    rows = markers.set_index(["branch", "kind", "group"]).sort_index()
    assert set(rows.loc[("nk", "subset", "nk_a"), "gene"]) <= set(MARKERS["nk_a"])
    assert set(rows.loc[("nk", "cluster", "1"), "gene"]) <= set(MARKERS["nk_b"])
    assert set(rows.loc[("all", "lineage", "b"), "gene"]) <= set(MARKERS["b"])


def test_shares_and_folds_are_those_of_the_counts(labelled, markers):
    counts, labels = labelled
    row = markers[(markers["kind"] == "subset") & (markers["group"] == "nk_a")].iloc[0]
    of_gene = counts[labels["branch"] == "nk", row["gene"]].X.toarray().ravel()
    inside = (labels.loc[labels["branch"] == "nk", "subset"] == "nk_a").to_numpy()
    assert row["share"] == pytest.approx((of_gene[inside] > 0).mean())
    assert row["share_rest"] == pytest.approx((of_gene[~inside] > 0).mean())
    total = counts[labels["branch"] == "nk"].X.sum(axis=1).A1
    scaled = 1e4 * of_gene / total
    fold = np.log2((scaled[inside].mean() + 0.5) / (scaled[~inside].mean() + 0.5))
    assert row["log_fold"] == pytest.approx(fold, rel=1e-3)
    assert row["cells"] == 60


def test_genes_of_a_group_are_in_order_and_above_the_rest(markers):
    assert list(markers.columns) == COLUMNS
    for _, rows in markers.groupby(["branch", "kind", "group"]):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["z"].is_monotonic_decreasing
        assert len(rows) <= 5
    assert (markers["auc"] > 0.5).all()


def test_no_column_is_a_p_value():
    assert not [name for name in COLUMNS if P_COLUMN.fullmatch(name)]


def test_small_groups_are_left_out(labelled):
    found = rank_markers(*labelled, **(SETTINGS | {"min_cells": 55}))
    assert not ((found["kind"] == "subset") & (found["group"] == "nk_b")).any()
    # Nor is a group whose rest is too small.
    assert not ((found["kind"] == "subset") & (found["group"] == "nk_a")).any()


def test_no_cells(labelled):
    counts, labels = labelled
    found = rank_markers(counts[:0].copy(), labels[:0], **SETTINGS)
    assert list(found.columns) == COLUMNS
    assert len(found) == 0
