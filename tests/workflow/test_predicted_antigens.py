"""Snapshots of receptors with known antigens: they decide whether clonotypes are looked up."""

import pytest
from workflow.runs import dry_run, run_snakemake, write_tiny

from immune_landscape.simulate_receptors import draw_chains
from immune_landscape.store import sha256_of

HEADER = [
    *("gene", "cdr3", "v.segm", "j.segm", "species", "mhc.a"),
    *("antigen.epitope", "antigen.gene", "antigen.species", "vdjdb.score"),
]


def write_antigens(folder, **changes):
    """Write a tiny cohort beside a snapshot of 2,000 receptors of recombination."""
    made = draw_chains("TRB", 2_000, 3, v_genes=(), j_genes=(), length=0)
    rows = [
        ["TRB", row.junction_aa, row.v_call, row.j_call, "HomoSapiens", "HLA-A*02:01", "NLVPMVATV", "pp65", "CMV", "1"]
        for row in made.itertuples()
    ]
    text = "".join("\t".join(row) + "\n" for row in [HEADER, *rows])
    path = folder.parent / "vdjdb.txt"
    path.write_text(text, encoding="utf-8")
    named = {"name": "made", "kind": "vdjdb", "file": "vdjdb.txt", "sha256": sha256_of(path)}
    write_tiny(folder, antigens=[named], match_antigens={"generated": 20_000}, **changes)
    path.rename(folder / "vdjdb.txt")
    return folder


@pytest.mark.parametrize(("layers", "wanted"), [(["bulk_tcr"], True), (["tcr"], True), (["measures"], False)])
def test_antigens_are_looked_up_where_there_are_receptors(checkout, tmp_path, layers, wanted):
    run = dry_run(checkout, write_antigens(tmp_path / "tiny", layers=layers))
    assert run.code == 0, run.text
    assert ({"match_antigens", "draw_antigens"} <= set(run.jobs())) == wanted
    assert ("export_airr" in run.jobs()) == wanted


@pytest.mark.slow
def test_the_tables_of_a_run_hold_every_sample_and_name_the_snapshot(checkout, tmp_path):
    folder = write_antigens(tmp_path / "antigens", layers=["tcr", "bulk_tcr"])
    wanted = ("draw_antigens/antigens.png", "export_airr/files.tsv")
    run = run_snakemake(checkout, folder, *(f"results/antigens/{path}" for path in wanted), "--cores", "2")
    assert run.code == 0, run.text[-3000:]
    background, files = run.table("match_antigens/background.tsv"), run.table("export_airr/files.tsv")
    assert set(background["source"]) == {"tcr", "bulk_tcr"}
    assert set(background["sample"]) == set(files["sample"])
    assert set(background["background"]) == {"generated", "other_antigens", "cohort"}
    assert run.table("match_antigens/snapshots.tsv")["sha256"].tolist() == [sha256_of(folder / "vdjdb.txt")]
    assert (files["rows"].astype(int) > 0).all()
