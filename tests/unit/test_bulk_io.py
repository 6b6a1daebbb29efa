import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.bulk_io import ROW_COLUMNS, name_gene, read_bulk, read_repertoires
from immune_landscape.errors import InputError
from immune_landscape.input_files import Place
from immune_landscape.repertoire_metrics import diversity

AIRR = {
    "sequence_id": ["a", "b", "c"],
    "v_call": ["TRBV7-2*01", "TRBV9*01", "TRBV9*01"],
    "j_call": ["TRBJ2-3*01", "TRBJ2-7*01", "TRBJ2-7*01"],
    "junction": ["TGTGCC", "tgtagc", "TGTAG"],
    "junction_aa": ["CA", "CS", ""],
    "productive": ["T", "true", "F"],
    "duplicate_count": ["5", "2.0", "1"],
}


def write(path, columns, separator="\t", line="\n"):
    table = pd.DataFrame(columns)
    path.write_bytes(table.to_csv(sep=separator, index=False, lineterminator=line).encode())
    return Place(path, "S1")


def read_rows(path):
    return read_bulk(Place(path, "S1"))


def codons_of(nucleotides, residues):
    """Tell whether a junction is three bases per residue and begins with the conserved cysteine."""
    return len(nucleotides) == 3 * len(residues) and nucleotides[:3] in ("TGT", "TGC")


def test_airr_rows_are_typed_and_genes_bare(tmp_path):
    found = read_bulk(write(tmp_path / "a.tsv", AIRR))
    assert (found.format, found.count_column, found.counted) == ("AIRR", "duplicate_count", "copies")
    assert list(found.rows.columns) == ROW_COLUMNS
    assert found.rows["v_call"].tolist() == ["TRBV7-2", "TRBV9", "TRBV9"]
    assert found.rows["junction"].tolist() == ["TGTGCC", "TGTAGC", "TGTAG"]
    assert found.rows["productive"].tolist() == [True, True, False]
    assert found.rows["count"].tolist() == [5, 2, 1]
    assert set(found.rows["locus"]) == {"TRB"}


def test_compressed_and_comma_separated_files_are_the_same(tmp_path):
    plain = read_bulk(write(tmp_path / "a.tsv", AIRR)).rows
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress((tmp_path / "a.tsv").read_bytes()))
    for other in (tmp_path / "a.tsv.gz", write(tmp_path / "a.csv", AIRR, ",").path):
        pd.testing.assert_frame_equal(read_rows(other).rows, plain)
    pd.testing.assert_frame_equal(read_bulk(write(tmp_path / "b.tsv", AIRR, line="\r")).rows, plain)


def test_umis_go_before_copies_and_an_empty_column_is_passed_over(tmp_path):
    with_umis = {**AIRR, "consensus_count": ["90", "80", "7"], "umi_count": ["3", "2", "1"]}
    found = read_bulk(write(tmp_path / "a.tsv", with_umis))
    assert (found.count_column, found.counted, found.rows["count"].tolist()) == ("umi_count", "UMIs", [3, 2, 1])
    blank = read_bulk(write(tmp_path / "b.tsv", {**with_umis, "umi_count": ["", "", ""]}))
    assert (blank.count_column, blank.rows["count"].tolist()) == ("duplicate_count", [5, 2, 1])


def test_the_locus_comes_from_its_column_and_else_from_the_genes(tmp_path):
    mixed = {**AIRR, "v_call": ["TRAV1-2*01", "", ""], "j_call": ["TRAJ33*01", "TRBJ2-7*01", ""]}
    assert read_bulk(write(tmp_path / "a.tsv", mixed)).rows["locus"].tolist() == ["TRA", "TRB", ""]
    named = {**mixed, "locus": ["", "TRG", "TRB"]}
    assert read_bulk(write(tmp_path / "b.tsv", named)).rows["locus"].tolist() == ["TRA", "TRG", "TRB"]


MIXCR4 = {
    "cloneId": ["0", "1"],
    "readCount": ["40", "7"],
    "uniqueMoleculeCount": ["9", "3"],
    "allVHitsWithScore": ["TRBV28*00(1234.5),TRBV27*00(900)", "TRBV9*00(1000)"],
    "allJHitsWithScore": ["TRBJ2-7*00(300)", "TRBJ1-1*00(210)"],
    "nSeqCDR3": ["TGTGCCAGC", "TGTGCC_GC"],
    "aaSeqCDR3": ["CAS", "CA_S"],
}


def test_mixcr_counts_molecules_and_takes_the_best_gene(tmp_path):
    found = read_bulk(write(tmp_path / "clones.tsv", MIXCR4))
    assert (found.format, found.counted, found.rows["count"].tolist()) == ("MiXCR", "UMIs", [9, 3])
    assert found.rows["v_call"].tolist() == ["TRBV28", "TRBV9"]
    assert found.rows["productive"].tolist() == [True, False]
    spaced = {"Clone count": ["4", "2"], "All V hits": MIXCR4["allVHitsWithScore"]}
    spaced |= {"All J hits": MIXCR4["allJHitsWithScore"], "N. Seq. CDR3": MIXCR4["nSeqCDR3"]}
    old = read_bulk(write(tmp_path / "old.txt", {**spaced, "AA. Seq. CDR3": MIXCR4["aaSeqCDR3"]}))
    assert (old.format, old.count_column, old.counted) == ("MiXCR", "Clone count", "reads")


def test_a_table_without_counts_is_refused_with_file_columns_and_allowed_names(tmp_path):
    bare = {name: values for name, values in MIXCR4.items() if not name.endswith("Count")}
    with pytest.raises(InputError) as raised:
        read_bulk(write(tmp_path / "clones.tsv", bare))
    for part in ("clones.tsv", "sample 'S1'", "no column of counts", "MiXCR", "readcount", "'nSeqCDR3'"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"duplicate_count": ["5", "", "1"]}, r"line 3: duplicate_count is empty \(1 such lines\)"),
        ({"duplicate_count": ["5", "2", "0.5"]}, "line 4: duplicate_count is '0.5'"),
        ({"duplicate_count": ["-1", "2", "1"]}, "line 2: duplicate_count is '-1'"),
        ({"duplicate_count": ["many", "2", "1"]}, "expected a whole number from 0"),
        ({"duplicate_count": ["", "", ""]}, "has no value in the column 'duplicate_count' of counts"),
        ({"productive": ["T", "maybe", "F"]}, "line 3: productive is 'maybe'"),
        ({"repertoire_id": ["r1", "r2", "r2"]}, r"holds 2 repertoires \('r1', 'r2'\)"),
    ],
)
def test_wrong_values_are_named_by_line_and_column(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        read_bulk(write(tmp_path / "a.tsv", {**AIRR, **changes}))


def test_what_is_no_repertoire_is_refused(tmp_path):
    lacking = {name: values for name, values in AIRR.items() if name != "junction"}
    with pytest.raises(InputError, match="looks like AIRR but lacks one of 'junction'"):
        read_bulk(write(tmp_path / "a.tsv", lacking))
    with pytest.raises(InputError, match="expected those of AIRR, MiXCR, immunoSEQ, VDJtools, immunarch"):
        read_bulk(write(tmp_path / "b.tsv", {"gene": ["x"], "count": ["1"]}))
    with pytest.raises(InputError, match="no row below the header"):
        read_bulk(write(tmp_path / "c.tsv", {name: [] for name in AIRR}))
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "absent.tsv")
    (tmp_path / "d.tsv").write_bytes(b"%PDF-1.4")
    with pytest.raises(InputError, match="is a PDF document"):
        read_rows(tmp_path / "d.tsv")


@pytest.mark.parametrize(
    ("call", "gene"),
    [
        ("TRBV12-4*01(1260),TRBV12-3*01(1250)", "TRBV12-4"),
        ("TRBV12-4, TRBV12-3", "TRBV12-4"),
        ("TCRBV28-01*01", "TRBV28"),
        ("TCRBV25-01", "TRBV25-1"),
        ("TCRBV06-06", "TRBV6-6"),
        ("TCRBV12", "TRBV12"),
        ("TCRBV20-or09_02", "TRBV20/OR9-2"),
        ("TCRBVA-or09_02", "TRBVA/OR9-2"),
        ("TCRBJ01-02*01", "TRBJ1-2"),
        ("TRBV20/OR9-2*01", "TRBV20/OR9-2"),
        ("", ""),
    ],
)
def test_genes_are_named_as_imgt_does(call, gene):
    assert name_gene(call) == gene


def test_adaptive_names_become_genes_of_the_published_recombination_model():
    import olga

    folder = Path(olga.__file__).parent / "default_models" / "human_T_beta"
    anchors = [pd.read_csv(folder / f"{segment}_gene_CDR3_anchors.csv")["gene"] for segment in "VJ"]
    known = set(pd.concat(anchors).str.split("*").str[0])
    rows = read_rows(shared_data("lymphoseq2_longitudinal_tcrb", "TRB_Unsorted_0.tsv.gz")).rows
    functional = rows[rows["productive"]]
    # Where the gene is not told the family stands; two are pseudogenes that the model leaves out.
    besides = {name.split("-")[0] for name in known} | {"TRBV7-5", "TRBV21-1"}
    assert set(functional["j_call"]) <= known
    assert set(functional["v_call"]) <= known | besides
    assert functional["v_call"].isin(known).mean() > 0.75


def test_real_immunarch_table():
    found = read_rows(shared_data("immunarch_immdata", "MS1.tsv.gz"))
    assert (found.format, found.count_column) == ("immunarch", "Clones")
    assert (len(found.rows), found.rows["count"].sum()) == (5405, 8500)
    good = found.rows[found.rows["productive"]]
    assert all(map(codons_of, good["junction"], good["junction_aa"]))
    stopped = found.rows[~found.rows["productive"]]
    assert len(stopped) == 104
    assert (stopped["junction_aa"].str.contains(r"[*_~]") | (stopped["junction"].str.len() % 3 != 0)).all()


def test_real_airr_file_of_several_repertoires_is_refused():
    with pytest.raises(InputError, match="holds 12 repertoires"):
        read_rows(shared_data("immunarch_immdata", "immdata_airr.tsv.gz"))


def test_real_airr_of_cell_ranger_tells_the_loci_apart():
    rows = read_rows(shared_data("format_examples", "sc5p_v2_hs_PBMC_1k", "tcr_airr_rearrangement.tsv.gz")).rows
    assert rows["locus"].value_counts().to_dict() == {"TRB": 481, "TRA": 468}


def test_real_vdjtools_tables_give_the_published_clonality():
    published = {"minus48months": 0.037, "4months": 0.230, "10months": 0.178, "37months": 0.148}
    for name, clonality in published.items():
        path = shared_data("britanova_vdjtools_bulk_tcrb", "hsct", f"{name}.txt.gz")
        found = read_rows(path)
        assert found.format == "VDJtools"
        assert round(diversity(found.rows["count"].to_numpy())["clonality"], 3) == clonality
    assert found.count_column == "#count"


def test_real_vdjtools_table_with_old_line_ends_and_double_calls():
    found = read_rows(shared_data("britanova_vdjtools_bulk_tcrb", "hsct", "4months.txt.gz"))
    assert (found.count_column, len(found.rows)) == ("#Seq. Count", 2257)
    assert found.rows.iloc[0][["v_call", "j_call", "count"]].tolist() == ["TRBV12-4", "TRBJ1-1", 1176]
    deep = read_rows(shared_data("format_examples", "vdjtools_fmt_vdj.M_15_CD8_beta.clonotypes.TRB.txt.gz"))
    assert len(deep.rows) == 67_238


def test_real_immunoseq_tables_cut_the_junction_and_choose_templates():
    folder = "lymphoseq2_longitudinal_tcrb"
    templates = read_rows(shared_data(folder, "TRB_CD4_949.tsv.gz"))
    assert (templates.count_column, templates.counted) == ("estimatedNumberGenomes", "templates")
    good = templates.rows[templates.rows["productive"]]
    assert len(good) == 845
    assert all(map(codons_of, good["junction"], good["junction_aa"]))
    old = read_rows(shared_data(folder, "TRB_Unsorted_83.tsv.gz"))
    assert (old.count_column, old.counted) == ("count (templates/reads)", "templates or reads")


def test_the_samples_of_a_design_are_read_in_order(tmp_path):
    paths = [str(write(tmp_path / f"{name}.tsv", AIRR).path) for name in "ab"]
    design = pd.DataFrame({"sample": ["a", "b", "c", "d"], "bulk_tcr": [*paths, "", np.nan]})
    assert [(name, found.rows["count"].sum()) for name, found in read_repertoires(design)] == [("a", 8), ("b", 8)]
