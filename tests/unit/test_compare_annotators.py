"""Witnesses are crossed over the same cells; abstaining is neither agreeing nor disagreeing."""

import numpy as np
import pandas as pd
import pytest
from made_annotations import make_annotations
from sklearn.metrics import adjusted_rand_score, cohen_kappa_score

from immune_landscape.cell_types import read_cell_types
from immune_landscape.compare_annotators import compare_annotators, same_type

COLUMNS = ["sample", "lineage", "branch", "markers", "by_cluster", "reference", "receptor"]


def lineages(*rows):
    return pd.DataFrame(rows, columns=COLUMNS, index=pd.Index([f"c{at}" for at in range(len(rows))], name="cell"))


SMALL = lineages(
    ("S1", "t", "t", "t", "t", "t", "alpha_beta"),
    ("S1", "t", "t", "nk", "t", "t", "mait"),
    ("S1", "t", "t", "unassigned", "t", "nk", "none"),
    ("S1", "nk", "nk", "nk", "nk", "nk", "alpha_beta"),
    ("S2", "b", "other", "b", "b", "", ""),
    ("S2", "b", "other", "b", "b", "b", "none"),
    ("S2", "unassigned", "other", "b", "t", "", "alpha_beta"),
)


def row(table, **wanted):
    found = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]
    assert len(found) == 1, found
    return found.iloc[0]


def test_confusion_counts_every_cell_on_which_both_have_a_say():
    confusion, _, _ = compare_annotators(SMALL)
    pair = confusion[(confusion["annotator_a"] == "markers") & (confusion["annotator_b"] == "reference")]
    crossed = {(r.label_a, r.label_b): r.cells for r in pair.itertuples()}
    assert crossed == {("t", "t"): 1, ("nk", "t"): 1, ("unassigned", "nk"): 1, ("nk", "nk"): 1, ("b", "b"): 1}
    receptor = confusion[(confusion["annotator_a"] == "consensus") & (confusion["annotator_b"] == "receptor")]
    assert receptor["cells"].sum() == 6
    assert row(receptor, label_a="nk", label_b="alpha_beta")["cells"] == 1
    assert set(confusion["level"] + confusion["branch"]) == {"lineageall"}


def test_agreement_leaves_out_cells_that_either_leaves_open():
    _, agreement, _ = compare_annotators(SMALL)
    found = row(agreement, annotator_a="markers", annotator_b="reference")
    assert found["cells"] == 4
    assert found["agree"] == pytest.approx(3 / 4)
    assert found["abstained"] == 1
    assert found["kappa"] == pytest.approx(cohen_kappa_score(["t", "nk", "nk", "b"], ["t", "t", "nk", "b"]))


def test_a_receptor_agrees_with_what_can_carry_it_and_has_no_kappa():
    _, agreement, _ = compare_annotators(SMALL)
    found = row(agreement, annotator_a="consensus", annotator_b="receptor")
    assert found["cells"] == 3
    assert found["agree"] == pytest.approx(2 / 3)
    assert found["abstained"] == 3
    assert np.isnan([found["ari"], found["kappa"]]).all()


def test_disagreements_are_shares_by_sample_and_label():
    _, _, table = compare_annotators(SMALL)
    found = row(table, sample="S1", label="t", witness="markers")
    assert found[["cells", "disagree", "share"]].to_list() == [2, 1, 0.5]
    found = row(table, sample="S1", label="t", witness="any")
    assert found[["cells", "disagree"]].to_list() == [3, 2]
    # Unassigned cells have no consensus to contradict, but their witnesses still contradict each other.
    assert row(table, sample="S2", label="unassigned", witness="any")["disagree"] == 1
    assert table.loc[table["witness"] == "markers", "label"].ne("unassigned").all()


def test_t_cell_receptors_outside_the_t_lineage_have_a_row_of_their_own():
    _, _, table = compare_annotators(SMALL)
    found = table[table["witness"] == "t_receptor_outside_t"]
    assert dict(zip(found["label"], found["disagree"], strict=True)) == {"nk": 1, "b": 0}
    assert row(found, label="b")["cells"] == 1


def test_a_receptor_is_compared_only_where_it_can_speak_for_the_label():
    cells = pd.Index([f"c{at}" for at in range(3)], name="cell")
    branch = lineages(*[("S1", "nk", "nk", "nk", "nk", "", "alpha_beta")] * 3)
    subsets = pd.DataFrame({"sample": "S1", "subset": "nk_cd56dim", "markers": "nk_cd56dim"}, index=cells)
    subsets = subsets.assign(by_cluster="nk_cd56dim", reference="", receptor=["alpha_beta", "alpha_beta", "none"])
    confusion, agreement, table = compare_annotators(branch, subsets)
    found = row(agreement, level="subset", annotator_a="consensus", annotator_b="receptor")
    assert found[["cells", "abstained"]].to_list() == [0, 3]
    assert np.isnan(found["agree"])
    pair = {"level": "subset", "annotator_a": "consensus", "annotator_b": "receptor", "label_a": "nk_cd56dim"}
    assert [row(confusion, **pair, label_b=kind)["cells"] for kind in ("alpha_beta", "none")] == [2, 1]
    assert not (table["witness"] == "receptor").any()
    assert row(table, level="subset", witness="any")["disagree"] == 0
    # That these cells carry a receptor is told once, out of all that were looked at.
    assert row(table, witness="t_receptor_outside_t", label="nk")["disagree"] == 3
    assert row(agreement, level="lineage", annotator_a="consensus", annotator_b="receptor")["agree"] == 0


def test_a_parent_agrees_with_its_subsets_and_stands_for_them_in_the_indices():
    assert same_type("cd4_t", "treg")
    assert same_type("cd8_tem", "cd8_t")
    assert not same_type("cd4_t", "cd8_tem")
    assert not same_type("cd4_t", "mait")
    assert not same_type("treg", "cd4_tn")
    cells = pd.Index([f"c{at}" for at in range(4)], name="cell")
    branch = lineages(*[("S1", "t", "t", "t", "t", "t", "")] * 4)
    subsets = pd.DataFrame({"sample": "S1", "subset": ["treg", "treg", "cd8_tem", "mait"]}, index=cells)
    subsets = subsets.assign(markers=subsets["subset"], by_cluster="", receptor="")
    subsets["reference"] = ["cd4_t", "treg", "cd4_t", "mait"]
    _, agreement, _ = compare_annotators(branch, subsets)
    found = row(agreement, level="subset", annotator_a="markers", annotator_b="reference")
    assert found["agree"] == pytest.approx(3 / 4)
    kappa = cohen_kappa_score(["cd4_t", "treg", "cd8_tem", "mait"], ["cd4_t", "treg", "cd4_t", "mait"])
    assert found["kappa"] == pytest.approx(kappa)


def test_indices_are_those_of_scikit_learn_over_all_levels():
    tables = make_annotations()
    _, agreement, _ = compare_annotators(*tables)
    for level, branch, table in zip(("lineage", "subset", "subset"), ("all", "nk", "t"), tables, strict=True):
        pair = table[["markers", "by_cluster"]]
        pair = pair[~pair.apply(lambda names: names.str.endswith("unassigned")).any(axis=1)]
        parent = pair.apply(lambda names: names.map(read_cell_types()["parent"]))
        first = pair["markers"].mask(parent["markers"] == pair["by_cluster"], pair["by_cluster"])
        second = pair["by_cluster"].mask(parent["by_cluster"] == pair["markers"], pair["markers"])
        found = row(agreement, level=level, branch=branch, annotator_a="markers", annotator_b="by_cluster")
        assert found["ari"] == pytest.approx(adjusted_rand_score(first, second))
        assert found["kappa"] == pytest.approx(cohen_kappa_score(first, second))
        assert found["agree"] > found["kappa"]


def test_counts_add_up_over_levels():
    tables = make_annotations()
    confusion, agreement, _ = compare_annotators(*tables)
    keys = ["level", "branch", "annotator_a", "annotator_b"]
    totals = confusion.groupby(keys)["cells"].sum()
    told = agreement.set_index(keys)[["cells", "abstained"]].sum(axis=1)
    assert (totals.sort_index() == told.sort_index()).all()
    assert totals["lineage", "all", "consensus", "markers"] == len(tables[0])


def test_cohorts_without_reference_and_receptors_compare_the_markers_alone():
    tables = make_annotations(reference=False, receptor=False)
    # As read back from a file, an empty column is missing numbers.
    tables[0]["reference"] = np.nan
    confusion, agreement, table = compare_annotators(*tables)
    assert set(agreement["annotator_a"]) | set(agreement["annotator_b"]) == {"consensus", "markers", "by_cluster"}
    assert set(table["witness"]) == {"markers", "by_cluster", "any"}
    assert len(confusion)


def test_one_label_has_no_kappa_and_no_cell_no_row():
    same = lineages(*[("S1", "t", "t", "t", "t", "", "")] * 3)
    _, agreement, _ = compare_annotators(same)
    found = row(agreement, annotator_a="markers", annotator_b="by_cluster")
    assert found["agree"] == 1
    assert np.isnan(found["kappa"])
    empty = same.iloc[:0]
    tables = compare_annotators(empty, empty.rename(columns={"lineage": "subset"}))
    assert [len(table) for table in tables] == [0, 0, 0]
    assert [list(table.columns)[:2] for table in tables] == [["level", "branch"]] * 3
