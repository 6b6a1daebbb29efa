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
    with pytest.raises(InputError, match="expected those of AIRR, MiXCR, immunoSEQ, VDJtools, immunarch, 10x contigs"):
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


def test_real_immunoseq_tables_of_two_versions_give_a_clone_one_junction():
    folder = "lymphoseq2_longitudinal_tcrb"
    names = ("TRB_Unsorted_83", "TRB_Unsorted_1320")
    old, new = (read_rows(shared_data(folder, f"{name}.tsv.gz")).rows for name in names)
    for rows in (old, new):
        good = rows[rows["productive"]]
        assert (good["junction"].str.len() == 3 * good["junction_aa"].str.len()).all()
        assert np.mean(list(map(codons_of, good["junction"], good["junction_aa"]))) > 0.99
    # The old table counts a codon behind the conserved phenylalanine into the length of the CDR3.
    shared = set(old.loc[old["productive"], "junction"]) & set(new.loc[new["productive"], "junction"])
    assert len(shared) > 50


def test_the_samples_of_a_design_are_read_patient_by_patient(tmp_path):
    paths = [str(write(tmp_path / f"{name}.tsv", AIRR).path) for name in "abc"]
    design = pd.DataFrame({"sample": list("abcde"), "patient": list("yxyxz"), "bulk_tcr": [*paths, "", np.nan]})
    assert [name for name, _ in read_repertoires(design)] == ["a", "c", "b"]
    assert [found.rows["count"].sum() for _, found in read_repertoires(design)] == [8, 8, 8]


CONTIGS = {
    "barcode": ["AA-1", "AA-1", "AA-1", "CC-1", "GG-1", "TT-1"],
    "is_cell": ["True", "True", "True", "True", "True", "False"],
    "chain": ["TRB", "TRB", "TRA", "TRB", "TRB", "TRB"],
    "v_gene": ["TRBV9", "TRBV9", "TRAV2", "TRBV9", "TRBV9", "TRBV9"],
    "j_gene": ["TRBJ2-7", "TRBJ2-7", "TRAJ1", "TRBJ2-7", "TRBJ2-7", "TRBJ2-7"],
    "cdr3": ["CA", "CA", "CS", "CA", "None", "CA"],
    "cdr3_nt": ["TGTGCC", "TGTGCC", "TGTAGC", "TGTGCC", "None", "TGTGCC"],
    "productive": ["True", "True", "True", "True", "None", "True"],
    "umis": ["40", "3", "8", "1", "2", "9"],
}


def test_contigs_of_cells_count_cells_and_not_their_molecules(tmp_path):
    found = read_bulk(write(tmp_path / "contigs.csv", CONTIGS, ","))
    assert (found.format, found.count_column, found.counted) == ("10x contigs", "barcode", "cells")
    # The second chain of a cell is the same rearrangement again; the last barcode is no cell.
    assert found.rows["count"].tolist() == [1, 0, 1, 1, 1, 0]
    assert found.rows["productive"].tolist() == [True, True, True, True, False, True]
    named = read_bulk(write(tmp_path / "airr.tsv", {**AIRR, "cell_id": ["c1", "c2", "c3"]}))
    assert (named.count_column, named.rows["count"].tolist()) == ("cell_id", [1, 1, 1])
    blank = read_bulk(write(tmp_path / "bulk.tsv", {**AIRR, "cell_id": ["", "", ""]}))
    assert (blank.count_column, blank.rows["count"].tolist()) == ("duplicate_count", [5, 2, 1])


def test_real_contigs_collapse_to_the_cells_of_each_clonotype():
    folder = ("format_examples", "sc5p_v2_hs_PBMC_1k")
    contigs = shared_data(*folder, "tcr_filtered_contig_annotations.csv.gz")
    rows = read_rows(contigs).rows
    table = pd.read_csv(contigs)
    of_beta = table[(table["chain"] == "TRB") & table["productive"].astype(str).eq("True") & table["is_cell"]]
    keys = ["cdr3_nt", "v_gene", "j_gene"]
    expected = of_beta.groupby(keys)["barcode"].nunique().sort_values(ascending=False)
    good = rows[(rows["locus"] == "TRB") & rows["productive"]]
    sizes = good.groupby(["junction", "v_call", "j_call"])["count"].sum()
    assert sizes.rename_axis(keys).sort_index().tolist() == expected.sort_index().tolist()
    airr = read_rows(shared_data(*folder, "tcr_airr_rearrangement.tsv.gz"))
    both = airr.rows[(airr.rows["locus"] == "TRB") & airr.rows["productive"]]
    assert airr.counted == "cells"
    assert both.groupby(["junction", "v_call", "j_call"])["count"].sum().sort_index().tolist() == sizes.tolist()


IMMUNOSEQ = {
    1: ["nucleotide", "aminoAcid", "estimatedNumberGenomes", "sequenceStatus"],
    2: ["nucleotide", "aminoAcid", "count (templates/reads)", "sequenceStatus"],
    3: ["rearrangement", "amino_acid", "templates", "frame_type"],
    4: ["rearrangement", "amino_acid", "templates", "frame_type"],
}


@pytest.mark.parametrize("version", IMMUNOSEQ)
def test_immunoseq_headers_of_all_versions(tmp_path, version):
    sequence, protein, count, frame = IMMUNOSEQ[version]
    old = version < 3
    names = (
        ("vGeneName", "jGeneName", "vIndex", "cdr3Length") if old else ("v_gene", "j_gene", "v_index", "cdr3_length")
    )
    v_gene, j_gene, start, length = names
    table = {sequence: ["AAATGTGCCAGCTTC", "AATGTGCCTTT"], protein: ["CASF", ""], count: ["7", "2"]}
    table |= {frame: ["In", "Out"], v_gene: ["TCRBV28-01", "TCRBV05-04"], j_gene: ["TCRBJ02-07", "TCRBJ01-01"]}
    table |= {start: ["3", "2"], length: ["12", "9"]}
    if version == 4:
        table["v_resolved"] = [f"{table.pop('v_gene')[0]}*01", "TCRBV05-04"]
        table |= {"extended_rearrangement": ["", ""], "bio_identity": ["CASF+TCRBV28-01+TCRBJ02-07", "X"]}
        table |= {"rearrangement_type": ["VDJ", "VDJ"]}
    found = read_bulk(write(tmp_path / "s.tsv", table))
    assert (found.format, found.count_column, found.counted[:9]) == ("immunoSEQ", count, "templates")
    assert found.rows["junction"].tolist() == ["TGTGCCAGCTTC", "TGTGCCTTT"]
    assert found.rows["v_call"].tolist() == ["TRBV28", "TRBV5-4"]
    assert found.rows["productive"].tolist() == [True, False]
