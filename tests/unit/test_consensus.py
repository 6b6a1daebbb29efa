import pandas as pd
import pytest

from immune_landscape.consensus import (
    agreement_of,
    join_witnesses,
    lineage_vote,
    receptor_of,
    rule_out,
    subset_vote,
    vote_of,
)

PARENTS = {"cd4_tn": "cd4_t", "cd4_tcm": "cd4_t", "cd8_tn": "cd8_t", "treg": "cd4_t"}
NAMES = ["markers", "by_cluster", "reference"]


def join(*said, margin=0.0):
    votes = pd.DataFrame([said], columns=NAMES)
    label = join_witnesses(votes, pd.Series([margin]), unassigned="none", parents=PARENTS, min_margin=0.1)
    return label.iloc[0], agreement_of(votes, label, PARENTS).iloc[0]


@pytest.mark.parametrize(
    ("said", "label", "agreement"),
    [
        (("treg", "treg", "treg"), "treg", 1),
        (("treg", "treg", "mait"), "treg", 2 / 3),
        (("treg", "mait", "mait"), "mait", 2 / 3),
        (("none", "mait", ""), "mait", 1 / 2),
        (("none", "none", ""), "none", 1),
        (("mait", "none", "none"), "mait", 1 / 3),
        (("mait", "treg", ""), "none", 0),
        (("cd4_tn", "cd4_tcm", ""), "cd4_t", 1),
        (("cd4_t", "cd4_tcm", ""), "cd4_tcm", 1 / 2),
        (("cd4_t", "cd4_tcm", "cd4_tn"), "cd4_t", 1),
        (("cd4_t", "cd4_t", "cd8_tn"), "cd4_t", 2 / 3),
    ],
)
def test_the_rule(said, label, agreement):
    assert join(*said) == (label, pytest.approx(agreement))


def test_a_tie_is_decided_by_the_markers_of_the_cell_only_with_twice_the_lead():
    assert join("mait", "treg", "", margin=0.19)[0] == "none"
    assert join("mait", "treg", "", margin=0.2)[0] == "mait"
    assert join("cd4_tn", "cd4_tcm", "", margin=0.2)[0] == "cd4_tn"
    assert join("none", "treg", "mait", margin=0.5)[0] == "none"


def test_no_witness_with_a_say_gives_no_agreement():
    label, agreement = join("", "", "")
    assert label == "none"
    assert pd.isna(agreement)


def test_labels_come_in_the_order_of_the_cells():
    votes = pd.DataFrame({"markers": ["b", "a", "b"], "by_cluster": ["b", "a", "a"]}, index=["x", "y", "z"])
    label = join_witnesses(votes, pd.Series([0.0, 0.0, 1.0]), unassigned="none", parents={}, min_margin=0.1)
    assert label.to_dict() == {"x": "b", "y": "a", "z": "b"}
    assert agreement_of(votes, label, {}).tolist() == [1, 1, 0.5]


def test_a_receptor_speaks_for_t_against_nk_alone():
    receptor = pd.Series(["alpha_beta", "mait", "none", "alpha_beta", ""])
    others = pd.DataFrame({"markers": ["nk", "unassigned", "nk", "b", "t"], "by_cluster": ["nk", "t", "t", "b", "t"]})
    assert lineage_vote(receptor, others).tolist() == ["t", "t", "", "", ""]


def test_invariant_and_gamma_delta_receptors_name_subsets_and_alpha_beta_refutes():
    receptor = pd.Series(["mait", "inkt", "gamma_delta", "alpha_beta", "none", ""])
    assert subset_vote(receptor).tolist() == ["mait", "inkt", "gdt", "", "", ""]
    label = pd.Series(["gdt", "gdt", "gdt", "gdt", "gdt", "treg"])
    assert rule_out(label, receptor, "open").tolist() == ["gdt", "gdt", "gdt", "open", "gdt", "treg"]


def test_tables_may_lack_cells_and_hold_words_that_are_not_known(caplog):
    receptors = pd.DataFrame({"cell": ["a"], "receptor": ["mait"]})
    assert receptor_of(receptors, pd.Index(["b", "a"])).tolist() == ["", "mait"]
    votes = pd.DataFrame({"subset": ["treg", "cd4_tx", None]}, index=pd.Index(["a", "b", "c"], name="cell"))
    with caplog.at_level("INFO", logger="immune_landscape"):
        assert vote_of(votes, "subset", pd.Index(["c", "b", "a", "d"]), ["treg"]).tolist() == ["", "", "treg", ""]
    assert "{'cd4_tx': 1}" in caplog.text
    assert vote_of(None, "subset", pd.Index(["a"]), []).tolist() == [""]
    assert receptor_of(None, pd.Index(["a"])).tolist() == [""]
