"""Samples are joined in sheet order, cells and genes sorted, and a sample listed twice is found."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from datasets import shared_data
from made_inputs import small_counts, write_cell_ranger_3, write_folder

from immune_landscape import store
from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.errors import InputError
from immune_landscape.load_samples import load_samples, same_cells
from immune_landscape.merge_samples import merge_samples
from immune_landscape.reduce_cells import reduce_cells
from immune_landscape.schemas import fill_defaults, load_schema

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "settings" / "load_samples.schema.yaml"
SETTINGS = {"min_gene_overlap": 0.5, "union_gene_overlap": 0.95, "max_same_cells": 0.1}


def config(**inputs) -> dict:
    given = {"gex_sample_column": None, "keep_columns": [], "barcode_pattern": "[ACGTN]{8,}(-[0-9]+)?"}
    return {"species": "human", "inputs": given | inputs}


def sheet(paths: dict[str, object]) -> pd.DataFrame:
    names = list(paths)
    return pd.DataFrame({"sample": names, "gex": [str(p) for p in paths.values()], "gex_label": names})


def saved(path: Path, data: ad.AnnData) -> Path:
    data.write_h5ad(path)
    return path


def sorted_parts(*parts: ad.AnnData) -> ad.AnnData:
    """Return samples below each other, cells sorted in each, and genes sorted."""
    whole = ad.concat([part[sorted(part.obs_names)] for part in parts])
    return whole[:, sorted(whole.var_names)]


def shuffled(data: ad.AnnData, seed: int) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    return data[rng.permutation(data.n_obs), rng.permutation(data.n_vars)].copy()


@pytest.fixture(scope="module")
def small() -> ad.AnnData:
    return small_counts(cells=80)


def test_settings_are_those_of_the_schema():
    schema = yaml.safe_load(SCHEMA.read_text())
    assert {k: v["default"] for k, v in schema["properties"].items()} == SETTINGS
    assert schema["additionalProperties"] is False


def test_formats_mix_in_sheet_order_and_a_sample_without_path_is_absent(tmp_path, small):
    paths = {
        "b": write_cell_ranger_3(tmp_path / "b.h5", small[:40]),
        "none": "",
        "a": write_folder(tmp_path / "a", small[40:], version=3, zipped=True),
    }
    counts, notes = load_samples(sheet(paths), config(), **SETTINGS)
    expected = sorted_parts(small[:40], small[40:])
    np.testing.assert_array_equal(counts.X.toarray(), expected.X.toarray())
    assert counts.X.dtype == np.int32
    assert counts.X.has_canonical_format
    assert list(counts.obs["sample"].cat.categories) == ["b", "a"]
    assert list(counts.obs_names) == [
        f"{sample}:{barcode}" for sample, barcode in zip("b" * 40 + "a" * 40, expected.obs_names, strict=True)
    ]
    assert list(counts.var_names) == sorted(small.var_names)
    assert list(counts.var["gene_id"]) == list(small.var.loc[sorted(small.var_names), "gene_ids"])
    assert list(notes.columns) == ["sample", "kind", "message"]
    assert notes.empty


def test_two_samples_may_have_the_same_barcodes(tmp_path, small):
    second = small[40:].copy()
    second.obs_names = small.obs_names[:40]
    paths = {"a": saved(tmp_path / "a.h5ad", small[:40]), "b": saved(tmp_path / "b.h5ad", second)}
    counts, _ = load_samples(sheet(paths), config(), **SETTINGS)
    assert counts.obs_names.is_unique
    assert counts.n_obs == 80


def test_kang_donors_share_one_file():
    path = shared_data("kang2018_ifnb") / "kang_muscat_2donor_paired_counts.h5ad"
    names = ["stim107", "ctrl101", "ctrl107", "stim101"]
    settings = config(gex_sample_column="sample_id", keep_columns=["cluster_id"])
    counts, notes = load_samples(sheet(dict.fromkeys(names, path)), settings, **SETTINGS)
    whole = ad.read_h5ad(path)
    expected = whole.obs["sample_id"].astype(str).value_counts()
    found = counts.obs["sample"].astype(str).value_counts()
    assert found.to_dict() == expected.to_dict()
    assert counts.X.sum() == whole.X.sum()
    assert set(counts.obs["input_cluster_id"].cat.categories) == set(whole.obs["cluster_id"].astype(str))
    assert list(notes["kind"]) == ["no_mt_genes"] * 4
    assert same_cells(counts) == []


def test_real_chemistries_keep_the_shared_genes_with_a_note():
    folder = shared_data("pbmc_10x_1k_v2_v3")
    paths = {
        "v2": folder / "pbmc_1k_v2_counts_allgenes.h5ad",
        "v3": folder / "pbmc_1k_v3_counts_filtered.h5ad",
    }
    counts, notes = load_samples(sheet(paths), config(), **SETTINGS)
    v2, v3 = (ad.read_h5ad(path) for path in paths.values())
    shared = v2.var_names[v2.var_names.isin(v3.var_names)]
    assert list(counts.var_names) == sorted(shared)
    assert counts.X.sum() == v2[:, shared].X.sum(dtype=np.float64) + v3[:, shared].X.sum(dtype=np.float64)
    messages = notes.loc[notes["kind"] == "gene_panel", "message"].to_list()
    assert messages[0].startswith("the panels agree in 43.8% of their genes: only the 14688 shared")
    assert messages[1] == "18850 of 33538 genes are not in every sample"


@pytest.mark.parametrize(("lost", "kept"), [(0, 300), (10, 300), (15, 285), (100, 200)])
def test_union_above_95_percent_and_intersection_below(lost, kept, tmp_path, small):
    paths = {
        "a": saved(tmp_path / "a.h5ad", small[:40, lost:].copy()),
        "b": saved(tmp_path / "b.h5ad", small[40:]),
    }
    counts, notes = load_samples(sheet(paths), config(), **SETTINGS)
    assert counts.n_vars == kept
    assert (notes["kind"] == "gene_panel").any() == (lost > 0)
    expected = small.X.toarray()
    if kept == 300:
        expected[:40, :lost] = 0
    np.testing.assert_array_equal(
        counts[:, small.var_names[small.var_names.isin(counts.var_names)]].X.toarray(),
        expected[:, small.var_names.isin(counts.var_names)],
    )


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_order_of_cells_and_genes_in_a_file_does_not_change_one_byte(names, tmp_path, small):
    parts = {"a": small[:40].copy(), "b": small[40:, 10:].copy()}
    files = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        paths = {name: saved(folder / f"{name}.h5ad", shuffled(parts[name], seed)) for name in names}
        counts, notes = load_samples(sheet(paths), config(), **SETTINGS)
        store.write_stage(counts, folder / "counts.h5ad", stage="load_samples")
        store.write_table(notes, folder / "notes.tsv")
        files.append([(folder / name).read_bytes() for name in ("counts.h5ad", "notes.tsv")])
    assert files[0] == files[1]


def test_order_of_cells_and_genes_in_a_file_changes_no_cluster(tmp_path):
    data = ad.read_h5ad(shared_data("pbmc_10x_1k_v2_v3") / "pbmc_1k_v2_counts_allgenes.h5ad")
    found = []
    for seed in (1, 2):
        path = saved(tmp_path / f"{seed}.h5ad", shuffled(data, seed))
        loaded, _ = load_samples(sheet({"a": path}), config(), **SETTINGS)
        quality = pd.DataFrame({"sample": "a", "keep": True}, index=loaded.obs_names)
        doublets = pd.DataFrame({"sample": "a", "doublet": False}, index=loaded.obs_names)
        counts = merge_samples([loaded], quality, doublets, remove_doublets=True).to_memory()
        batch = pd.Series("one", index=counts.obs_names)
        reduction = reduce_cells(counts, batch, 0, **fill_defaults(load_schema("settings/reduce_cells"), {}))
        quick = fill_defaults(load_schema("settings/cluster_cells"), {"subsamples": 3, "grid": {"nk": [0.5, 1.0]}})
        found.append(cluster_cells(reduction, "nk", 0, **quick))
    first, second = found
    pd.testing.assert_frame_equal(first.cells.obs, second.cells.obs)
    pd.testing.assert_frame_equal(first.stability, second.stability)
    pd.testing.assert_frame_equal(first.jaccard, second.jaccard)
    assert first.cells.obs["cluster"].nunique() > 4


def test_panels_with_too_few_shared_genes_are_refused(tmp_path, small):
    paths = {
        "a": saved(tmp_path / "a.h5ad", small[:40, :200].copy()),
        "b": saved(tmp_path / "b.h5ad", small[40:, 150:].copy()),
    }
    with pytest.raises(InputError, match=r"only 50 genes are in every sample, 33.3% of the smallest panel"):
        load_samples(sheet(paths), config(), **SETTINGS)
    counts, _ = load_samples(sheet(paths), config(), **SETTINGS | {"min_gene_overlap": 0.3})
    assert counts.n_vars == 50


def test_symbols_with_other_ids_are_noted(tmp_path, small):
    other = small[40:].copy()
    other.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(900, 1200)]
    paths = {"a": saved(tmp_path / "a.h5ad", small[:40]), "b": saved(tmp_path / "b.h5ad", other)}
    _, notes = load_samples(sheet(paths), config(), **SETTINGS)
    (message,) = notes.loc[notes["kind"] == "gene_ids_differ", "message"]
    assert message.startswith("300 symbols have different Ensembl ids")


def test_a_sample_listed_twice_is_found_by_its_cells(tmp_path, small):
    renamed = small[:40].copy()
    renamed.obs_names = small.obs_names[40:]
    paths = {"a": saved(tmp_path / "a.h5ad", small[:40]), "b": saved(tmp_path / "b.h5ad", renamed)}
    with pytest.raises(InputError, match="samples 'a' and 'b': 40 identical cells, 100% of the smaller"):
        load_samples(sheet(paths), config(), **SETTINGS)
    assert load_samples(sheet(paths), config(), **SETTINGS | {"max_same_cells": 1.0})[0].n_obs == 80


def test_empty_sample_stays_a_category_with_a_note(tmp_path, small):
    paths = {"a": saved(tmp_path / "a.h5ad", small), "b": write_cell_ranger_3(tmp_path / "b.h5", small[:0])}
    counts, notes = load_samples(sheet(paths), config(), **SETTINGS)
    assert counts.obs["sample"].value_counts().to_dict() == {"a": 80, "b": 0}
    assert notes.to_dict("list") == {"sample": ["b"], "kind": ["empty_sample"], "message": ["no cells"]}
    only, _ = load_samples(sheet({"b": paths["b"]}), config(), **SETTINGS)
    assert only.shape == (0, 300)


def test_every_unreadable_sample_is_reported(tmp_path, small):
    (tmp_path / "a.h5ad").write_text("")
    paths = {"a": tmp_path / "a.h5ad", "b": saved(tmp_path / "b.h5ad", small), "c": tmp_path / "absent.h5"}
    with pytest.raises(InputError) as caught:
        load_samples(sheet(paths), config(), **SETTINGS)
    lines = str(caught.value).splitlines()
    assert "sample 'a': is an empty file" in lines[0]
    assert "sample 'c': no such file" in lines[1]
    assert lines[2] == "2 of 3 samples cannot be read"


def test_a_sheet_without_expression_is_refused():
    with pytest.raises(InputError, match="no sample has gene expression"):
        load_samples(sheet({"a": ""}), config(), **SETTINGS)


def test_kept_columns_survive_mixed_formats_and_writing(tmp_path, small):
    first = small[:40].copy()
    first.obs["score"] = np.arange(40.0)
    paths = {"a": saved(tmp_path / "a.h5ad", first), "b": write_cell_ranger_3(tmp_path / "b.h5", small[40:])}
    counts, _ = load_samples(sheet(paths), config(keep_columns=["score", "chemistry"]), **SETTINGS)
    counts.write_h5ad(tmp_path / "all.h5ad", compression="gzip")
    again = ad.read_h5ad(tmp_path / "all.h5ad")
    assert list(again.obs["input_score"][:40]) == list(range(40))
    assert again.obs["input_score"][40:].isna().all()
    assert again.obs["input_chemistry"].astype(object).fillna("").to_list() == ["v2"] * 40 + [""] * 40
