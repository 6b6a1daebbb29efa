import numpy as np
import pandas as pd
import pytest
from cells import make_counts

from immune_landscape.errors import ContractError, InputError
from immune_landscape.measure_expression import measure_expression
from immune_landscape.pseudobulk import WHOLE, pseudobulk_of
from immune_landscape.store import read_stage, write_stage

SETTINGS = {"min_cells": 2, "branches": ["nk", "t"]}
SUBSETS = ["nk_cd56dim", "nk_cd56bright", "nk_unassigned", "cd4_tn", "b", "nk"]


def made(seed=0, cells=240):
    """Return counts of three samples, labels in an order of their own, and the design."""
    rng = np.random.default_rng(seed)
    samples = rng.choice(["S1", "S2", "S3"], cells).tolist()
    counts = make_counts(rng.poisson(1.5, (cells, 7)), [f"G{at}" for at in range(7)], samples)
    subset = rng.choice(SUBSETS, cells)
    branch = pd.Series(subset).map(lambda name: "nk" if name.startswith("nk") else {"cd4_tn": "t"}.get(name, "other"))
    labels = pd.DataFrame({"subset": subset, "branch": branch.to_numpy()}, index=counts.obs_names)
    design = pd.DataFrame({"sample": ["S3", "S1", "S2"], "patient": ["P2", "P1", "P1"], "visit": ["a", "a", "b"]})
    return counts, labels.sample(frac=1, random_state=1), design


def row_of(sums, sample, subset):
    found = (sums.obs["sample"] == sample) & (sums.obs["subset"] == subset)
    assert found.sum() == 1
    return sums[found.to_numpy()]


def test_sums_are_those_of_a_table_of_cells():
    counts, labels, design = made()
    sums = measure_expression(counts, labels, design, **SETTINGS)
    dense = pd.DataFrame(counts.X.toarray(), index=counts.obs_names, columns=counts.var_names)
    keys = labels.loc[dense.index].assign(sample=counts.obs["sample"].to_numpy())
    by_subset = dense.groupby([keys["sample"], keys["subset"]]).sum()
    for sample, subset in (("S1", "nk_cd56dim"), ("S2", "cd4_tn"), ("S3", "b")):
        assert row_of(sums, sample, subset).X.toarray()[0].tolist() == by_subset.loc[(sample, subset)].tolist()
    by_branch = dense.groupby([keys["sample"], keys["branch"]]).sum()
    for sample in ("S1", "S2", "S3"):
        assert row_of(sums, sample, "nk").X.toarray()[0].tolist() == by_branch.loc[(sample, "nk")].tolist()
        cells = int(((keys["sample"] == sample) & (keys["branch"] == "nk")).sum())
        assert row_of(sums, sample, "nk").obs["cells"].iloc[0] == cells


def test_no_count_is_lost_or_added():
    counts, labels, design = made()
    sums = measure_expression(counts, labels, design, min_cells=1, branches=[])
    labelled = ~labels.loc[counts.obs_names, "subset"].isin(["nk_unassigned"]).to_numpy()
    parts = (sums.obs["subset"] != WHOLE).to_numpy()
    assert sums.X[parts].sum() == counts.X[labelled].sum()
    assert sums.X[~parts].sum() == counts.X.sum()
    assert np.issubdtype(sums.X.dtype, np.integer)


def test_cells_without_a_subset_count_in_the_branch_alone():
    counts, labels, design = made()
    sums = measure_expression(counts, labels, design, **SETTINGS)
    assert set(sums.obs["subset"]) == {"nk", "t", "nk_cd56dim", "nk_cd56bright", "cd4_tn", "b", WHOLE}


def test_order_is_branches_then_subsets_and_samples_of_the_design():
    counts, labels, design = made()
    sums = measure_expression(counts, labels, design, **SETTINGS)
    order = sums.obs["subset"].drop_duplicates().tolist()
    assert order == ["nk", "t", "b", "cd4_tn", "nk_cd56bright", "nk_cd56dim", WHOLE]
    assert sums.obs["sample"].iloc[:3].tolist() == ["S3", "S1", "S2"]
    assert sums.obs[["patient", "visit"]].iloc[0].tolist() == ["P2", "a"]


def test_sums_of_few_cells_are_left_out():
    counts, labels, design = made()
    cells = measure_expression(counts, labels, design, **SETTINGS).obs["cells"]
    floor = int(cells.median())
    kept = measure_expression(counts, labels, design, min_cells=floor, branches=["nk", "t"])
    assert len(kept) == (cells >= floor).sum() < len(cells)
    assert len(measure_expression(counts, labels, design, min_cells=1000, branches=["nk"])) == 0


def test_the_file_holds_what_the_contract_says(tmp_path):
    counts, labels, design = made()
    sums = measure_expression(counts, labels, design, **SETTINGS)
    write_stage(sums, tmp_path / "sums.h5ad", stage="measure_expression")
    read = pseudobulk_of(read_stage(tmp_path / "sums.h5ad", stage="measure_expression"))
    assert read.of("nk").equals(pseudobulk_of(sums).of("nk"))
    assert read.of("nk").index.tolist() == ["S3", "S1", "S2"]
    assert WHOLE not in read.subsets
    dense = pd.DataFrame(counts.X.toarray()).groupby(counts.obs["sample"].to_numpy()).sum()
    assert read.whole.loc["S1"].tolist() == dense.loc["S1"].tolist()


def test_cells_of_another_design_are_refused():
    counts, labels, design = made()
    with pytest.raises(InputError, match="'S2'"):
        measure_expression(counts, labels, design[design["sample"] != "S2"], **SETTINGS)
    with pytest.raises(ContractError, match="no row"):
        measure_expression(counts, labels.iloc[1:], design, **SETTINGS)
