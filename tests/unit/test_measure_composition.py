import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.measure_composition import COLUMNS, measure_composition


@pytest.fixture
def design():
    return pd.DataFrame(
        {
            "sample": ["a1", "a2", "b1", "b2"],
            "patient": ["a", "a", "b", "b"],
            "visit": ["before", "after"] * 2,
            "tissue": "blood",
            "gex": ["x.h5", "x.h5", "x.h5", ""],
        }
    )


@pytest.fixture
def cells():
    rows = [
        ("a1", "t", "cd8_teff", "t"),
        ("a1", "nk", "nk_dim", "nk"),
        ("a1", "nk", "nk_dim", "nk"),
        ("a1", "nk", "", "nk"),
        ("a1", None, None, ""),
        ("a2", "t", "cd4_tem", "t"),
        ("a2", "b", "", ""),
    ]
    table = pd.DataFrame(rows, columns=["sample", "lineage", "subset", "branch"])
    return table.set_index(pd.Index([f"{row[0]}:{i}" for i, row in enumerate(rows)], name="cell"))


def row_of(table, sample, parent, subset):
    found = table.query("sample == @sample and parent == @parent and subset == @subset")
    assert len(found) == 1
    return found.iloc[0]


def test_counts_totals_and_zeros(cells, design):
    table = measure_composition(cells, design, branches=["nk", "t"])
    assert table.columns.tolist() == COLUMNS
    nk = row_of(table, "a1", "all", "nk")
    assert (nk["cells"], nk["total"], nk["proportion"], nk["patient"], nk["visit"]) == (
        3,
        5,
        0.6,
        "a",
        "before",
    )
    assert row_of(table, "a1", "nk", "nk_dim")["proportion"] == pytest.approx(2 / 3)
    assert row_of(table, "a1", "t", "cd4_tem")[["cells", "total"]].tolist() == [0, 1]
    assert row_of(table, "a2", "all", "nk")["cells"] == 0


def test_unassigned_cells_count_in_the_total(cells, design):
    table = measure_composition(cells, design, branches=["nk", "t"])
    assert row_of(table, "a1", "all", "unassigned")[["cells", "total"]].tolist() == [1, 5]
    assert row_of(table, "a1", "nk", "unassigned")[["cells", "total"]].tolist() == [1, 3]


def test_every_sample_with_expression_has_every_subset(cells, design):
    table = measure_composition(cells, design, branches=["nk", "t"])
    assert set(table["sample"]) == {"a1", "a2", "b1"}
    for _, part in table.groupby("parent"):
        assert len(part) == part["sample"].nunique() * part["subset"].nunique()
        with_cells = part[part["total"] > 0].groupby("sample")
        np.testing.assert_allclose(with_cells["proportion"].sum(), 1)
        assert (with_cells["cells"].sum() == with_cells["total"].first()).all()
    empty = table[table["sample"] == "b1"]
    assert (empty["total"] == 0).all()
    assert empty["proportion"].isna().all()


def test_no_cells_at_all(cells, design):
    table = measure_composition(cells.iloc[:0], design, branches=["nk"])
    assert table.empty
    assert table.columns.tolist() == COLUMNS


def test_unknown_sample_is_named(cells, design):
    strange = cells.assign(sample=["a1"] * 6 + ["b2"])
    with pytest.raises(InputError, match="sample is 'b2', expected a sample with gex"):
        measure_composition(strange, design, branches=["nk"])
    with pytest.raises(InputError, match="no column branch"):
        measure_composition(cells.drop(columns="branch"), design, branches=["nk"])


def test_table_survives_the_file(cells, design, tmp_path):
    path = tmp_path / "cells.tsv"
    cells.to_csv(path, sep="\t")
    read = pd.read_csv(path, sep="\t", index_col=0, dtype=str, keep_default_na=False)
    expected = measure_composition(cells, design, branches=["nk", "t"])
    found = measure_composition(read, design, branches=["nk", "t"])
    assert found.to_dict("list")["cells"] == expected.to_dict("list")["cells"]
    assert found["subset"].tolist() == expected["subset"].tolist()
