import numpy as np
import pandas as pd
import pytest
from annotated import mapped
from cells import make_groups

from immune_landscape.annotate_subsets import annotate_subsets, coverage_of_branch
from immune_landscape.cell_types import read_markers

NK, T, BROAD = (read_markers()[group] for group in ("nk", "t", "broad"))
SMALL = {"n_top_genes": 100, "n_components": 10}
ANCHORS = {"ZEB2": "nk_c4_zeb2", "IL7": "nk_c5_il7", "NCR3": "nk_c10_ncr3"}
SETTINGS = {"min_score": 0.3, "min_margin": 0.1, "anchors": ANCHORS, "anchor_fold": 1.0, "anchor_share": 0.1}
CD4, CD8 = (T[name]["genes"] for name in ("side_CD4", "side_CD8"))
T_MARKERS = {
    "treg": [*T["Treg"]["genes"], *CD4],
    "mait": T["MAIT"]["genes"],
    "cd8_tn": [*T["CD8_Tn"]["genes"], *CD8],
    "cd4_tn": [*T["CD4_Tn"]["genes"], *CD4],
}


def annotate(counts, branch, *witnesses):
    return annotate_subsets(counts, *mapped(counts, **SMALL), branch, ("blood",), *witnesses, **SETTINGS)


ALL = {"all": [gene for entry in T.values() for gene in entry["genes"]]}
"""A group without cells, which puts every marker among the genes."""


@pytest.fixture(scope="module")
def t_cells():
    return make_groups(dict.fromkeys(T_MARKERS, 60), T_MARKERS | ALL, n_background=2000)


def test_t_subsets_by_marker_set(t_cells):
    counts, truth = t_cells
    cells, matched = annotate(counts, "t")
    assert (cells["subset"] == truth).mean() > 0.95
    assert matched.empty
    assert list(cells.columns) == [
        "sample", "cluster", "subset", "state", "score", "runner_up", "margin", "markers", "by_cluster", "reference",
        "receptor", "agreement",
    ]  # fmt: skip
    assert cells["agreement"].mean() > 0.95


@pytest.mark.parametrize("alone", ["cd4_tn", "cd8_tn", "treg"])
def test_a_population_that_is_alone_gets_the_name_it_has_among_others(t_cells, alone):
    counts, truth = t_cells
    cells, _ = annotate(counts[truth == alone].copy(), "t")
    assert (cells["subset"] == alone).mean() > 0.9


def test_cd4_and_cd8_sets_of_the_same_genes_are_told_apart():
    effector = sorted(set(T["CD8_Teff_Temra"]["genes"]) - {"CD8A", "CD8B"})
    shared = sorted({*effector, *T["CD4_CTL"]["genes"]} - {"CD4"})
    markers = {"cd8_teff": [*shared, *CD8], "cd4_ctl": [*shared, *CD4], "cd4_tn": T_MARKERS["cd4_tn"]}
    counts, truth = make_groups(dict.fromkeys(markers, 60), markers | ALL)
    cells, _ = annotate(counts, "t")
    assert (cells["subset"] == truth).mean() > 0.95


def test_the_side_is_named_where_the_subset_is_open_and_nothing_without_cd8_genes(t_cells):
    counts, truth = t_cells
    sides = counts[:, [gene for gene in counts.var_names if gene.startswith("BG") or gene in {*CD4, *CD8}]].copy()
    cells, _ = annotate(sides, "t")
    assert (cells["subset"][truth == "cd8_tn"] == "cd8_t").mean() > 0.9
    assert (cells["subset"][truth == "treg"] == "cd4_t").mean() > 0.9
    blind = counts[:, ~counts.var_names.isin(["CD8A", "CD8B"])].copy()
    found = annotate(blind, "t")[0]["subset"]
    assert not found.str.startswith(("cd4", "cd8")).any()


def test_missing_markers_leave_subsets_open_and_are_listed(t_cells):
    counts, truth = t_cells
    lost = T["Treg"]["genes"][:6]
    cells, _ = annotate(counts[:, ~counts.var_names.isin(lost)].copy(), "t")
    assert not (cells["subset"] == "treg").any()
    assert cells["score"][truth == "treg"].mean() < 0.7 * cells["score"][truth != "treg"].mean()
    assert (cells["subset"][truth != "treg"] == truth[truth != "treg"]).mean() > 0.95
    listed = coverage_of_branch("t", ("blood",), counts.var_names.difference(lost)).set_index("set")
    assert listed.at["t.Treg", "missing"].split(",") == lost
    assert listed.at["t.Treg", "found"] == len(T["Treg"]["genes"]) - len(lost)
    assert listed.at["t.Treg", "status"] == "no defining gene"
    assert listed.at["t.side_CD8", "missing"] == ""
    assert not coverage_of_branch("nk", ("blood",), []).set_index("type").index.isin(["cd4_t", "cd8_t"]).any()


def test_a_state_goes_beside_the_subset(t_cells):
    markers = T_MARKERS | {"excited": [*T_MARKERS["cd8_tn"], *T["T_ISG"]["genes"]]}
    counts, truth = make_groups(dict.fromkeys(markers, 60), markers | ALL)
    cells, _ = annotate(counts, "t")
    assert (cells["state"][truth == "excited"] == "t_isg").mean() > 0.9
    assert (cells["subset"][truth == "excited"] == "cd8_tn").mean() > 0.9
    assert (cells["state"][truth != "excited"] == "t_isg").mean() < 0.05


def test_reference_and_receptor_are_heard_and_contradictions_stay(t_cells):
    counts, truth = t_cells
    cells = counts.obs_names
    votes = pd.DataFrame({"subset": np.where(truth == "treg", "cd4_tcm", "no_such")}, index=cells)
    receptor = np.select([truth == "cd8_tn", truth == "mait"], ["inkt", "alpha_beta"], "none")
    found, _ = annotate(counts, "t", votes, pd.DataFrame({"receptor": receptor}, index=cells))
    assert (found["subset"][truth == "treg"] == "treg").mean() > 0.9
    assert (found["reference"][truth == "treg"] == "cd4_tcm").all()
    assert found["agreement"][truth == "treg"].mean() == pytest.approx(2 / 3, abs=0.05)
    assert (found["reference"][truth != "treg"] == "").all()
    assert (found["subset"][truth == "cd8_tn"] == "inkt").all()
    assert (found["markers"][truth == "cd8_tn"] == "cd8_tn").mean() > 0.9
    assert found["agreement"][truth == "cd8_tn"].mean() == pytest.approx(1 / 3, abs=0.05)
    assert (found["subset"][truth == "mait"] == "mait").mean() > 0.9


def test_nk_cluster_takes_its_anchor_and_absent_anchors_have_no_match():
    markers = {
        "nk_c4_zeb2": ["ZEB2", *NK["CD56dim"]["genes"]],
        "nk_cd56bright": NK["CD56bright"]["genes"],
        "none": ["NCR3", *(gene for entry in NK.values() for gene in entry["genes"])],
    }
    counts, truth = make_groups({"nk_c4_zeb2": 80, "nk_cd56bright": 60}, markers)
    cells, matched = annotate(counts, "nk")
    assert (cells["subset"] == truth).mean() > 0.95
    assert set(matched.loc[matched["cluster"] != "", "subset"]) == {"nk_c4_zeb2"}
    assert matched.set_index("subset").at["nk_c5_il7", "anchor"] == "IL7"
    assert (cells["by_cluster"][truth == "nk_c4_zeb2"] == "nk_c4_zeb2").mean() > 0.95


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_branch_without_cells(branch):
    counts, _ = make_groups({"a": 2}, {"a": ["CD3D"]})
    cells, matched = annotate(counts[:0].copy(), branch)
    assert cells.empty
    assert (matched["cluster"] == "").all()


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_cells_of_which_no_marker_was_measured_are_unassigned(branch):
    counts, _ = make_groups({"a": 30}, {"a": ["ACTB"]})
    cells, _ = annotate(counts, branch)
    assert set(cells["subset"]) == {f"{branch}_unassigned"}
    assert set(cells["state"]) == {""}
