import gzip

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.bulk_io import ROW_COLUMNS, BulkRepertoire, read_bulk
from immune_landscape.clone_store import CLONE_COLUMNS, stream_clonotypes, write_clonotypes
from immune_landscape.errors import IntegrityError
from immune_landscape.input_files import Place
from immune_landscape.load_repertoires import DEPTH_COLUMNS, load_repertoires, why_unusable

NT = {"sequence": "nt", "same_v_gene": True, "same_j_gene": True}


def rearrangements(counts, **changes):
    """Return one productive TRB rearrangement per count; `changes` are columns for all rows."""
    rows = pd.DataFrame(
        {
            "junction": [f"TGT{'ACGT'[at % 4]}{at}" for at in range(len(counts))],
            "junction_aa": "CAS",
            "v_call": "TRBV9",
            "j_call": "TRBJ2-7",
            "locus": "TRB",
            "productive": True,
            "count": np.asarray(counts, dtype=np.int64),
        }
    )
    return rows.assign(**changes)[ROW_COLUMNS]


def load(*tables, **settings):
    found = BulkRepertoire(pd.concat(tables, ignore_index=True), "AIRR", "umi_count", "UMIs")
    ((clonotypes, facts),) = load_repertoires([("s1", found)], **{**NT, **settings})
    return clonotypes, facts.iloc[0]


def test_only_productive_rearrangements_of_the_locus_are_kept_and_the_rest_is_told():
    clonotypes, facts = load(
        rearrangements([9, 6, 3]),
        rearrangements([7, 5], productive=False, junction=["A", "C"]),
        rearrangements([50], locus="TRA"),
        rearrangements([4], locus=""),
        rearrangements([3], junction=""),
        rearrangements([0]),
    )
    assert list(facts.index) == DEPTH_COLUMNS
    assert facts[["format", "count_column", "counted"]].tolist() == ["AIRR", "umi_count", "UMIs"]
    names = ["rows", "other_locus", "non_productive", "no_junction", "productive", "kept"]
    assert facts[names].tolist() == [9, 1, 2, 1, 6, 4]
    # The row without locus has the junction of the first clonotype, and is counted with it.
    assert clonotypes["count"].tolist() == [13, 6, 3]
    assert facts[["clonotypes", "templates", "non_productive_templates"]].tolist() == [3, 22, 12]


def reason(sequence, **changes):
    return why_unusable(BulkRepertoire(rearrangements([2, 1], **changes), "AIRR", "umi_count", "UMIs"), sequence)


def test_a_file_of_which_no_clonotype_can_come_says_why():
    assert reason("nt") == ""
    assert reason("nt", productive=False, junction="") == ""
    assert reason("nt", locus="") == ""
    assert reason("nt", locus=["TRA", "TRB"]) == ""
    assert reason("nt", locus="TRA") == "holds no TRB rearrangement, but TRA 2"
    assert reason("aa", junction="") == ""
    assert "no CDR3 in nucleotides, which load_repertoires.sequence 'nt' needs" in reason("nt", junction="")
    assert "no CDR3 in amino acids" in reason("aa", junction_aa="")


def test_the_definition_says_what_a_clonotype_is():
    parts = [{}, {"v_call": "TRBV2"}, {"j_call": "TRBJ1-1"}, {"junction": "TGTTTT"}, {}]
    rows = pd.concat([rearrangements([size], **part) for size, part in zip([5, 4, 3, 2, 1], parts, strict=True)])
    assert load(rows)[0]["count"].tolist() == [6, 4, 3, 2]
    assert load(rows, same_v_gene=False)[0]["count"].tolist() == [10, 3, 2]
    assert load(rows, same_v_gene=False, same_j_gene=False)[0]["count"].tolist() == [13, 2]
    joined = load(rows, sequence="aa", same_v_gene=False, same_j_gene=False)[0]
    assert joined[["count", "sequences", "v_call"]].to_numpy().tolist() == [[15, 2, "TRBV9"]]


def test_ids_depend_on_the_definition_and_on_nothing_else():
    one = load(rearrangements([9, 6, 3]))[0].set_index("junction")["clonotype"]
    other = load(rearrangements([3, 6, 9])[::-1])[0].set_index("junction")["clonotype"]
    assert one.to_dict() == other.to_dict()
    assert one.str.fullmatch("[0-9a-f]{16}").all()
    assert not set(one) & set(load(rearrangements([9, 6, 3]), same_v_gene=False)[0]["clonotype"])


def test_a_cohort_is_written_whole_and_read_sample_by_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("immune_landscape.clone_store.ROWS", 2)
    tables = {"s1": rearrangements([9, 6, 3]), "s2": rearrangements([]), "s3": rearrangements([2, 1])}
    found = [(name, BulkRepertoire(rows, "AIRR", "umi_count", "UMIs")) for name, rows in tables.items()]
    path = tmp_path / "clonotypes.tsv.gz"
    depths = write_clonotypes(load_repertoires(found, **NT), path)
    assert depths.set_index("sample")["templates"].to_dict() == {"s1": 18, "s2": 0, "s3": 3}
    read = dict(stream_clonotypes(path, ["clonotype", "count"]))
    assert {name: table["count"].tolist() for name, table in read.items()} == {"s1": [9, 6, 3], "s3": [2, 1]}
    whole = path.read_bytes()
    write_clonotypes(load_repertoires(found, **NT), path)
    assert path.read_bytes() == whole
    assert gzip.decompress(whole).decode().split("\n", 1)[0].split("\t") == CLONE_COLUMNS
    assert write_clonotypes(iter(()), tmp_path / "none.tsv.gz").empty
    assert list(stream_clonotypes(tmp_path / "none.tsv.gz", ["count"])) == []


def test_a_sample_in_two_places_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("immune_landscape.clone_store.ROWS", 1)
    rows = pd.concat([load(rearrangements([2]))[0].assign(sample=name) for name in ("a", "b", "a")])
    path = tmp_path / "clonotypes.tsv"
    rows.to_csv(path, sep="\t", index=False)
    with pytest.raises(IntegrityError, match="sample 'a' lie apart"):
        list(stream_clonotypes(path, ["count"]))


def test_real_repertoires_keep_every_productive_read():
    path = shared_data("immunarch_immdata", "MS1.tsv.gz")
    ((clonotypes, facts),) = load_repertoires([("MS1", read_bulk(Place(path, "MS1")))], **NT)
    table = pd.read_csv(path, sep="\t")
    inside = table["CDR3.aa"].str.fullmatch("[A-Z]+") & (table["CDR3.nt"].str.len() % 3 == 0)
    assert facts["counted"].tolist() == ["reads or UMIs"]
    assert facts["templates"].iloc[0] == table.loc[inside, "Clones"].sum()
    assert clonotypes["count"].sum() == facts["templates"].iloc[0]
    assert facts["templates"].iloc[0] + facts["non_productive_templates"].iloc[0] == 8500
