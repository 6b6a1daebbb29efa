import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.bridge_matching import join_clones, list_betas, match_betas
from immune_landscape.bridge_measures import (
    NOT_SEEN,
    Bridge,
    compare_frequencies,
    expected_capture,
    measure_capture,
    share_by_subset,
    share_interval,
)
from immune_landscape.bridge_repertoires import COLUMNS, bridge_repertoires
from immune_landscape.errors import InputError
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = fill_defaults(load_schema("settings/bridge_repertoires"), {}) | {"min_cells": 4, "min_templates": 10}


def chains(*rows):
    return pd.DataFrame(rows, columns=["junction", "junction_aa", "v_call"])


def matched(cells, bulk, v_gene="gene"):
    return match_betas(chains(*cells), chains(*bulk), v_gene=v_gene).to_numpy().tolist()


NT = "TGTGCC"


@pytest.mark.parametrize(
    ("cell", "bulk", "same"),
    [
        ((NT, "CA", "TRBV9"), (NT, "CA", "TRBV9"), True),
        ((NT, "CA", "TRBV9"), ("TGCGCC", "CA", "TRBV9"), False),
        ((NT, "CA", "TRBV9"), (NT, "CA", "TRBV10-1"), False),
        ((NT, "CA", "TRBV6-1"), (NT, "CA", "TRBV6-5"), False),
        ((NT, "CA", "TRBV6-1"), (NT, "CA", "TRBV6"), True),
        ((NT, "CA", "TRBV6-1"), (NT, "CA", "TRBV7"), False),
        ((NT, "CA", "TRBV6-1"), (NT, "CA", ""), True),
        ((NT, "CA", "TRBV12-3"), (NT, "CA", "TRBV12-4"), True),
        ((NT, "CA", "TRBV6-3"), (NT, "CA", "TRBV6-2"), True),
        ((NT, "CA", "TRBV9"), ("", "CA", "TRBV9"), True),
        ((NT, "CA", "TRBV9"), ("TTTGGG" + NT + "AAA", "CA", "TRBV9"), True),
        ((NT, "CA", "TRBV9"), ("", "CS", "TRBV9"), False),
        (("", "", "TRBV9"), ("", "", "TRBV9"), False),
    ],
)
def test_chains_match_as_far_as_both_are_known(cell, bulk, same):
    assert matched([cell], [bulk]) == ([[0, 0]] if same else [])


def test_families_match_where_genes_need_not():
    assert matched([(NT, "CA", "TRBV6-1")], [(NT, "CA", "TRBV6-5")], v_gene="family") == [[0, 0]]


def test_chains_that_match_over_others_are_one_clone():
    pairs = pd.DataFrame({"beta": [0, 0, 2, 3], "row": [1, 2, 2, 4]})
    betas, rows = join_clones(pairs, 5, 6)
    assert betas.tolist() == [0, -1, 0, 1, -1]
    assert rows.tolist() == [-1, 0, 0, -1, 1, -1]


def test_genes_of_cells_are_named_as_in_bulk():
    cells = pd.DataFrame({"vdj_junction": ["tgt", "TGT"], "vdj_junction_aa": "C", "vdj_v_gene": "TRBV9*01"})
    betas, place = list_betas(cells)
    assert betas.to_numpy().tolist() == [["TGT", "C", "TRBV9"]]
    assert place.tolist() == [0, 0]


def bridge_of(cells, templates, others=()):
    """Return a bridge from (beta, clone, subset) of each cell."""
    table = pd.DataFrame(cells, columns=["beta", "clone", "subset"]).assign(alpha="", label="CA")
    return Bridge(table, np.array(templates), np.array([*templates, *others]))


CELLS = [(0, 0, "x"), (0, 0, "x"), (0, 0, "y"), (1, 1, "y"), (2, -1, "x")]


def test_templates_are_divided_as_the_cells_of_their_clone():
    table = share_by_subset(bridge_of(CELLS, [30, 10], [50, 10]), ["x", "y", "z"], 0.95).set_index("subset")
    assert table["templates"].tolist() == pytest.approx([20, 20, 0, 60])
    assert table["bulk_share"].sum() == pytest.approx(1)
    assert table.loc["x", ["cells", "clones", "clones_in_bulk", "clones_elsewhere"]].tolist() == [3, 2, 1, 1]
    assert table.loc["y", ["cells", "clones", "clones_in_bulk", "clones_elsewhere"]].tolist() == [2, 2, 2, 1]
    assert table.loc[NOT_SEEN, "cells"] == 0
    low, high = stats.binomtest(60, 100).proportion_ci(0.95, method="wilson")
    assert table.loc[NOT_SEEN, ["low", "high"]].tolist() == pytest.approx([low, high])


def test_divided_clones_leave_more_certainty_than_whole_ones():
    whole, halved = (share_interval(20, squares, 100, 0.95) for squares in (20, 10))
    assert halved[1] - halved[0] < whole[1] - whole[0]
    assert np.isnan(share_interval(0, 0, 0, 0.95)).all()
    assert share_interval(0, 0, 50, 0.95)[0] == 0
    assert share_interval(50, 50, 50, 0.95)[1] == 1


def test_frequencies_are_compared_by_rank_and_by_the_cells_of_large_bulk_clones():
    cells = [(0, 0, "x")] * 6 + [(1, 1, "x")] * 3 + [(2, 2, "x")]
    found = compare_frequencies(bridge_of(cells, [60, 20, 5], [15]), expected_cells=1.5)
    assert found["spearman"] == pytest.approx(stats.spearmanr([6, 3, 1], [60, 20, 5]).statistic)
    # Of ten cells, 6, 2, 0.5 and 1.5 are expected; the last clone has none.
    assert (found["large_clones"], found["large_cells"]) == (3, 9)
    assert found["large_expected"] == pytest.approx(9.5)
    assert found["log2_ratio"] == pytest.approx(np.log2(9.5 / 10))


def every_capture(counts, cells, least, most):
    """Set every possible choice of templates aside and count what is left of the clones."""
    clone_of = np.repeat(np.arange(len(counts)), counts)
    drawn = found = 0
    for chosen in itertools.combinations(range(len(clone_of)), cells):
        seen = np.bincount(clone_of[list(chosen)], minlength=len(counts))
        of_size = (seen >= least) & (seen <= most)
        drawn += of_size.sum()
        found += (of_size & (seen < counts)).sum()
    return found / drawn


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 2), (2, 4)])
def test_expected_capture_is_the_mean_over_all_ways_to_draw(least, most):
    counts = np.array([5, 3, 2, 1, 1])
    assert expected_capture(counts, 4, least, most) == pytest.approx(every_capture(counts, 4, least, most))


def test_expected_capture_needs_depth():
    assert np.isnan(expected_capture(np.array([3, 2]), 3, 1, 1))
    assert np.isnan(expected_capture(np.array([30, 20]), 0, 1, 1))
    assert np.isnan(expected_capture(np.ones(30, dtype=int), 5, 2, 2))
    assert expected_capture(np.ones(30, dtype=int), 5, 1, 1) == pytest.approx(0)


def test_capture_counts_clones_of_cells_by_their_size():
    cells = [(0, 0, "x")] * 3 + [(1, 1, "x"), (2, -1, "x"), (3, -1, "x")]
    table = measure_capture(bridge_of(cells, [30, 10], [60]), 0.95).set_index("size")
    assert table.loc["1", ["clones", "found"]].tolist() == [3, 1]
    assert table.loc["3-5", ["clones", "found"]].tolist() == [1, 1]
    low, high = stats.binomtest(1, 3).proportion_ci(0.95)
    assert table.loc["1", ["low", "high"]].tolist() == pytest.approx([low, high])
    assert table.loc[["2", "6-20", ">20"], "share"].isna().all()


def cells_table(rows):
    """Return clonotypes and labels from (sample, alpha, beta, subset)."""
    table = pd.DataFrame(rows, columns=["sample", "vj_junction", "aa", "subset"])
    table.index = pd.Index([f"c{at}" for at in range(len(table))], name="cell")
    beta = {"vdj_junction": "", "vdj_junction_aa": table["aa"], "vdj_v_gene": "TRBV9", "vdj_j_gene": "TRBJ1-1"}
    clonotypes = table[["sample", "vj_junction"]].assign(has_receptor=True, **beta)
    labels = pd.DataFrame({"subset": table["subset"], "branch": np.where(table["subset"] == "b", "other", "t")})
    return clonotypes, labels


def bulk_table(counts):
    table = pd.DataFrame({"junction_aa": list(counts), "count": list(counts.values())})
    return table.assign(junction="", v_call="TRBV9")


DESIGN = pd.DataFrame(
    [("A_sc", "A", "v1", "blood"), ("A_bulk", "A", "v1", "blood"), ("B_1", "B", "v1", "blood"), ("A_2", "A", "v2", "")],
    columns=["sample", "patient", "visit", "tissue"],
)
ROWS = [
    *[("A_sc", "a1", "CAA", "cd8_teff")] * 4,
    ("A_sc", "a2", "CAA", "cd4_tn"),
    ("A_sc", "a3", "CAC", "cd4_tn"),
    ("A_sc", "a4", "CAD", "b"),
    *[("B_1", f"b{at}", f"CB{at}", "cd4_tn") for at in range(6)],
]
BULK = [
    ("A_bulk", bulk_table({"CAA": 40, "CAC": 10, "CAD": 5, "CAE": 45})),
    ("B_1", bulk_table({f"CB{at}": 10 for at in range(4)})),
    ("A_2", bulk_table({"CAA": 20})),
]


def bridged(rows=ROWS, bulk=BULK, labelled=True, seed=0, **changes):
    clonotypes, labels = cells_table(rows)
    return bridge_repertoires(clonotypes, labels if labelled else None, bulk, DESIGN, seed, **SETTINGS | changes)


@pytest.fixture(scope="module")
def tables():
    return bridged()


def test_tables_have_their_columns(tables):
    assert {name: list(table.columns) for name, table in tables.items()} == COLUMNS | {"values": VALUE_COLUMNS}


def test_cells_meet_the_bulk_of_their_patient_visit_and_tissue(tables):
    agreement = tables["agreement"].set_index("sample")
    assert agreement.loc["A_bulk", ["cell_samples", "cells", "clones", "matched_clones"]].tolist() == ["A_sc", 6, 2, 2]
    assert agreement.loc["A_bulk", "mass_matched"] == pytest.approx(0.5)
    assert agreement.loc["B_1", "cells_matched"] == pytest.approx(4 / 6)
    assert agreement.loc["A_2", ["cells", "verdict"]].tolist() == [0, "cannot be determined"]
    assert "no single cell" in agreement.loc["A_2", "note"]


def test_several_alpha_chains_of_a_beta_chain_are_counted(tables):
    row = tables["agreement"].set_index("sample").loc["A_bulk"]
    assert row["ambiguous_clones"] == 1
    assert row["ambiguous_mass"] == pytest.approx(0.4)
    assert tables["clones"].query("sample == 'A_bulk'")["alphas"].tolist() == [2, 1]


def test_subsets_of_a_sample_add_up(tables):
    found = tables["subsets"].query("sample == 'A_bulk'").set_index("subset")["bulk_share"]
    assert found.to_dict() == pytest.approx({"cd4_tn": 0.18, "cd8_teff": 0.32, NOT_SEEN: 0.5})


def test_cells_other_than_t_are_left_out_unless_wanted(tables):
    everything = bridged(t_cells_only=False)["subsets"].set_index(["sample", "subset"])
    assert everything.loc[("A_bulk", "b"), "bulk_share"] == pytest.approx(0.05)
    assert "b" not in set(tables["subsets"]["subset"])
    assert set(bridged(labelled=False)["subsets"]["subset"]) == {"t", NOT_SEEN}


def test_values_are_of_one_number_of_cells(tables):
    values = tables["values"].set_index(["sample", "parent"])["value"]
    # Both samples have six cells, the common number, so that nothing is left to chance.
    assert values["A_bulk", "all"] == pytest.approx(0.5)
    assert values["A_bulk", "cd8_teff"] == pytest.approx(0.32)
    assert values["B_1", "cd8_teff"] == 0
    assert values["A_2"].isna().all()
    fewer = [row for row in ROWS if row[0] != "B_1" or row[2] in ("CB0", "CB1", "CB2", "CB3")]
    drawn = bridged(rows=fewer)["values"].set_index(["sample", "parent"])
    assert drawn.loc[("A_bulk", "all"), "value"] < 0.5
    assert drawn.loc[("A_bulk", "all"), "low"] == pytest.approx(0.4)


def test_a_scope_that_no_cell_has_is_missing_and_not_zero():
    assert bridged(compared_scopes=["mait"])["values"]["value"].isna().all()


def test_swapped_bulk_repertoires_are_flagged():
    swapped = [("A_bulk", bulk_table({f"CB{at}": 10 for at in range(6)})), ("B_1", BULK[0][1])]
    found = bridged(bulk=swapped)["agreement"].set_index("sample")
    assert found.loc["B_1", ["verdict", "other_sample"]].tolist() == ["flagged", "A_bulk"]
    assert found.loc["B_1", "other_cells_matched"] == 1
    assert (bridged()["agreement"]["verdict"] != "flagged").all()


def test_large_bulk_clones_that_no_cell_has_are_flagged():
    foreign = [("B_1", bulk_table({"CXX": 100, "CYY": 5}))]
    (row,) = bridged(bulk=foreign)["agreement"].to_dict("records")
    assert row["verdict"] == "flagged"
    assert "expected in 6 cells" in row["note"]
    flat = [("B_1", bulk_table({f"CX{at}": 1 for at in range(200)}))]
    assert bridged(bulk=flat)["agreement"]["verdict"].tolist() == ["cannot be determined"]


def test_draws_repeat_with_their_seed():
    fewer = [row for row in ROWS if row[0] != "B_1" or row[2] in ("CB0", "CB1", "CB2", "CB3")]
    pd.testing.assert_frame_equal(bridged(rows=fewer)["values"], bridged(rows=fewer)["values"])
    assert not bridged(rows=fewer)["values"].equals(bridged(rows=fewer, seed=1)["values"])


def test_unknown_samples_are_refused():
    with pytest.raises(InputError, match="X_1"):
        bridged(bulk=[("X_1", BULK[0][1])])
    with pytest.raises(InputError, match="Y_1"):
        bridged(rows=[("Y_1", "a", "CAA", "cd4_tn")])


def test_works_without_bulk_and_without_beta_chains():
    assert all(table.empty for table in bridged(bulk=[]).values())
    clonotypes, labels = cells_table(ROWS)
    nothing = bridge_repertoires(clonotypes.assign(vdj_junction_aa=""), labels, BULK, DESIGN, 0, **SETTINGS)
    assert nothing["agreement"]["cells"].tolist() == [0, 0, 0]
    assert nothing["subsets"]["subset"].unique().tolist() == [NOT_SEEN]
