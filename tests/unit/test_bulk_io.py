import csv
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


# No raw export of MiXCR is at hand. These files are made, with the columns of the default export as users of each
# version show them: https://github.com/milaboratory/mixcr/issues/318 (2.0) and /issues/980 (3.0 and 4.1).
ALIGNED = "{0}VHits{1} {0}DHits{1} {0}JHits{1} {0}CHits{1} {0}VAlignments {0}DAlignments {0}JAlignments {0}CAlignments"
REGIONS = ("FR1", "CDR1", "FR2", "CDR2", "FR3", "CDR3", "FR4")
MIXCR_COLUMNS = {
    2: [
        *("Clone ID", "Clone count", "Clone fraction", "Clonal sequence(s)", "Clonal sequence quality(s)"),
        *(f"All {gene} {what}" for what in ("hits", "alignments") for gene in "VDJC"),
        *(column for region in REGIONS for column in (f"N. Seq. {region} ", f"Min. qual. {region} ")),
        *(f"AA. Seq.{region} " for region in REGIONS),
        "Ref. points",
    ],
    3: [
        *("cloneId", "cloneCount", "cloneFraction", "targetSequences", "targetQualities"),
        *ALIGNED.format("all", "WithScore").split(),
        *(column for region in REGIONS for column in (f"nSeq{region}", f"minQual{region}")),
        *(f"aaSeq{region}" for region in REGIONS),
        "refPoints",
    ],
    4: [
        *("cloneId", "readCount", "readFraction", "uniqueMoleculeCount", "uniqueMoleculeFraction"),
        *("targetSequences", "targetQualities", *ALIGNED.format("all", "WithScore").split()),
        *("nSeqCDR3", "minQualCDR3", "aaSeqCDR3", "refPoints"),
    ],
}
MIXCR_VALUES = {
    ("cloneId", "Clone ID"): ["0", "1", "2", "3"],
    ("readCount", "cloneCount", "Clone count"): ["162907.0", "1240.0", "31.0", "4.0"],
    ("uniqueMoleculeCount",): ["17152", "140", "9", "1"],
    ("allVHitsWithScore", "All V hits"): [
        "TRBV4-3*00(563.6)",
        "TRBV3-1*00(521.2),TRBV3-2*00(520)",
        "TRBV20OR9-2*00(90)",
        "TRAV8-2*01(893,1),TRAV8-2*02(888,1)",
    ],
    ("allJHitsWithScore", "All J hits"): [
        *("TRBJ1-3*00(458.2)", "TRBJ1-6*00(437.8)", "TRBJ2-4*00(250)", "TRAJ23*01(289),TRAJ23*02(275)"),
    ],
    ("nSeqCDR3", "N. Seq. CDR3 "): [
        *("TGCGCCAGCAGCTATTTT", "TGTGCCAGCAGCCACTTT", "TGTGCCGCGTCTCGGGGCT", "TGTGTTGTGAGCTTC"),
    ],
    ("aaSeqCDR3", "AA. Seq.CDR3 "): ["CASSYF", "CASSHF", "CAA_RG", "CVVSF"],
}


def mixcr_table(version):
    given = {name: values for names, values in MIXCR_VALUES.items() for name in names}
    return {name: given.get(name, [""] * 4) for name in MIXCR_COLUMNS[version]}


@pytest.mark.parametrize("version", MIXCR_COLUMNS)
def test_mixcr_exports_of_three_versions(tmp_path, version):
    found = read_bulk(write(tmp_path / "clones.tsv", mixcr_table(version)))
    assert found.format == "MiXCR"
    rows = found.rows
    assert rows["v_call"].tolist() == ["TRBV4-3", "TRBV3-1", "TRBV20/OR9-2", "TRAV8-2"]
    assert rows["j_call"].tolist() == ["TRBJ1-3", "TRBJ1-6", "TRBJ2-4", "TRAJ23"]
    assert rows["locus"].tolist() == ["TRB", "TRB", "TRB", "TRA"]
    assert rows["productive"].tolist() == [True, True, False, True]
    if version == 4:
        assert (found.count_column, found.counted) == ("uniqueMoleculeCount", "UMIs")
        assert rows["count"].tolist() == [17152, 140, 9, 1]
    else:
        assert (found.count_column, found.counted) == ({2: "Clone count", 3: "cloneCount"}[version], "reads")
        assert rows["count"].tolist() == [162907, 1240, 31, 4]


def test_mixcr_without_molecules_counts_reads(tmp_path):
    table = {name: values for name, values in mixcr_table(4).items() if not name.startswith("uniqueMolecule")}
    found = read_bulk(write(tmp_path / "clones.tsv", table))
    assert (found.count_column, found.counted, found.rows["count"].sum()) == ("readCount", "reads", 164182)
    uncovered = {**table, "nSeqCDR3": ["region_not_covered"] * 4}
    assert set(read_bulk(write(tmp_path / "b.tsv", uncovered)).rows["junction"]) == {""}


MIXCR4 = mixcr_table(4)


def test_a_table_without_counts_is_refused_with_file_columns_and_allowed_names(tmp_path):
    bare = {name: values for name, values in MIXCR4.items() if not name.endswith("Count")}
    with pytest.raises(InputError) as raised:
        read_bulk(write(tmp_path / "clones.tsv", bare))
    for part in ("clones.tsv", "sample 'S1'", "lacks a column of counts", "MiXCR", "readcount", "'nSeqCDR3'"):
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


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    wrong = {"duplicate_count": ["x", "2", ""], "productive": ["T", "F", "maybe"], "repertoire_id": ["r1", "r2", "r2"]}
    with pytest.raises(InputError) as raised:
        read_bulk(write(tmp_path / "a.tsv", {**AIRR, **wrong}))
    for part in ("holds 2 repertoires", "line 4: productive is 'maybe'", r"line 2: duplicate_count is 'x' (2 such"):
        assert part in str(raised.value)
    lacking = {name: values for name, values in AIRR.items() if name not in ("junction", "j_call", "duplicate_count")}
    with pytest.raises(InputError) as raised:
        read_bulk(write(tmp_path / "b.tsv", lacking))
    for part in ("'junction'", "'jcall'", "a column of counts, one of 'umicount'"):
        assert part in str(raised.value)
    some = {name: values for name, values in AIRR.items() if name != "duplicate_count"}
    with pytest.raises(InputError, match=r"lacks a column of counts.*not all of its rows name a cell"):
        read_bulk(write(tmp_path / "c.tsv", {**some, "cell_id": ["c1", "", "c2"]}))


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
        ("TCRBV12-03/12-04*01", "TRBV12-3"),
        ("TCRBV06-02/06-03", "TRBV6-2"),
        ("TRBV20OR9-2*00(90)", "TRBV20/OR9-2"),
        ("TRBV29/OR9-2", "TRBV29/OR9-2"),
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


def test_immunoseq_without_frame_or_place_of_the_junction_finds_it_by_its_residues(tmp_path):
    """Analysts choose the columns of an export; the first two are of public data, the last has no residues."""
    reads = [
        "CTGCTGTCGGCTGCTCCCTCCCAGACATCTGTGTACTTCTGTGCCAGCAGTTTACTCGGGTTAGGGAGCGAGCAGTACTTCGGGCCG",
        "CACGCCCTGCAGCCAGAAGACTCAGCCCTGTATCTCTGCGCCAGCAGCCCGGGACAGGGGGAGGGCTACGAGCAGTACTTCGGGCCG",
        "GCACAGAGCAGGGGGACTCGGCCATGTATCTCTGTGCCAGCAGCTTACTGGTAAACCCCCACTGCTTATGAGCAGTTCTTCGGGCCA",
    ]
    table = {"sample_name": ["a"] * 3, "productive_frequency": ["0.6", "0.4", "no data"]}
    table |= {"templates": ["451", "325", "170"], "amino_acid": ["CASSLLGLGSEQYF", "CASSPGQGEGYEQYF", "na"]}
    table |= {"rearrangement": reads, "v_resolved": ["TCRBV06", "TCRBV04-01*01", "TCRBV07-09*01"]}
    table |= {"d_resolved": ["no data"] * 3, "j_resolved": ["TCRBJ02-07*01", "TCRBJ02-07*01", "no data"]}
    found = read_bulk(write(tmp_path / "s.tsv", table))
    assert (found.format, found.counted, found.rows["count"].tolist()) == ("immunoSEQ", "templates", [451, 325, 170])
    assert found.rows["productive"].tolist() == [True, True, False]
    assert found.rows["junction"].tolist()[:2] == [
        "TGTGCCAGCAGTTTACTCGGGTTAGGGAGCGAGCAGTACTTC",
        "TGCGCCAGCAGCCCGGGACAGGGGGAGGGCTACGAGCAGTACTTC",
    ]
    assert found.rows["junction"].iloc[2] == reads[2]
    assert found.rows["v_call"].tolist() == ["TRBV6", "TRBV4-1", "TRBV7-9"]
    assert found.rows["j_call"].tolist() == ["TRBJ2-7", "TRBJ2-7", ""]


def test_a_junction_found_by_its_residues_is_the_one_at_the_place_given(tmp_path):
    path = shared_data("lymphoseq2_longitudinal_tcrb", "TRB_CD4_949.tsv.gz")
    placed = read_rows(path).rows
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).drop(columns=["vIndex", "cdr3Length"])
    target = tmp_path / "s.tsv"
    table.to_csv(target, sep="\t", index=False)
    found = read_rows(target).rows
    good = placed["productive"]
    assert good.sum() == 845
    assert (found["productive"] == good).all()
    assert (found["junction"][good] == placed["junction"][good]).all()


LYMPHOSEQ = "lymphoseq2_longitudinal_tcrb"
HSCT = ("britanova_vdjtools_bulk_tcrb", "hsct")
#: Real file -> its format, and the column that ought to be counted.
REAL = {
    **{("immunarch_immdata", f"MS{number}.tsv.gz"): ("immunarch", "Clones") for number in range(1, 7)},
    **{(*HSCT, f"{name}.txt.gz"): ("VDJtools", "#count") for name in ("minus48months", "10months", "37months")},
    (*HSCT, "4months.txt.gz"): ("VDJtools", "#Seq. Count"),
    ("format_examples", "vdjtools_fmt_vdj.M_15_CD8_beta.clonotypes.TRB.txt.gz"): ("VDJtools", "count"),
    **{
        (LYMPHOSEQ, f"TRB_{name}.tsv.gz"): ("immunoSEQ", "estimatedNumberGenomes")
        for name in ("CD4_949", "CD8_949", "CD8_CMV_369", "Unsorted_0", "Unsorted_949", "Unsorted_1320")
    },
    **{(LYMPHOSEQ, f"TRB_Unsorted_{day}.tsv.gz"): ("immunoSEQ", "count (templates/reads)") for day in (32, 83, 369)},
}
#: Where each format tells what is productive, by name of a column.
FRAMES = {"immunoSEQ": "sequenceStatus"}
PROTEINS = {"immunarch": "CDR3.aa", "VDJtools": "cdr3aa"}


@pytest.mark.parametrize("parts", REAL, ids=lambda parts: parts[-1])
def test_totals_of_real_files_are_those_of_their_columns(parts):
    """Line by line with the csv module, columns by their own names."""
    path = shared_data(*parts)
    name, column = REAL[parts]
    lines = gzip.decompress(path.read_bytes()).decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    table = list(csv.DictReader(filter(None, lines), delimiter="\t"))
    protein = "AA Sequence" if "AA Sequence" in table[0] else PROTEINS.get(name)
    nucleotides = {"immunarch": "CDR3.nt"}.get(name, "N Sequence" if "N Sequence" in table[0] else "cdr3nt")
    total, good, productive = 0, 0, 0
    for line in table:
        inside = line[FRAMES[name]] == "In" if name in FRAMES else None
        if inside is None:
            inside = line[protein].isalpha() and len(line[nucleotides]) % 3 == 0
        total += int(float(line[column]))
        productive += inside
        good += int(float(line[column])) * inside
    found = read_rows(path)
    assert (found.format, found.count_column, len(found.rows)) == (name, column, len(table))
    assert found.rows["count"].sum() == total
    assert found.rows["productive"].sum() == productive
    assert found.rows.loc[found.rows["productive"], "count"].sum() == good
    assert set(found.rows["locus"]) <= {"TRB", ""}


def test_airr_of_one_repertoire_has_the_reads_of_the_table_it_was_made_from(tmp_path):
    with gzip.open(shared_data("immunarch_immdata", "immdata_airr.tsv.gz"), "rt") as lines:
        one = [line for line in lines if line.startswith(("repertoire_id", "MS3\t"))]
    (tmp_path / "MS3.tsv").write_text("".join(one))
    airr, table = read_rows(tmp_path / "MS3.tsv"), read_rows(shared_data("immunarch_immdata", "MS3.tsv.gz"))
    assert (airr.format, airr.count_column, airr.rows["count"].sum()) == ("AIRR", "duplicate_count", 8500)
    for name in ("junction", "v_call", "j_call", "count", "productive"):
        assert airr.rows[name].tolist() == table.rows[name].tolist()
