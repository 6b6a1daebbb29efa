"""The gate between devices, with stand-ins for the libraries of a GPU."""

import sys

import numpy as np
import pytest
from cells import make_groups
from gpu_stubs import installed

from immune_landscape import device
from immune_landscape.compare_devices import COLUMNS, compare_devices
from immune_landscape.errors import AgreementError, InputError
from immune_landscape.schemas import fill_defaults, load_schema

STUDY = {
    "reduce_cells": fill_defaults(load_schema("settings/reduce_cells"), {"n_top_genes": 120, "n_components": 12}),
    "cluster_cells": fill_defaults(load_schema("settings/cluster_cells"), {"n_neighbors": 12}),
}
GPU = device.Devices("gpu")
SETTINGS = fill_defaults(load_schema("settings/compare_devices"), {"cells": 260})


@pytest.fixture
def gpu(monkeypatch):
    installed(monkeypatch)
    yield
    device.gpu_problem.cache_clear()


@pytest.fixture(scope="module")
def given():
    markers = {kind: [f"{kind}{at}" for at in range(12)] for kind in "abc"}
    counts, _ = make_groups({"a": 160, "b": 120, "c": 100}, markers)
    return counts, counts.obs["sample"].astype(str)


def test_devices_that_do_the_same_agree(gpu, given):
    table = compare_devices(*given, 3, STUDY, GPU, **SETTINGS)
    print(table.to_string())
    assert list(table) == COLUMNS
    assert table["within"].all()
    assert set(table["cells"]) == {260}
    assert set(table["device"]) == {"gpu"}


def test_the_subsample_follows_the_seed(gpu, given):
    tables = [compare_devices(*given, seed, STUDY, GPU, **SETTINGS)["value"].to_numpy() for seed in (3, 3)]
    np.testing.assert_array_equal(*tables)


def test_clusters_that_differ_stop_the_run_and_are_named(gpu, given, monkeypatch):
    shuffled = np.random.default_rng(0).permutation(260) % 3
    answer = (np.arange(260), shuffled, 0.1)
    monkeypatch.setattr(sys.modules["pylibcugraph"], "leiden", lambda *passed: answer)
    with pytest.raises(AgreementError, match=r"CPU and gpu do not agree on 260 cells: .*ari .*limit 0\.95"):
        compare_devices(*given, 3, STUDY, GPU, **SETTINGS)
    table = compare_devices(*given, 3, STUDY, GPU, **(SETTINGS | {"must_agree": False})).set_index("measure")
    assert not table.loc["ari", "within"]
    assert table.loc["ari", "value"] < 0.1
    assert table.loc["neighbour_overlap", "within"]


def test_a_run_that_asks_for_a_gpu_stops_where_there_is_none(given):
    device.gpu_problem.cache_clear()
    if not device.gpu_problem():
        pytest.skip("a GPU is here")
    with pytest.raises(InputError, match="device: auto would use the CPU"):
        compare_devices(*given, 3, STUDY, GPU, **SETTINGS)
