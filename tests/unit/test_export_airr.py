"""Rearrangement tables: strict for the validator of the AIRR Community, and read back without loss."""

import airr
import awkward as ak
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.airr_files import FILE_COLUMNS, write_rearrangements
from immune_landscape.bulk_io import read_bulk
from immune_landscape.chain_tables import TCR_LOCI
from immune_landscape.define_clonotypes import define_clonotypes
from immune_landscape.errors import InputError
from immune_landscape.export_airr import AIRR_COLUMNS, REQUIRED, export_airr
from immune_landscape.input_files import Place
from immune_landscape.load_receptors import load_receptors
from immune_landscape.load_repertoires import load_repertoires
from immune_landscape.receptors_io import COUNT_FIELDS, TEXT_FIELDS, read_receptors
from immune_landscape.schemas import fill_defaults, load_schema

CONFIG = fill_defaults(load_schema("cohort"), {"inputs": {}})
FIELDS = [*TEXT_FIELDS, *COUNT_FIELDS, "productive"]
CELLS = {
    "pbmc5p": ("pbmc_10x_5p_gex_tcr", "vdj_v1_hs_pbmc_t_filtered_contig_annotations.csv.gz"),
    "zhao": ("screpertoire_zhao2021", "contigs", "P17B_filtered_contig_annotations.csv.gz"),
    "covid": ("format_examples", "liao2019_covid_balf_contigs", "GSM4385993_C144_filtered_contig_annotations.csv.gz"),
    "airr": ("format_examples", "sc5p_v2_hs_PBMC_1k", "tcr_airr_rearrangement.tsv.gz"),
    "bcr": ("format_examples", "sc5p_v2_hs_PBMC_1k", "bcr_filtered_contig_annotations.csv.gz"),
}
BULK = [
    *(("immunarch_immdata", f"{name}.tsv.gz") for name in ("MS1", "A2-i129", "A4-i191")),
    ("format_examples", "vdjtools_fmt_vdj.M_15_CD8_beta.clonotypes.TRB.txt.gz"),
    ("britanova_vdjtools_bulk_tcrb", "hsct", "4months.txt.gz"),
]


def settings(name):
    return fill_defaults(load_schema(f"settings/{name}"), {})


def design_of(sample):
    return pd.DataFrame({"sample": [sample], "patient": ["p"], "visit": ["v"], "tcr": ["x"], "gex_label": [sample]})


def chains_of(receptors):
    """Return every chain of every barcode, in order, as plain rows."""
    rows = []
    for barcode, chains in zip(receptors.obs["barcode"], ak.to_list(receptors.obsm["airr"]), strict=True):
        rows += [(barcode, *(chain[name] for name in FIELDS)) for chain in chains]
    return rows


def exported(path, sample, **chosen):
    """Return receptors as loaded, and the table that is made of them."""
    design = design_of(sample).assign(tcr=str(path))
    receptors, _ = load_receptors(design, None, CONFIG, **settings("load_receptors") | chosen)
    clonotypes, _ = define_clonotypes(receptors, **settings("define_clonotypes"))
    ((source, name, table),) = export_airr(receptors, clonotypes, [], None, productive_only=False)
    assert (source, name) == ("tcr", sample)
    return receptors, clonotypes, table


@pytest.mark.parametrize("name", list(CELLS))
def test_every_chain_of_single_cells_comes_back(tmp_path, name):
    loci = [*TCR_LOCI, "IGH", "IGK", "IGL"] if name == "bcr" else list(TCR_LOCI)
    receptors, clonotypes, table = exported(shared_data(*CELLS[name]), "s1", loci=loci)
    files = write_rearrangements([("tcr", "s1", table)], _paths(tmp_path, "tcr"), design_of("s1"))
    path = tmp_path / "tcr" / "s1.tsv"
    assert airr.validate_rearrangement(str(path))
    back = read_receptors(path, sample="s1", loci=loci)
    before, after = chains_of(receptors), chains_of(back)
    assert before == after
    assert len(after) == len(table)
    assert files["rows"].tolist() == [len(table)]
    assert files["cells"].tolist() == [back.n_obs]
    assert files["clones"].tolist() == [clonotypes.loc[clonotypes["clonotype"] != "", "clonotype"].nunique()]
    chain_count = pd.Series([row[0] for row in after]).value_counts()
    print(f"{name}: {len(after)} chains, {(table['productive'] == 'F').sum()} not productive, most {chain_count.max()}")


def test_chains_that_make_a_difference_are_there():
    _, clonotypes, table = exported(shared_data(*CELLS["pbmc5p"]), "s1")
    assert (table["productive"] == "F").sum() > 1_000
    productive = table[(table["productive"] == "T") & (table["junction_aa"] != "")]
    assert (productive.groupby(["cell_id", "locus"]).size() > 2).any()
    multichain = clonotypes.index[clonotypes["chain_pairing"] == "multichain"]
    assert len(multichain)
    assert set(multichain.str.removeprefix("s1:")) <= set(table["cell_id"])
    named = table.drop_duplicates("cell_id").set_index("cell_id")["clone_id"]
    expected = clonotypes["clonotype"].set_axis(clonotypes.index.str.removeprefix("s1:"))
    assert named.to_dict() == expected.loc[named.index].to_dict()


def test_the_clonotypes_of_the_export_are_those_of_the_run(tmp_path):
    _, before, table = exported(shared_data(*CELLS["zhao"]), "s1")
    write_rearrangements([("tcr", "s1", table)], _paths(tmp_path, "tcr"), design_of("s1"))
    _, after, _ = exported(tmp_path / "tcr" / "s1.tsv", "s1")
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("parts", BULK, ids=lambda parts: parts[-1].split(".")[0])
def test_every_bulk_clonotype_comes_back(tmp_path, parts):
    how = settings("load_repertoires")
    ((clones, facts),) = load_repertoires([("s1", read_bulk(Place(shared_data(*parts), "s1")))], **how)
    bulk = [("s1", clones.drop(columns="sample"))]
    ((source, _, table),) = export_airr(None, None, bulk, facts, productive_only=False)
    assert source == "bulk_tcr"
    write_rearrangements([(source, "s1", table)], _paths(tmp_path, source), design_of("s1"))
    path = tmp_path / source / "s1.tsv"
    assert airr.validate_rearrangement(str(path))
    ((again, told),) = load_repertoires([("s1", read_bulk(Place(path, "s1")))], **how)
    pd.testing.assert_frame_equal(again, clones)
    assert told["templates"].tolist() == facts["templates"].tolist()
    assert told["format"].tolist() == ["AIRR"]


def _paths(folder, source):
    (folder / source).mkdir(exist_ok=True)
    return [folder / source / "s1.tsv"]


def test_umis_are_told_from_other_counts():
    clones = pd.DataFrame(
        [("c1", "TGTTTT", "CF", "TRBV9", "TRBJ1-1", 7, 1)],
        columns=["clonotype", "junction", "junction_aa", "v_call", "j_call", "count", "sequences"],
    )
    for counted, umis in (("UMIs", [7]), ("reads", [pd.NA]), ("templates", [pd.NA])):
        depths = pd.DataFrame({"sample": ["s1"], "counted": [counted]})
        ((_, _, table),) = export_airr(None, None, [("s1", clones)], depths, productive_only=False)
        assert list(table.columns) == AIRR_COLUMNS
        assert table["duplicate_count"].tolist() == [7]
        assert [str(each) for each in table["umi_count"]] == [str(each) for each in umis]


def test_required_columns_are_those_of_the_schema():
    from airr.schema import RearrangementSchema

    assert set(REQUIRED) == set(RearrangementSchema.required)
    assert set(AIRR_COLUMNS) <= set(RearrangementSchema.properties)


def test_productive_only_leaves_the_others_out():
    receptors, clonotypes, table = exported(shared_data(*CELLS["pbmc5p"]), "s1")
    ((_, _, kept),) = export_airr(receptors, clonotypes, [], None, productive_only=True)
    assert len(kept) == (table["productive"] == "T").sum()
    assert kept["sequence_id"].is_unique


def test_rows_without_an_id_or_with_one_of_another_get_their_own():
    receptors, clonotypes, table = exported(shared_data(*CELLS["zhao"]), "s1")
    assert table["sequence_id"].is_unique
    assert (table["sequence_id"] != "").all()
    airr_chains = receptors.obsm["airr"]
    nameless = receptors.copy()
    nameless.obsm["airr"] = ak.with_field(airr_chains, airr_chains["locus"], "sequence_id")
    ((_, _, again),) = export_airr(nameless, clonotypes, [], None, productive_only=False)
    assert again["sequence_id"].is_unique
    assert (again["sequence_id"] != "").all()


def test_a_sample_without_receptors_has_a_file_with_a_header(tmp_path):
    files = write_rearrangements([], _paths(tmp_path, "tcr"), design_of("s1"))
    assert list(files.columns) == FILE_COLUMNS
    assert files[["file", "rows", "cells"]].to_numpy().tolist() == [["tcr/s1.tsv", 0, 0]]
    assert (tmp_path / "tcr" / "s1.tsv").read_text().split() == AIRR_COLUMNS
    assert airr.validate_rearrangement(str(tmp_path / "tcr" / "s1.tsv"))


def test_a_table_without_a_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no bulk_tcr file for: s9"):
        write_rearrangements([("bulk_tcr", "s9", pd.DataFrame())], _paths(tmp_path, "tcr"), design_of("s1"))
