"""Blocks of counts shared among the workers of a dask cluster: same bytes, other processes."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cells import make_groups, process_and_rows

from immune_landscape import block_work, count_blocks, streamed_steps
from immune_landscape.block_work import over_blocks
from immune_landscape.blocked_counts import open_counts
from immune_landscape.device import Devices
from immune_landscape.errors import InputError
from immune_landscape.measure_expression import measure_expression
from immune_landscape.rank_markers import rank_markers
from immune_landscape.reduce_cells import reduce_cells
from immune_landscape.store import write_stage

REDUCE = {"target_sum": 1e4, "n_top_genes": 60, "exclude_genes": [], "n_components": 8, "harmony_theta": 2.0}


@pytest.fixture(scope="module")
def scheduler():
    """Return the address of a scheduler with two workers, each a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address
        block_work.client_of(cluster.scheduler_address).close()


@pytest.fixture
def bare_scheduler(monkeypatch):
    """Return the address of a scheduler whose worker does not find the package."""
    from distributed import LocalCluster

    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder).name not in ("scripts", "tests")])
    with LocalCluster(n_workers=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """Return counts in a file of which 16 cells are read at a time."""
    monkeypatch.setattr(count_blocks, "ALIGNED", 16)
    monkeypatch.setattr(count_blocks, "VALUES", 1)
    made = make_groups({"a": 90, "b": 70}, {kind: [f"{kind}{at}" for at in range(12)] for kind in "ab"})[0]
    write_stage(made, tmp_path / "counts.h5ad", stage="merge_samples")
    return open_counts(tmp_path / "counts.h5ad")


def test_both_workers_take_blocks_and_these_come_in_order(counts, scheduler):
    found = list(over_blocks(counts.blocks, process_and_rows, scheduler=scheduler))
    here = list(over_blocks(counts.blocks, process_and_rows))
    assert [rows for _, rows in found] == [rows for _, rows in here]
    assert len({process for process, _ in found}) == 2
    assert os.getpid() not in {process for process, _ in found}
    assert {process for process, _ in here} == {os.getpid()}


@pytest.mark.parametrize("held", [1 << 28, 0])
def test_components_are_the_same_bytes(counts, scheduler, held, monkeypatch):
    monkeypatch.setattr(streamed_steps, "MOST_VALUES", held)
    batch = pd.Series(np.where(np.arange(160) % 2, "one", "two"), index=counts.obs_names)
    here, there = (reduce_cells(counts, batch, 0, Devices(scheduler=each), **REDUCE) for each in ("", scheduler))
    assert there.uns["reduction"]["genes"] == here.uns["reduction"]["genes"]
    for name, values in here.obsm.items():
        assert values.tobytes() == there.obsm[name].tobytes()


def test_markers_and_sums_are_the_same(counts, scheduler):
    kind = np.repeat(["a", "b"], [90, 70])
    labels = pd.DataFrame({"lineage": kind, "branch": "nk", "subset": kind, "cluster": kind}, index=counts.obs_names)
    design = pd.DataFrame({"sample": ["S0", "S1"], "patient": ["P0", "P1"], "visit": ["v", "v"]})
    markers, sums = {}, {}
    for each in ("", scheduler):
        devices = Devices(scheduler=each)
        markers[each] = rank_markers(counts, labels, devices, target_sum=1e4, n_genes=5, min_cells=10)
        sums[each] = measure_expression(counts, labels, design, each, min_cells=5, branches=["nk"])
    assert len(markers[""]) == 30
    pd.testing.assert_frame_equal(markers[""], markers[scheduler])
    assert (sums[""].X != sums[scheduler].X).nnz == 0
    assert sums[""].X.sum() == 3 * sum(part.counts.sum() for part in counts.blocks)


def test_a_scheduler_that_does_not_answer_is_named(counts, monkeypatch):
    monkeypatch.setattr(block_work, "PATIENCE", 0.5)
    with pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:9.* cannot be used"):
        list(over_blocks(counts.blocks, process_and_rows, scheduler="tcp://127.0.0.1:9"))


def test_workers_without_the_package_are_refused(counts, bare_scheduler):
    with pytest.raises(InputError, match=r"No module named 'immune_landscape'.*PYTHONPATH=scripts"):
        list(over_blocks(counts.blocks, process_and_rows, scheduler=bare_scheduler))
