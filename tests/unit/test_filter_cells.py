import numpy as np
import pytest
from cells import make_counts

from immune_landscape.filter_cells import cell_metrics, filter_cells

SETTINGS = {
    "min_genes": 2,
    "min_counts": 5,
    "max_pct_mt": 20.0,
    "max_pct_hb": 50.0,
    "mads": 5.0,
    "min_cells": 50,
}
GENES = ["MT-CO1", "RPS3", "HBB", "CD3D", "NKG7"]


def test_metrics_equal_hand_counts():
    counts = make_counts([[1, 2, 0, 3, 4], [0, 0, 5, 0, 5]], GENES, ["S1", "S1"])
    metrics = cell_metrics(counts)
    assert metrics["total_counts"].tolist() == [10, 10]
    assert metrics["n_genes"].tolist() == [4, 2]
    assert metrics["pct_mt"].tolist() == [10, 0]
    assert metrics["pct_ribo"].tolist() == [20, 0]
    assert metrics["pct_hb"].tolist() == [0, 50]


def test_floors_name_every_reason():
    counts = make_counts([[9, 0, 0, 1, 5], [0, 0, 0, 1, 0], [0, 0, 9, 0, 1], [0, 1, 0, 5, 5]], GENES, ["S1"] * 4)
    table = filter_cells(counts, **SETTINGS)
    assert table["reason"].tolist() == ["high_mt", "few_counts,few_genes", "high_hb", ""]
    assert table["keep"].tolist() == [False, False, False, True]


def test_no_mitochondrial_genes_is_no_reason():
    counts = make_counts(np.full((3, 2), 10), ["CD3D", "NKG7"], ["S1"] * 3)
    table = filter_cells(counts, **SETTINGS)
    assert table["pct_mt"].isna().all()
    assert table["keep"].all()


def test_adaptive_limits_belong_to_their_sample():
    rng = np.random.default_rng(0)
    rich = rng.poisson(40, (100, 5))
    poor = rng.poisson(8, (100, 5))
    rich[0], poor[0] = 8, 8
    counts = make_counts(np.vstack([rich, poor]), ["A", "B", "C", "D", "E"], ["rich"] * 100 + ["poor"] * 100)
    table = filter_cells(counts, **SETTINGS)
    assert not table["keep"].iloc[0], "a cell of 40 molecules stands out among cells of 200"
    assert table["keep"].iloc[100], "the same cell is ordinary among cells of 40"


def test_small_sample_has_floors_only():
    values = np.full((10, 3), 10)
    values[0] = 2
    table = filter_cells(make_counts(values, ["A", "B", "C"], ["S1"] * 10), **SETTINGS)
    assert table["keep"].all()


@pytest.mark.parametrize("cells", [0, 1])
def test_empty_and_single(cells):
    counts = make_counts(np.full((cells, 3), 10), ["A", "B", "C"], ["S1"] * cells)
    assert len(filter_cells(counts, **SETTINGS)) == cells
