"""Receptors of all samples are joined, matched to cells, and refused where files do not belong together."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from datasets import shared_data

from immune_landscape.errors import InputError
from immune_landscape.load_receptors import load_receptors

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "settings" / "load_receptors.schema.yaml"
SETTINGS = {"loci": ["TRA", "TRB", "TRG", "TRD"], "high_confidence_only": True}
SAMPLES = [f"P{number}{tissue}" for number in (17, 18, 19, 20) for tissue in "BL"]
#: Cells with contigs and cells, by sample, as the provenance of the dataset gives them.
PUBLISHED = {
    "P17B": (42, 52),
    "P17L": (38, 61),
    "P18B": (16, 27),
    "P18L": (27, 33),
    "P19B": (82, 105),
    "P19L": (40, 49),
    "P20B": (115, 162),
    "P20L": (5, 11),
}


def config(min_tcr_overlap: float = 0.05) -> dict:
    inputs = {"gex_sample_column": None, "barcode_pattern": "[ACGTN]{8,}(-[0-9]+)?"}
    return {"inputs": inputs | {"min_tcr_overlap": min_tcr_overlap}}


def zhao_sheet(samples: list[str] = SAMPLES) -> pd.DataFrame:
    folder = shared_data("screpertoire_zhao2021") / "contigs"
    paths = [str(folder / f"{s}_filtered_contig_annotations.csv.gz") for s in samples]
    patients = [s[:3] for s in samples]
    return pd.DataFrame(
        {"sample": samples, "patient": patients, "visit": "baseline", "tcr": paths, "gex_label": samples}
    )


@pytest.fixture(scope="module")
def zhao_cells() -> pd.Index:
    path = shared_data("screpertoire_zhao2021") / "gex_500cells_2000hvg_counts.h5ad"
    return pd.Index(ad.read_h5ad(path).obs_names.str.replace("_", ":", n=1, regex=False), dtype=object)


def test_settings_are_those_of_the_schema():
    schema = yaml.safe_load(SCHEMA.read_text())
    assert {k: v["default"] for k, v in schema["properties"].items()} == SETTINGS
    assert schema["additionalProperties"] is False


def test_zhao_cohort_matches_as_published(zhao_cells, tmp_path):
    receptors, summary = load_receptors(zhao_sheet(), zhao_cells, config(), **SETTINGS)
    assert receptors.n_obs == 27186
    assert receptors.obs["has_gex"].sum() == 365
    assert set(receptors.obs_names[receptors.obs["has_gex"].to_numpy()]) <= set(zhao_cells)
    assert list(receptors.obs["sample"].cat.categories) == SAMPLES
    assert (receptors.obs["patient"].astype(str) == receptors.obs["sample"].astype(str).str[:3]).all()
    found = summary.set_index("sample")[["matched", "gex_cells"]]
    assert {s: tuple(row) for s, row in zip(found.index, found.to_numpy(), strict=True)} == PUBLISHED
    assert summary["matched_share"].to_list() == pytest.approx([a / b for a, b in PUBLISHED.values()])
    assert summary["contigs"].sum() == 55154
    receptors.write_h5ad(tmp_path / "receptors.h5ad", compression="gzip")
    again = ad.read_h5ad(tmp_path / "receptors.h5ad")
    assert again.obsm["airr"].to_list() == receptors.obsm["airr"].to_list()


def test_chains_stay_with_their_barcode(zhao_cells):
    receptors, _ = load_receptors(zhao_sheet(["P20L", "P18L"]), zhao_cells, config(), **SETTINGS)
    tables = [
        pd.read_csv(row.tcr, dtype=str).assign(cell=lambda t, s=row.sample: s + ":" + t["barcode"])
        for row in zhao_sheet(["P20L", "P18L"]).itertuples()
    ]
    expected = pd.concat(tables).groupby("cell")["contig_id"].agg(list)
    found = dict(zip(receptors.obs_names, receptors.obsm["airr"]["sequence_id"].to_list(), strict=True))
    assert found == expected.to_dict()


def test_cohort_without_expression_has_no_matched_cells():
    receptors, summary = load_receptors(zhao_sheet(["P20L"]), None, config(), **SETTINGS)
    assert not receptors.obs["has_gex"].any()
    assert summary["matched_share"].isna().all()
    assert summary.loc[0, "barcodes"] == receptors.n_obs == 201


def test_sample_without_expression_passes_beside_others(zhao_cells):
    cells = zhao_cells[~zhao_cells.str.startswith("P18L:")]
    receptors, summary = load_receptors(zhao_sheet(["P18L", "P17B"]), cells, config(), **SETTINGS)
    assert summary["gex_cells"].to_list() == [0, 52]
    assert receptors.obs.loc[receptors.obs["has_gex"], "sample"].unique().tolist() == ["P17B"]


def test_sample_without_path_is_absent(zhao_cells):
    rows = zhao_sheet(["P17B", "P20L"])
    rows.loc[0, "tcr"] = ""
    receptors, summary = load_receptors(rows, zhao_cells, config(), **SETTINGS)
    assert summary["sample"].to_list() == ["P20L"]
    assert receptors.n_obs == 201
    with pytest.raises(InputError, match="no sample has single-cell receptors"):
        load_receptors(rows.iloc[:1], zhao_cells, config(), **SETTINGS)


def test_suffix_difference_is_bridged_and_cells_keep_their_name(zhao_cells):
    renamed = pd.Index([name.replace("-1", "") for name in zhao_cells], dtype=object)
    receptors, summary = load_receptors(zhao_sheet(["P17B"]), renamed, config(), **SETTINGS)
    assert summary.loc[0, "matched"] == 42
    assert summary.loc[0, "suffix_stripped"]
    assert set(receptors.obs_names[receptors.obs["has_gex"].to_numpy()]) <= set(renamed)


def test_swapped_files_are_refused_for_every_sample(zhao_cells):
    rows = zhao_sheet(["P17B", "P20B", "P20L"])
    rows["tcr"] = rows["tcr"].to_list()[1:] + rows["tcr"].to_list()[:1]
    with pytest.raises(InputError) as caught:
        load_receptors(rows, zhao_cells, config(), **SETTINGS)
    message = str(caught.value)
    assert "sample 'P17B': 1 of 8991 receptor barcodes are among its 52 cells (1.9% of the smaller)" in message
    assert "sample 'P20B'" in message
    assert "sample 'P20L'" not in message  # 11 cells are too few to tell
    assert "expected at least 5.0% (inputs.min_tcr_overlap)" in message
    loaded, _ = load_receptors(rows, zhao_cells, config(min_tcr_overlap=0), **SETTINGS)
    assert loaded.n_obs > 0


def test_every_unreadable_file_is_reported(tmp_path):
    rows = zhao_sheet(["P17B", "P20L", "P18L"])
    (tmp_path / "a.csv").write_text("")
    rows.loc[0, "tcr"], rows.loc[2, "tcr"] = str(tmp_path / "a.csv"), str(tmp_path / "absent.csv")
    with pytest.raises(InputError) as caught:
        load_receptors(rows, None, config(), **SETTINGS)
    lines = str(caught.value).splitlines()
    assert "sample 'P17B': is an empty file" in lines[0]
    assert "sample 'P18L': no such file" in lines[1]
    assert lines[2] == "2 of 3 receptor files cannot be read"


def test_b_cell_file_gives_an_empty_sample_beside_another():
    rows = zhao_sheet(["P20L", "P18L"])
    folder = shared_data("format_examples") / "sc5p_v2_hs_PBMC_1k"
    rows.loc[0, "tcr"] = str(folder / "bcr_filtered_contig_annotations.csv.gz")
    receptors, summary = load_receptors(rows, None, config(), **SETTINGS)
    assert summary["barcodes"].to_list() == [0, 1278]
    assert summary["b_cell"].to_list() == [202, 0]
    assert np.array_equal(receptors.obs["sample"].unique(), ["P18L"])
