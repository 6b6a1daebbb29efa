"""Snapshots of receptors with known antigens: every layout, what is left out, and what cannot be used."""

import gzip

import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.antigen_snapshots import (
    ENTRY_COLUMNS,
    FACT_COLUMNS,
    Snapshot,
    name_species,
    read_snapshot,
    read_snapshots,
    snapshot_problems,
)
from immune_landscape.errors import InputError
from immune_landscape.store import sha256_of

REAL = {
    "vdjdb": "vdjdb_human_from_chunks.tsv.gz",
    "mcpas": "McPAS-TCR.csv.gz",
    "conga": "conga_new_paired_tcr_db_for_matching_nr.tsv.gz",
}
IEDB_GROUPS = ["Receptor"] * 2 + ["Epitope"] * 3 + ["Assay"] + ["Chain 1"] * 8 + ["Chain 2"] * 8
CHAIN = ["Type", "Organism IRI", "Curated V Gene", "Calculated V Gene", "Curated J Gene", "Calculated J Gene"]
IEDB_FIELDS = ["Group IRI", "Type", "Name", "Source Molecule", "Source Organism", "MHC Allele Names"]
IEDB_FIELDS += [*CHAIN, "CDR3 Curated", "CDR3 Calculated"] * 2
HUMAN, MOUSE = (f"http://purl.obolibrary.org/obo/NCBITaxon_{taxon}" for taxon in (9606, 10090))
CMV = ["NLVPMVATV", "65 kDa phosphoprotein", "Human herpesvirus 5 (Human cytomegalovirus)", "HLA-A*02:01"]


def write(path, rows, separator):
    path.write_text("".join(separator.join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def snapshot(path, kind, name="one"):
    return Snapshot(name, kind, path, sha256_of(path))


def read(path, kind, min_score=0):
    return read_snapshot(snapshot(path, kind), min_score=min_score)


@pytest.mark.parametrize("kind", list(REAL))
def test_every_record_of_the_real_files_is_an_entry_or_counted_as_left_out(kind):
    entries, facts = read(shared_data("antigen_db", REAL[kind]), kind)
    assert list(entries.columns) == ENTRY_COLUMNS
    assert list(facts) == FACT_COLUMNS
    left = facts["no_cdr3_form"] + facts["no_antigen"] + facts["low_score"] + facts["repeated"]
    assert facts["chains"] == facts["entries"] + left
    assert facts["entries"] == len(entries)
    assert entries["junction_aa"].str.fullmatch(r"C[A-Z]+[FW]").all()
    assert not entries["v_call"].str.contains(r"[*:]").any()
    assert set(entries["locus"]) == {"TRA", "TRB"}


def test_counts_of_the_real_files_are_those_of_plain_pandas():
    path = shared_data("antigen_db", REAL["mcpas"])
    table = pd.read_csv(path, encoding="latin-1", dtype=str, keep_default_na=False)
    human = table[table["Species"] == "Human"]
    _, facts = read(path, "mcpas")
    assert facts["records"] == len(table)
    assert facts["not_human"] == (~table["Species"].isin(["Human"]) & _has_chain(table)).sum()
    assert facts["chains"] == sum((human[name] != "NA").sum() for name in ("CDR3.alpha.aa", "CDR3.beta.aa"))
    vdjdb = pd.read_csv(shared_data("antigen_db", REAL["vdjdb"]), sep="\t", dtype=str, keep_default_na=False)
    beta = vdjdb.loc[vdjdb["antigen.epitope"] == "NLVPMVATV", "cdr3.beta"]
    entries, _ = read(shared_data("antigen_db", REAL["vdjdb"]), "vdjdb")
    found = entries[(entries["epitope"] == "NLVPMVATV") & (entries["locus"] == "TRB")]
    assert set(found["junction_aa"]) == set(beta[beta.str.fullmatch("C[A-Z]{3,}[FW]")])
    assert set(found["species"]) == {"CMV"}


def _has_chain(table):
    return (table[["CDR3.alpha.aa", "CDR3.beta.aa"]] != "NA").any(axis=1)


def test_the_release_of_vdjdb_has_a_row_per_chain_and_scores(tmp_path):
    header = ["gene", "cdr3", "v.segm", "j.segm", "species", "mhc.a", "antigen.epitope", "antigen.gene"]
    header += ["antigen.species", "vdjdb.score"]
    rows = [
        ["TRB", "CASSLAPGATNEKLFF", "TRBV7-6*01", "TRBJ1-4*01", "HomoSapiens", "A*02", "NLV", "pp65", "CMV", "3"],
        ["TRB", "CASSIRSSYEQYF", "TRBV19*01", "TRBJ2-7*01", "HomoSapiens", "A*02", "GIL", "M", "InfluenzaA", "0"],
        ["TRB", "CASSIRSSYEQYF", "TRBV19*01", "TRBJ2-7*01", "MusMusculus", "H2", "GIL", "M", "InfluenzaA", "1"],
    ]
    path = write(tmp_path / "vdjdb.txt", [header, *rows], "\t")
    entries, facts = read(path, "vdjdb", min_score=1)
    assert entries[["v_call", "j_call", "species", "score"]].to_numpy().tolist() == [["TRBV7-6", "TRBJ1-4", "CMV", 3.0]]
    assert (facts["not_human"], facts["low_score"], facts["entries"]) == (1, 1, 1)
    web = ["Gene", "CDR3", "V", "J", "Species", "MHC A", "Epitope", "Epitope gene", "Epitope species", "Score"]
    again, _ = read(write(tmp_path / "web.tsv", [web, *rows], "\t"), "vdjdb", min_score=1)
    pd.testing.assert_frame_equal(again, entries)


def iedb(tmp_path, rows):
    return write(tmp_path / "tcr_full_v3.csv", [IEDB_GROUPS, IEDB_FIELDS, *rows], ",")


def test_the_iedb_export_has_two_header_rows_and_junctions_without_their_ends(tmp_path):
    none = [""] * 8
    alpha = ["alpha", HUMAN, "TRAV1-2", "", "TRAJ33*01", "", "AVRDSNYQLI", ""]
    rows = [
        # Curated CDR3 without ends, V gene only calculated; alpha chain ends in tryptophan after TRAJ33.
        ["1", "alphabeta", *CMV, *alpha, "beta", HUMAN, "", "TRBV7-6*01", "TRBJ1-4", "", "", "ASSLAPGATNEKLF"],
        ["2", "alphabeta", *CMV, *none, "beta", HUMAN, "TRBV19", "", "TRBJ2-7", "", "CASSIRSSYEQYF", ""],
        ["3", "alphabeta", *CMV, *none, "beta", MOUSE, "TRBV19", "", "TRBJ2-7", "", "CASSIRSSYEQYF", ""],
        ["4", "gammadelta", *CMV, *none, "delta", HUMAN, "TRDV1", "", "", "", "CALGELF", ""],
    ]
    entries, facts = read(iedb(tmp_path, rows), "iedb")
    found = entries[["locus", "junction_aa", "v_call"]].to_numpy().tolist()
    assert ["TRA", "CAVRDSNYQLIW", "TRAV1-2"] in found
    assert ["TRB", "CASSLAPGATNEKLFF", "TRBV7-6"] in found
    assert ["TRB", "CASSIRSSYEQYF", "TRBV19"] in found
    assert len(found) == 3
    assert set(entries["species"]) == {"CMV"}
    assert (facts["records"], facts["not_human"], facts["other_kind"]) == (4, 1, 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Cytomegalovirus (CMV)", "CMV"),
        ("Human herpesvirus 5 (Human cytomegalovirus)", "CMV"),
        ("Epstein Barr virus (EBV)", "EBV"),
        ("Influenza", "InfluenzaA"),
        ("DENV3/4", "DENV3_4"),
        ("", ""),
    ],
)
def test_databases_name_one_organism_in_many_ways(words, expected):
    assert name_species(words) == expected


def test_genes_of_mcpas_become_imgt_names_and_a_disease_alone_is_no_antigen(tmp_path):
    header = ["CDR3.alpha.aa", "CDR3.beta.aa", "Species", "Category", "Pathology", "Antigen.protein"]
    header += ["Epitope.peptide", "MHC", "TRAV", "TRAJ", "TRBV", "TRBJ"]
    flu = ["Human", "Pathogens", "Influenza", "M1", "GILGFVFTL", "A2"]
    rows = [
        ["NA", "CASSIRSSYEQYF", *flu, "NA", "NA", "TRBV2-01", "TRBJ2-07*01"],
        ["NA", "CASSLAPGATNEKLFF", "Human", "Cancer", "Melanoma", "NA", "NA", "NA", "NA", "NA", "TRBV7-06:01", "NA"],
        ["NA", "CASSLLLGATNEKLFF", "Human", "Cancer", "Glioma", "NA", "ABC", "NA", "NA", "NA", "TRBV7-06:01", "NA"],
    ]
    entries, facts = read(write(tmp_path / "mcpas.csv", [header, *rows], ","), "mcpas")
    assert facts["no_antigen"] == 1
    assert entries[["v_call", "j_call"]].to_numpy().tolist() == [["TRBV2", "TRBJ2-7"], ["TRBV7-6", ""]]
    assert entries["species"].tolist() == ["InfluenzaA", "HomoSapiens"]


def test_snapshots_are_stacked_and_told_apart(tmp_path):
    one = iedb(tmp_path, [["2", "ab", *CMV, *[""] * 8, "beta", HUMAN, "TRBV19", "", "", "", "CASSIRSSYEQYF", ""]])
    entries, facts = read_snapshots([snapshot(one, "iedb", "a"), snapshot(one, "iedb", "b")], min_score=0)
    assert entries["snapshot"].tolist() == ["a", "b"]
    assert facts["snapshot"].tolist() == ["a", "b"]


def test_what_cannot_be_used_is_told_by_its_key(tmp_path):
    good = iedb(tmp_path, [["2", "ab", *CMV, *[""] * 8, "beta", HUMAN, "TRBV19", "", "", "", "CASSIRSSYEQYF", ""]])
    spec = {"name": "a", "kind": "iedb", "file": good.name, "sha256": sha256_of(good)}
    assert snapshot_problems([spec], tmp_path) == []
    wrong = [
        spec,
        spec | {"sha256": "0" * 64},
        spec | {"name": "b", "file": "absent.csv"},
        spec | {"name": "c", "kind": "vdjdb"},
    ]
    found = snapshot_problems(wrong, tmp_path)
    assert [key for key, _ in found] == ["antigens[1].name", "antigens[1].file", "antigens[2].file", "antigens[3].file"]
    for part, (_, message) in zip(("already used", "sha256 is", "not found", "lacks the column"), found, strict=True):
        assert part in message


def test_a_broken_row_and_a_file_without_human_receptors_are_refused(tmp_path):
    path = write(tmp_path / "v.txt", [["gene", "cdr3"], ["TRB"]], "\t")
    with pytest.raises(InputError, match="line 2 has 1 fields, the header 2"):
        read(path, "vdjdb")
    mouse = iedb(tmp_path, [["3", "ab", *CMV, *[""] * 8, "beta", MOUSE, "TRBV19", "", "", "", "CASSIRSSYEQYF", ""]])
    with pytest.raises(InputError, match="no human receptor"):
        read(mouse, "iedb")


def test_gzip_makes_no_difference(tmp_path):
    plain = iedb(tmp_path, [["2", "ab", *CMV, *[""] * 8, "beta", HUMAN, "TRBV19", "", "", "", "CASSIRSSYEQYF", ""]])
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    pd.testing.assert_frame_equal(read(plain, "iedb")[0], read(packed, "iedb")[0])
