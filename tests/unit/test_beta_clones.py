"""Beta chains of clones, from cells and from bulk."""

import pandas as pd

from immune_landscape.beta_clones import BETA_COLUMNS, beta_chains_of_cells, read_beta_clones
from immune_landscape.clone_store import CLONE_COLUMNS, write_clonotypes


def cells():
    rows = [
        ("s1", "p-1", True, "CASSF", "TRBV9*01", "TRBJ1-1"),
        ("s1", "p-1", True, "CASSF", "TRBV9*01", "TRBJ1-1"),
        ("s1", "p-1", True, "CASTF", "TRBV9*01", "TRBJ1-1"),
        ("s1", "p-2", True, "", "", ""),
        ("s1", "", False, "CASQF", "TRBV9", "TRBJ1-1"),
        ("s1", "p-3", True, "CALGF", "TRDV1", "TRDJ1"),
        ("s2", "p-1", True, "CASTF", "", "TRBJ1-1"),
    ]
    names = ["sample", "clonotype", "has_receptor", "vdj_junction_aa", "vdj_v_gene", "vdj_j_gene"]
    return pd.DataFrame(rows, columns=names)


def test_a_clonotype_has_the_beta_chain_of_most_of_its_cells():
    found = dict(beta_chains_of_cells(cells()))
    assert list(found["s1"].columns) == BETA_COLUMNS
    assert found["s1"].to_numpy().tolist() == [["p-1", 3, "CASSF", "TRBV9", "TRBJ1-1"]]
    assert found["s2"].to_numpy().tolist() == [["p-1", 1, "CASTF", "", "TRBJ1-1"]]


def test_bulk_clonotypes_without_residues_are_left_out(tmp_path):
    table = pd.DataFrame(
        [("s", "a", "TGT", "CASSF", "TRBV9", "TRBJ1-1", 5, 1), ("s", "b", "TGA", "", "TRBV9", "TRBJ1-1", 2, 1)],
        columns=CLONE_COLUMNS,
    )
    path = tmp_path / "clonotypes.tsv.gz"
    write_clonotypes([(table, pd.DataFrame({"sample": ["s"]}))], path)
    ((sample, found),) = read_beta_clones(path, "bulk_tcr")
    assert sample == "s"
    assert found["clonotype"].tolist() == ["a"]
