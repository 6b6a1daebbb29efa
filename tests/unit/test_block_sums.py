"""Sums over blocks are those of dense arithmetic, wherever the counts are and however many threads add them up."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cells import make_groups

from immune_landscape import count_blocks
from immune_landscape.block_sums import count_molecules, moments_of_groups, normal_genes, sum_counts, sum_normal
from immune_landscape.blocked_counts import each_part, open_counts
from immune_landscape.store import write_stage

TARGET = 1e4


@pytest.fixture(scope="module")
def counts():
    return make_groups({"a": 70, "b": 50}, {kind: [f"{kind}{at}" for at in range(9)] for kind in "ab"})[0]


@pytest.fixture(scope="module")
def normal(counts):
    dense = counts.X.toarray().astype(float)
    return pd.DataFrame(np.log1p(dense / dense.sum(axis=1, keepdims=True) * TARGET), counts.obs_names, counts.var_names)


@pytest.fixture(params=["memory", "store, 1 thread", "store, 3 threads"])
def given(counts, request, tmp_path, monkeypatch):
    """Return the counts in memory, and in a file of which 16 rows are read at a time."""
    monkeypatch.setattr(count_blocks, "ALIGNED", 16)
    monkeypatch.setattr(count_blocks, "VALUES", 1)
    if request.param == "memory":
        return counts
    monkeypatch.setenv("NUMBA_NUM_THREADS", request.param.split()[1])
    write_stage(counts, tmp_path / "counts.h5ad", stage="merge_samples")
    return open_counts(tmp_path / "counts.h5ad")


def test_genes_come_in_the_order_asked_for(given, normal):
    genes = ["b3", "a1", "b0"]
    np.testing.assert_allclose(normal_genes(given, genes, TARGET).toarray(), normal[genes], rtol=1e-6)


def test_molecules_of_each_cell(given, counts):
    np.testing.assert_array_equal(count_molecules(given), counts.X.toarray().sum(axis=1))


def test_sums_of_raw_counts_are_exact_in_groups_that_overlap(given, counts):
    member = np.array([np.arange(120) % 3 == 0, np.arange(120) < 50, np.zeros(120, dtype=bool)]).astype(np.int64)
    found = sum_counts(given, sp.csr_matrix(member))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.toarray(), member @ counts.X.toarray().astype(np.int64))


def test_cells_of_no_group_count_nowhere(given, normal):
    groups = np.arange(120) % 5 - 1
    dense = normal.to_numpy()
    sums, moments = (f(given, groups, 4, TARGET) for f in (sum_normal, moments_of_groups))
    for group in range(4):
        inside = dense[groups == group]
        np.testing.assert_allclose(sums[group], inside.sum(axis=0), rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(moments[group, 0], (inside > 0).sum(axis=0))
        np.testing.assert_allclose(moments[group, 1], np.expm1(inside).sum(axis=0), rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(moments[group, 2], (np.expm1(inside) ** 2).sum(axis=0), rtol=1e-5, atol=1e-9)


def test_fewer_cells_are_those_cells(given, counts):
    keep = np.arange(120) % 7 < 3
    some = given[keep] if given is counts else given.kept(keep)
    parts = list(each_part(some))
    assert [name for part in parts for name in part.obs_names] == counts.obs_names[keep].tolist()
    np.testing.assert_array_equal(np.vstack([part.X.toarray() for part in parts]), counts.X.toarray()[keep])


def test_no_cell_is_a_table_without_rows(counts, tmp_path):
    write_stage(counts, tmp_path / "counts.h5ad", stage="merge_samples")
    none = open_counts(tmp_path / "counts.h5ad").kept(np.zeros(120, dtype=bool))
    assert normal_genes(none, ["a1", "b2"], TARGET).shape == (0, 2)
    assert count_molecules(none).shape == (0,)
    assert none.to_memory().shape == (0, counts.n_vars)
