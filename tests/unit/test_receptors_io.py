"""Receptor chains are read from every format into the same scirpy table, with their faults counted."""

import gzip
import io
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.chain_tables import infer_loci
from immune_landscape.errors import InputError
from immune_landscape.receptors_io import match_barcodes, read_receptors

PBMC = ("pbmc_10x_5p_gex_tcr", "vdj_v1_hs_pbmc_t_filtered_contig_annotations.csv.gz")
PUBLISHED = {
    "single pair": 2156,
    "orphan VDJ": 670,
    "extra VJ": 171,
    "no IR": 164,
    "orphan VJ": 108,
    "extra VDJ": 80,
    "two full chains": 11,
    "multichain": 4,
}
OLD_STYLE = """\
barcode,is_cell,contig_id,high_confidence,length,chain,v_gene,d_gene,j_gene,c_gene,full_length,productive,cdr3,\
cdr3_nt,reads,umis,raw_clonotype_id,raw_consensus_id
AAACCTGAGTACGACG-1,True,c1,True,500,TRA,TRAV25,None,TRAJ20,TRAC,True,True,CGCF,TGTGGGTGTTTT,834,4,k1,k1_1
AAACCTGAGTACGACG-1,True,c2,True,478,TRB,TRBV5-1,None,TRBJ2-7,TRBC2,True,True,CASF,TGTGCCAGCTTC,653,38,k1,k1_2
AAACCTGCAACACGCC-1,True,c1,True,478,Multi,None,None,TRAJ10,TRBC1,False,None,None,None,403,2,None,None
"""


def pairing(receptors) -> dict[str, int]:
    import scirpy as ir

    ir.pp.index_chains(receptors)
    ir.tl.chain_qc(receptors)
    return receptors.obs["chain_pairing"].value_counts().to_dict()


def saved(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refused(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_receptors(path, sample="P01", **options)
    assert f"{path}: sample 'P01': " in str(caught.value)
    return str(caught.value)


# --- real data -------------------------------------------------------------------------------


def test_pbmc_contigs_give_the_published_chain_pairing():
    receptors = read_receptors(shared_data(*PBMC), sample="S1")
    assert receptors.n_obs == 3364
    assert pairing(receptors) == PUBLISHED


def test_chains_agree_with_those_scirpy_reads():
    import scirpy as ir

    path = shared_data("screpertoire_zhao2021") / "contigs" / "P20L_filtered_contig_annotations.csv.gz"
    ours, theirs = read_receptors(path, sample="S1"), ir.io.read_10x_vdj(path)
    assert set(ours.obs["barcode"]) == set(theirs.obs_names)
    order = [f"S1:{name}" for name in theirs.obs_names]
    fields = (
        "locus",
        "v_call",
        "d_call",
        "j_call",
        "c_call",
        "junction",
        "junction_aa",
        "productive",
        "sequence_id",
    )
    for name in (*fields, "umi_count", "consensus_count"):
        assert ours[order].obsm["airr"][name].to_list() == theirs.obsm["airr"][name].to_list(), name


def test_barcodes_of_the_whole_zhao_cohort():
    folder = shared_data("screpertoire_zhao2021") / "contigs"
    sizes = [read_receptors(path, sample="S").n_obs for path in sorted(folder.glob("*.csv.gz"))]
    assert sum(sizes) == 27186


def test_airr_table_and_contigs_of_one_run_agree():
    folder = shared_data("format_examples") / "sc5p_v2_hs_PBMC_1k"
    contigs = read_receptors(folder / "tcr_filtered_contig_annotations.csv.gz", sample="S1")
    airr = read_receptors(folder / "tcr_airr_rearrangement.tsv.gz", sample="S1")
    assert contigs.n_obs == airr.n_obs == 482
    assert pairing(contigs) == pairing(airr)
    assert airr.uns["contigs"]["unknown_locus"] == 0


def test_b_cell_receptors_are_dropped_and_counted():
    path = shared_data("format_examples") / "sc5p_v2_hs_PBMC_1k" / "bcr_filtered_contig_annotations.csv.gz"
    receptors = read_receptors(path, sample="S1")
    assert receptors.n_obs == 0
    assert receptors.uns["contigs"]["b_cell"] == receptors.uns["contigs"]["contigs"] == 202
    assert str(receptors.obsm["airr"].type).startswith("0 * var * {c_call: ?string")


def test_category_counts_agree_with_the_file():
    table = pd.read_csv(shared_data(*PBMC), dtype=str, keep_default_na=False)
    counted = read_receptors(shared_data(*PBMC), sample="S1").uns["contigs"]
    kept = table[~table["chain"].str.startswith("IG")]
    assert counted["contigs"] == len(table)
    assert counted["b_cell"] == len(table) - len(kept)
    assert counted["unknown_locus"] == kept["chain"].isin(["Multi", "None"]).sum()
    assert counted["not_productive"] == (kept["productive"] != "True").sum()
    assert counted["no_junction"] == (kept["cdr3"] == "None").sum()
    assert counted["barcodes"] == kept["barcode"].nunique() == 3364
    assert counted["multichain_barcodes"] == PUBLISHED["multichain"]


def test_a_junction_that_is_no_multiple_of_three_is_out_of_frame(tmp_path):
    text = OLD_STYLE.replace("TGTGCCAGCTTC", "TGTGCCAGCTT").replace("CGCF", "CG*F")
    counted = read_receptors(saved(tmp_path / "x.csv", text), sample="S1").uns["contigs"]
    assert counted["out_of_frame"] == 2


def wheel_data() -> Path:
    from importlib.resources import files

    return Path(str(files("scirpy"))) / "tests" / "data"


@pytest.mark.parametrize("name", ["wu2020_200_v0_11.h5ad", "wu2020_200.h5mu"])
@pytest.mark.parametrize("shared", [True, False])
def test_wu_chains_are_read_from_old_and_new_scirpy_files(name, shared):
    path = shared_data("wu2020_scirpy_wheel") / name if shared else wheel_data() / name
    receptors = read_receptors(path, sample="S1", sample_column=None, barcode_pattern=".+")
    expected = {"wu2020_200_v0_11.h5ad": (200, 322), "wu2020_200.h5mu": (150, 372)}[name]
    assert (receptors.n_obs, receptors.uns["contigs"]["kept"]) == expected
    assert pairing(receptors)["single pair"] == {200: 97, 150: 86}[receptors.n_obs]


@pytest.mark.parametrize("name", ["wu2020_200_v0_11.h5ad", "wu2020_200.h5mu"])
def test_one_sample_of_a_scirpy_file(name):
    receptors = read_receptors(wheel_data() / name, sample="P1", label="LN1", sample_column="sample")
    assert 0 < receptors.n_obs < 30
    assert receptors.obs_names.str.fullmatch(r"P1:[ACGT]{16}-\d+").all()
    assert "has no value 'nope'" in refused(wheel_data() / name, label="nope", sample_column="sample")


def test_scirpy_older_than_0_7_is_refused_by_name():
    assert "of an older scirpy" in refused(wheel_data() / "wu2020_200_v0_6.h5ad")


def test_expression_without_chains_is_refused():
    path = shared_data("pbmc_10x_5p_gex_tcr") / "gex_1k_counts.h5ad"
    assert "holds no receptor chains; expected chains in obsm['airr']" in refused(path)


# --- made-up files ---------------------------------------------------------------------------


def test_styles_of_cell_ranger_read_alike(tmp_path):
    lower = OLD_STYLE.replace("True", "true").replace("False", "false").replace("None", "")
    from_r = OLD_STYLE.replace("None", "NA").replace("True", "TRUE").replace("False", "FALSE")
    texts = [
        OLD_STYLE,
        lower,
        from_r,
        OLD_STYLE.replace("\n", "\r\n"),
        "\ufeff" + OLD_STYLE,
        OLD_STYLE.strip(),
    ]
    expected = read_receptors(saved(tmp_path / "0.csv", OLD_STYLE), sample="S1")
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.csv").write_bytes(text.encode())
        found = read_receptors(tmp_path / f"{number}.csv", sample="S1")
        assert ak.to_list(found.obsm["airr"]) == ak.to_list(expected.obsm["airr"])
        assert found.uns["contigs"] == expected.uns["contigs"]
    assert list(expected.obs_names) == ["S1:AAACCTGAGTACGACG-1", "S1:AAACCTGCAACACGCC-1"]
    assert ak.to_list(expected.obsm["airr"]["locus"]) == [["TRA", "TRB"], [None]]
    assert ak.to_list(expected.obsm["airr"]["umi_count"]) == [[4, 38], [2]]


def test_contigs_of_non_cells_and_low_confidence_are_dropped_and_counted(tmp_path):
    rows = OLD_STYLE.splitlines(keepends=True)
    rows[1] = rows[1].replace("True,c1,True", "False,c1,True")
    rows[2] = rows[2].replace("True,c2,True", "True,c2,False")
    path = saved(tmp_path / "x.csv", "".join(rows))
    receptors = read_receptors(path, sample="S1")
    assert receptors.n_obs == 1
    counted = receptors.uns["contigs"]
    assert (counted["not_cell"], counted["low_confidence"], counted["kept"]) == (1, 1, 1)
    assert read_receptors(path, sample="S1", high_confidence_only=False).n_obs == 2


def test_loci_can_be_chosen(tmp_path):
    path = saved(tmp_path / "x.csv", OLD_STYLE)
    receptors = read_receptors(path, sample="S1", loci=("TRB",))
    assert ak.to_list(receptors.obsm["airr"]["locus"]) == [["TRB"], [None]]
    assert receptors.uns["contigs"]["other_locus"] == 1


def test_generic_airr_table_needs_no_locus(tmp_path):
    text = (
        "cell_id\tproductive\tv_call\tj_call\tjunction\tjunction_aa\tduplicate_count\n"
        "s1_AAACCTGAGTACGACG\tT\tHomsap TRAV29/DV5*01 F\tTRAJ20*01\tTGTGGGTGTTTT\tCGCF\t5\n"
        "s1_AAACCTGAGTACGACG\tF\tTRBV6-2*01,TRBV6-3*01\tTRBJ2-7\t\t\t\n"
    )
    receptors = read_receptors(saved(tmp_path / "x.tsv", text), sample="S1")
    assert list(receptors.obs_names) == ["S1:AAACCTGAGTACGACG"]
    assert ak.to_list(receptors.obsm["airr"]["locus"]) == [["TRA", "TRB"]]
    assert ak.to_list(receptors.obsm["airr"]["umi_count"]) == [[5, None]]
    assert ak.to_list(receptors.obsm["airr"]["productive"]) == [[True, False]]


def test_locus_is_inferred_only_where_genes_agree():
    calls = pd.DataFrame(
        {
            "v_call": ["TRAV1", "TRAV29/DV5", "TRBV1", None, "TRDV1", "IGHV3"],
            "d_call": [None, "TRDD3", None, None, None, None],
            "j_call": ["TRAJ2", "TRDJ1", "TRAJ1", None, "TRDJ1", "IGHJ4"],
        }
    )
    assert infer_loci(calls).where(lambda s: s.notna(), None).to_list() == [
        "TRA",
        "TRD",
        None,
        None,
        "TRD",
        "IGH",
    ]


def test_missing_columns_are_named_with_those_found(tmp_path):
    path = saved(tmp_path / "x.csv", OLD_STYLE.replace("cdr3_nt", "nt").replace("umis", "u"))
    message = refused(path)
    assert "need the columns 'cdr3_nt', 'umis'; found 'barcode', 'is_cell'" in message
    path = saved(tmp_path / "y.tsv", "cell_id\tv_call\nA\tTRAV1\n")
    assert "an AIRR rearrangement file need the columns 'productive', 'j_call'" in refused(path)


def test_bad_values_are_all_named_with_their_line(tmp_path):
    text = OLD_STYLE.replace("True,True,CASF", "True,maybe,CASF").replace(",403,2,", ",403,two,")
    message = refused(saved(tmp_path / "x.csv", text))
    assert "line 3: productive is 'maybe' (1 such lines), expected true, false, T, F or nothing" in message
    assert "line 4: umis is 'two' (1 such lines), expected a number from 0 or nothing" in message
    blank = OLD_STYLE.replace("AAACCTGCAACACGCC-1", "")
    assert "line 4: barcode is empty" in refused(saved(tmp_path / "y.csv", blank))


OTHER_FILES = {
    "empty": (b"", "is an empty file (0 bytes)"),
    "page": (b"<html><body>Sign in</body></html>", "is a web page"),
    "zipped page": (gzip.compress(b"<!doctype html><p>404"), "is a web page"),
    "zip": (b"PK\x03\x04", "is a zip archive"),
    "UTF-16": (OLD_STYLE.encode("utf-16"), "is text in UTF-16"),
    "Latin-1": (OLD_STYLE.replace("k1,", "Zoë,").encode("latin-1"), "is not UTF-8 text"),
    "damaged gzip": (gzip.compress(OLD_STYLE.encode())[:60], "is a damaged gzip file"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_files_are_called_what_they_are(name, tmp_path):
    content, words = OTHER_FILES[name]
    (tmp_path / "x.csv").write_bytes(content)
    assert words in refused(tmp_path / "x.csv")


def test_half_a_download_is_refused(tmp_path):
    content = shared_data(*PBMC).read_bytes()
    (tmp_path / "x.csv.gz").write_bytes(content[: len(content) // 2])
    assert "cannot be read as a table" in refused(tmp_path / "x.csv.gz")


def test_bulk_repertoire_is_refused_with_its_columns():
    path = shared_data("format_examples") / "vdjtools_fmt_vdj.M_15_CD8_beta.clonotypes.TRB.txt.gz"
    assert "(or cell_id, for AIRR); found 'count', 'freq', 'cdr3nt'" in refused(path)


def test_file_with_header_alone_is_an_empty_sample(tmp_path):
    receptors = read_receptors(saved(tmp_path / "x.csv", OLD_STYLE.splitlines()[0] + "\n"), sample="S1")
    assert receptors.n_obs == 0
    assert receptors.uns["contigs"]["contigs"] == 0


def test_two_ids_with_one_barcode_are_refused(tmp_path):
    text = OLD_STYLE.replace("AAACCTGCAACACGCC-1", "B_AAACCTGAGTACGACG-1")
    assert "'AAACCTGAGTACGACG-1'; a barcode names one cell" in refused(saved(tmp_path / "x.csv", text))


def test_result_can_be_written_by_scirpy_and_read_back(tmp_path):
    import scirpy as ir

    receptors = read_receptors(saved(tmp_path / "x.csv", OLD_STYLE), sample="S1")
    ir.io.write_airr(receptors, tmp_path / "out.tsv")
    again = read_receptors(tmp_path / "out.tsv", sample="S1")
    for name in ("locus", "junction_aa", "umi_count", "productive"):
        assert ak.to_list(again.obsm["airr"][name]) == ak.to_list(receptors.obsm["airr"][name])


# --- matching --------------------------------------------------------------------------------


def test_barcodes_match_as_written_when_any_do():
    match = match_barcodes(["s:AA-1", "s:CC-2", "s:GG-1"], ["s:CC-2", "s:GG-2"])
    assert match.mapping.to_dict() == {"s:CC-2": "s:CC-2", "s:GG-2": ""}
    assert (match.share, match.stripped) == (0.5, False)


@pytest.mark.parametrize("receptors", [["AA", "CC"], ["AA-1", "CC-1"]])
@pytest.mark.parametrize("cells", [["AA-2", "TT-2", "CC-2"], ["AA", "TT", "CC"]])
def test_suffix_is_ignored_only_where_nothing_else_matches(cells, receptors):
    match = match_barcodes(cells, receptors)
    assert match.mapping.to_list() == [cells[0], cells[2]]
    assert match.share == 1
    assert match.stripped == (cells[0] != receptors[0])


def test_ambiguous_barcodes_are_not_matched_without_suffix():
    assert match_barcodes(["AA-1", "AA-2", "CC-1"], ["AA", "CC"]).mapping.to_dict() == {
        "AA": "",
        "CC": "CC-1",
    }
    assert match_barcodes(["AA"], ["AA-1", "AA-2"]).mapping.to_list() == ["", ""]


def test_share_of_nothing_is_missing():
    assert np.isnan(match_barcodes([], ["AA-1"]).share)
    assert match_barcodes(["AA-1"], []).mapping.empty


def test_pbmc_overlap_is_the_published_one():
    import anndata as ad

    cells = ad.read_h5ad(shared_data("pbmc_10x_5p_gex_tcr") / "gex_1k_counts.h5ad").obs_names
    with gzip.open(shared_data(*PBMC)) as handle:
        barcodes = pd.read_csv(io.BytesIO(handle.read()))["barcode"].unique()
    match = match_barcodes(cells, barcodes)
    assert (match.mapping != "").sum() == 404
    assert match.share == pytest.approx(0.404)
