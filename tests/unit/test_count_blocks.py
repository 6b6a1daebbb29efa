"""Counts read block by block are the counts."""

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from cells import make_counts

from immune_landscape import count_blocks
from immune_landscape.blocked_counts import BlockedCounts, read_names, write_counts
from immune_landscape.count_blocks import CountBlocks
from immune_landscape.errors import ContractError
from immune_landscape.store import read_stage, write_stage


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(count_blocks, "ALIGNED", 8)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    return make_counts(rng.poisson(0.7, (83, 30)), [f"g{at:02d}" for at in range(30)], ["s"] * 83)


@pytest.fixture
def stored(counts, tmp_path):
    write_stage(counts, tmp_path / "counts.h5ad", stage="merge_samples")
    return tmp_path / "counts.h5ad"


@pytest.mark.parametrize(("values", "number"), [(1, 11), (400, 4), (10**6, 1)])
def test_blocks_of_a_store_and_of_a_matrix_are_its_rows(counts, stored, values, number):
    for source in (stored, counts.X):
        blocks = CountBlocks(source, values=values)
        parts = list(blocks)
        assert blocks.shape == counts.shape
        np.testing.assert_array_equal(sp.vstack([part.counts for part in parts]).toarray(), counts.X.toarray())
        assert [part.rows.start for part in parts] == [0, *(part.rows.stop for part in parts[:-1])]
        assert all((part.rows.stop - part.rows.start) % 8 == 0 for part in parts[:-1])
        assert len(parts) == number


@pytest.mark.parametrize("values", [1, 400, 10**6])
def test_only_kept_rows_come(counts, stored, values):
    keep = np.random.default_rng(1).random(counts.n_obs) < 0.4
    blocks = CountBlocks(stored, keep, values)
    assert blocks.shape == (keep.sum(), counts.n_vars)
    found = sp.vstack([part.counts for part in blocks]).toarray()
    np.testing.assert_array_equal(found, counts.X[keep].toarray())


def test_blocks_can_be_read_again(stored):
    blocks = CountBlocks(stored, values=300)
    first, second = ([part.counts.sum() for part in blocks] for _ in range(2))
    assert len(first) > 1
    assert first == second


def test_a_store_written_in_blocks_is_one_written_from_memory(counts, stored, tmp_path):
    keep = np.arange(counts.n_obs) % 3 > 0
    chosen = BlockedCounts(counts.obs[keep], counts.var, CountBlocks(stored, keep, 300))
    write_counts(chosen, tmp_path / "kept.h5ad")
    found, whole = read_stage(tmp_path / "kept.h5ad", stage="merge_samples"), counts[keep].copy()
    assert found.X.dtype == whole.X.dtype
    np.testing.assert_array_equal(found.X.toarray(), whole.X.toarray())
    assert found.obs.astype(str).equals(whole.obs.astype(str))
    assert found.var.astype(str).equals(whole.var.astype(str))


def test_no_kept_row_is_no_block(counts):
    assert list(CountBlocks(counts.X, np.zeros(counts.n_obs, dtype=bool))) == []


def test_tables_come_without_the_counts(counts, stored):
    obs, var, _ = read_names(stored)
    assert obs.index.tolist() == counts.obs_names.tolist()
    assert var.index.tolist() == counts.var_names.tolist()


def test_another_layout_is_refused(counts, tmp_path):
    dense = anndata.AnnData(counts.X.toarray().astype(np.float32))
    dense.write_h5ad(tmp_path / "dense.h5ad")
    with h5py.File(tmp_path / "dense.h5ad") as file:
        assert isinstance(file["X"], h5py.Dataset)
    with pytest.raises(ContractError, match="expected csr_matrix"):
        CountBlocks(tmp_path / "dense.h5ad")
    with pytest.raises(ValueError, match="keep has 3 rows"):
        CountBlocks(counts.X, np.ones(3, dtype=bool))
