import pandas as pd
import pytest

from immune_landscape.cell_types import read_markers
from immune_landscape.errors import DesignError
from immune_landscape.signature_registry import (
    choose_signatures,
    defining_genes,
    overlap_table,
    read_signatures,
    registry_table,
    signature_notes,
)

ANCHORED = ["proinflammatory_nk_tang", "proinflammatory_nk_tang_noanchor"]
SCOPES = pd.DataFrame(
    {
        "scope": ["nk", "nk_c5_il7", "nk_c6_il15", "nk_proliferating", "nk_adjusted", "t", "cd8_teff"],
        "branch": ["nk"] * 5 + ["t"] * 2,
    }
)


def registry(slugs, genes=None, variable=None, **limits):
    chosen = choose_signatures(slugs)
    genes = genes if genes is not None else [gene for each in chosen for gene in (*each.genes, *each.negative)]
    return registry_table(chosen, genes, variable or {}, **{"min_genes": 3, "min_share": 0.5, **limits})


def overlap(table, max_overlap=0.2):
    return overlap_table(table, SCOPES, max_overlap=max_overlap).set_index(["signature", "parent"])


@pytest.mark.parametrize("signature", read_signatures().values(), ids=read_signatures())
def test_every_entry_of_the_registry_is_complete(signature):
    assert signature.branch in ("nk", "t", "any")
    assert signature.version >= 1
    assert signature.source.startswith(("[P]", "[V]", "[R]", "[I]"))
    assert signature.genes
    assert len(set(signature.genes + signature.negative)) == len(signature.genes) + len(signature.negative)


def test_unknown_names_are_all_listed_with_those_allowed():
    with pytest.raises(DesignError, match=r"'nothing', 'else', expected signatures .*effector_molecules"):
        choose_signatures(["naive", "nothing", "else"])


def test_genes_found_and_missing_are_named():
    genes = ["CCR7", "SELL", "LEF1", "TCF7", "GZMB", "ACTB"]
    row = registry(["naive"], genes, {"t": ["CCR7", "ACTB", "GZMB"], "nk": ["SELL"]}).iloc[0]
    assert row["found_genes"] == "CCR7,SELL,LEF1,TCF7"
    assert row["missing_genes"] == "IL7R,MAL,NOSIP"
    assert row["negative_genes"] == "GZMB"
    # A signature of T cells does not heed what is variable in NK cells.
    assert row["variable_genes"] == "CCR7,GZMB"
    assert (row["genes"], row["found"], row["status"]) == (7, 4, "scored")
    assert row["share_found"] == pytest.approx(4 / 7)


@pytest.mark.parametrize(("genes", "limits"), [(["CCR7", "SELL"], {}), (["CCR7", "SELL", "LEF1"], {"min_share": 0.5})])
def test_too_few_genes_is_said_and_not_scored(genes, limits):
    table = registry(["naive"], genes, **limits)
    assert table["status"].tolist() == ["too few genes"]
    assert overlap(table).empty


def test_circularity_is_warned_of_with_the_anchor_and_not_without():
    table = overlap(registry(ANCHORED))
    with_anchor, without = ANCHORED
    for scope, gene in (("nk_c5_il7", "IL7"), ("nk_c6_il15", "IL15")):
        assert table.loc[(with_anchor, scope), "warning"]
        assert table.loc[(with_anchor, scope), "anchor"] == gene
        assert table.loc[(with_anchor, scope), "share"] == pytest.approx(1 / 11)
        assert not table.loc[(without, scope), "warning"]
    assert not table.loc[(with_anchor, "nk_proliferating"), "warning"]


def test_share_above_the_limit_is_warned_of():
    marker = read_markers()["nk"]["proliferating"]
    own = set(read_signatures()["proliferation"].genes)
    shared = own & {*marker["genes"], *marker["negative"]}
    table = registry(["proliferation"])
    row = overlap(table).loc[("proliferation", "nk_proliferating")]
    assert set(row["shared_genes"].split(",")) == shared
    assert row["share"] == pytest.approx(len(shared) / len(own))
    assert row["warning"]
    assert not overlap(table, max_overlap=0.9).loc[("proliferation", "nk_proliferating"), "warning"]


def test_an_adjusted_scope_is_defined_as_its_branch_and_branches_are_kept_apart():
    table = overlap(registry(["effector_molecules", "proinflammatory_t"])).reset_index()
    pair = table[(table["signature"] == "effector_molecules") & table["parent"].isin(["nk", "nk_adjusted"])]
    assert len(pair) == 2
    assert len(set(pair["shared_genes"])) == 1
    assert set(table.loc[table["signature"] == "proinflammatory_t", "parent"]) == {"t", "cd8_teff"}


def test_types_without_markers_are_defined_by_nothing():
    assert defining_genes("nk_unassigned") == (set(), "")
    assert defining_genes("another") == (set(), "")


def test_notes_reach_the_rows_that_need_one(tmp_path):
    from immune_landscape.store import read_table, write_table

    table = registry(ANCHORED, [gene for gene in read_signatures()[ANCHORED[0]].genes if gene != "IL6"])
    for name, part in {"registry": table, "overlap": overlap(table).reset_index()}.items():
        write_table(part, tmp_path / name)
    notes = signature_notes(read_table(tmp_path / "registry"), read_table(tmp_path / "overlap"))
    told = notes["nk_c5_il7", ANCHORED[0]]
    assert "circular: 1 of 10 genes also define the cell type (IL7; IL7 alone names it)" in told
    assert told.endswith("10 of 11 genes measured")
    assert notes["nk_c5_il7", ANCHORED[1]] == "8 of 9 genes measured"
    complete = registry(ANCHORED[1:])
    assert not signature_notes(complete, overlap(complete).reset_index())
