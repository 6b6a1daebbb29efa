import random

import numpy as np
import pandas as pd
import pytest
from cells import make_counts

from immune_landscape import store
from immune_landscape.blocked_counts import open_branch
from immune_landscape.errors import ContractError, IntegrityError


@pytest.fixture
def counts():
    return make_counts(np.arange(60).reshape(12, 5), list("ABCDE"), ["S1"] * 12)


def test_round_trip(counts, tmp_path):
    store.write_stage(counts, tmp_path / "x.h5ad", stage="merge_samples")
    again = store.read_stage(tmp_path / "x.h5ad", stage="merge_samples")
    assert (again.X != counts.X).nnz == 0
    assert list(again.obs_names) == list(counts.obs_names)


def test_every_flipped_bit_is_noticed(counts, tmp_path):
    path = tmp_path / "x.h5ad"
    store.write_stage(counts, path, stage="merge_samples")
    clean = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        broken = bytearray(clean)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        with pytest.raises(IntegrityError, match="damaged or changed"):
            store.read_stage(path, stage="merge_samples")


def test_missing_checksum_is_named(counts, tmp_path):
    store.write_stage(counts, tmp_path / "x.h5ad", stage="merge_samples")
    (tmp_path / "x.h5ad.sha256").unlink()
    with pytest.raises(IntegrityError, match="no checksum file"):
        store.read_stage(tmp_path / "x.h5ad", stage="merge_samples")


def test_contract_names_missing_and_extra_keys(counts, tmp_path):
    counts.obs["secret"] = 1
    del counts.var["gene_id"]
    with pytest.raises(
        ContractError, match=r"var\['gene_id'\] is missing; .*obs\['secret'\] is not in its contract|secret"
    ):
        store.write_stage(counts, tmp_path / "x.h5ad", stage="merge_samples")
    assert not (tmp_path / "x.h5ad").exists()


def test_input_columns_may_ride_along(counts, tmp_path):
    counts.obs["input_label"] = "x"
    store.write_stage(counts, tmp_path / "x.h5ad", stage="merge_samples")


def test_table_round_trip_keeps_codes_as_text(tmp_path):
    table = pd.DataFrame(
        {
            "sample": ["007", "1e5", "NA"],
            "value": [0.1, np.nan, 3.0],
            "note": ["", "x", ""],
            "kept": [True, False, True],
        }
    )
    for name in ("t.tsv", "t.tsv.gz"):
        store.write_table(table, tmp_path / name)
        again = store.read_table(tmp_path / name)
        assert again["sample"].tolist() == ["007", "1e5", "NA"]
        assert again["value"].tolist() == pytest.approx([0.1, np.nan, 3.0], nan_ok=True)
        assert again["note"].tolist() == ["", "x", ""]
        assert again["kept"].tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_columns_told_to_be_text_come_back_as_written(tmp_path, name):
    table = pd.DataFrame(
        {"sample": ["a", "b"], "site": ["01", "1e2"], "wave": ["", ""], "flag": ["True", "False"], "age": [61, 7]}
    )
    store.write_table(table, tmp_path / name, ["site", "wave", "flag", "absent"])
    again = store.read_table(tmp_path / name)
    assert again.to_dict("list") == table.to_dict("list")
    assert again["age"].dtype.kind == "i"
    # Other readers see plain names.
    assert list(pd.read_csv(tmp_path / name, sep="\t").columns) == list(table.columns)
    store.write_table(table, tmp_path / name)
    assert store.read_table(tmp_path / name)["site"].tolist() == [1, 100]


def test_packed_table_has_the_same_bytes_twice(tmp_path):
    table = pd.DataFrame({"a": range(5)})
    first, second = tmp_path / "one" / "a.tsv.gz", tmp_path / "two" / "a.tsv.gz"
    for path in (first, second):
        path.parent.mkdir()
        store.write_table(table, path)
    assert first.read_bytes() == second.read_bytes()


def test_rows_of_names_the_first_missing_cell():
    table = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    assert store.rows_of(table, ["b"])["x"].tolist() == [2]
    with pytest.raises(ContractError, match="1 cells have no row in the table, first 'c'"):
        store.rows_of(table, ["a", "c"])


def test_branch_cells(counts, tmp_path):
    lineages = pd.DataFrame({"cell": counts.obs_names, "branch": ["nk"] * 4 + ["t"] * 8})
    store.write_table(lineages, tmp_path / "l.tsv")
    store.write_stage(counts, tmp_path / "counts.h5ad", stage="merge_samples")
    assert open_branch(tmp_path / "counts.h5ad", tmp_path / "l.tsv", "nk").n_obs == 4
    assert open_branch(tmp_path / "counts.h5ad", None, "all").n_obs == 12


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail():
        with store.whole(tmp_path / "x.tsv") as part:
            part.write_text("half a")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert list(tmp_path.iterdir()) == []
