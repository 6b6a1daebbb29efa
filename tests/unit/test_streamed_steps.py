"""Steps over blocks of rows find what they find on the whole matrix."""

import numpy as np
import pytest
from cells import make_groups

from immune_landscape import count_blocks, steps_cpu, streamed_steps
from immune_landscape.count_blocks import CountBlocks
from immune_landscape.device import CPU
from immune_landscape.store import write_stage

TARGET = 1e4


@pytest.fixture(scope="module")
def counts():
    markers = {kind: [f"{kind}{at}" for at in range(12)] for kind in "abc"}
    return make_groups({"a": 160, "b": 120, "c": 80}, markers)[0]


@pytest.fixture(params=["store", "matrix"])
def blocks(counts, request, tmp_path, monkeypatch):
    """Return the counts in blocks of some rows, from a file and from memory."""
    monkeypatch.setattr(count_blocks, "ALIGNED", 32)
    source = counts.X
    if request.param == "store":
        source = tmp_path / "counts.h5ad"
        write_stage(counts, source, stage="merge_samples")
    made = CountBlocks(source, values=15_000)
    assert len(list(made)) > 3
    return made


@pytest.fixture(scope="module")
def normal(counts):
    return steps_cpu.normalise(counts.X, TARGET)


def test_cell_metrics(blocks, counts):
    groups = {"a": counts.var_names.str.startswith("a"), "b": counts.var_names.str.startswith("b")}
    found, whole = streamed_steps.cell_metrics(blocks, groups, CPU), steps_cpu.cell_metrics(counts.X, groups)
    assert list(found) == list(whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("batched", [True, False])
def test_choose_genes(blocks, counts, normal, batched):
    batch = counts.obs["sample"].astype(str).to_numpy() if batched else None
    allowed = np.arange(counts.n_vars) % 9 > 0
    found = streamed_steps.choose_genes(blocks, allowed, batch, CPU, target_sum=TARGET, n_top_genes=60)
    seen = np.bincount(normal.indices, minlength=counts.n_vars)
    whole = steps_cpu.choose_genes(normal, allowed & (seen >= 3), batch, 60)
    assert whole.sum() == 60
    np.testing.assert_array_equal(found.chosen, whole)
    np.testing.assert_array_equal(found.cells, seen)
    np.testing.assert_allclose(found.mean, np.asarray(normal.mean(axis=0)).ravel(), rtol=1e-5)


@pytest.mark.parametrize("held", [0, 10**9])
def test_principal_components(blocks, counts, normal, held, monkeypatch):
    monkeypatch.setattr(streamed_steps, "MOST_VALUES", held)
    genes = streamed_steps.choose_genes(
        blocks, np.ones(counts.n_vars, dtype=bool), None, CPU, target_sum=TARGET, n_top_genes=80
    )
    found = streamed_steps.principal_components(blocks, genes, 8, 0, CPU, target_sum=TARGET)
    whole = steps_cpu.principal_components(normal[:, np.flatnonzero(genes.chosen)], 8, 0)
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-3)
    np.testing.assert_allclose(found.variance_ratio, whole.variance_ratio, rtol=1e-5)


@pytest.mark.parametrize("values", [5_000, 10**9])
def test_rank_markers(blocks, counts, normal, values):
    groups = np.repeat([0, 1, 2], [160, 120, 80])
    seen = np.bincount(normal.indices, minlength=counts.n_vars)
    found = streamed_steps.rank_markers(blocks, groups, 3, seen, CPU, target_sum=TARGET, values=values)
    whole = steps_cpu.rank_markers(normal, groups, 3)
    np.testing.assert_array_equal(found.z, whole.z)
    np.testing.assert_array_equal(found.auc, whole.auc)
