import numpy as np
import pandas as pd
import pytest
from annotated import mapped
from cells import make_groups

from immune_landscape.annotate_lineages import annotate_lineages, coverage_of_lineages, faults_of
from immune_landscape.cell_types import read_markers, types_of

BROAD = read_markers()["broad"]
SETS = {"t": "T_cell", "nk": "NK", "b": "B_cell", "mono_classical": "mono_classical"}
ALL = {"all": [gene for entry in BROAD.values() for gene in entry["genes"]]}
"""A group without cells, which puts every marker among the genes."""
MARKERS = {slug: BROAD[name]["genes"] for slug, name in SETS.items()} | {"nothing": []} | ALL
CYTOTOXIC = ["NKG7", "KLRD1", "GNLY", "PRF1", "GZMB", "CD247", "TYROBP"]
SMALL = {"n_top_genes": 100, "n_components": 10}
FLOORS = {"min_score": 1.0, "min_margin": 0.5}


def annotate(counts, *witnesses, **floors):
    return annotate_lineages(counts, *mapped(counts, **SMALL), ("blood",), *witnesses, **(FLOORS | floors))


@pytest.fixture(scope="module")
def planted():
    sizes = {"t": 60, "nk": 40, "b": 40, "mono_classical": 40, "nothing": 40}
    return make_groups(sizes, MARKERS)


def test_planted_lineages_are_named_and_strangers_are_not(planted):
    counts, truth = planted
    table = annotate(counts)
    expected = pd.Series(truth).replace("nothing", "unassigned").to_numpy()
    assert (table["lineage"] == expected).mean() > 0.97
    assert table["branch"].tolist() == [{"t": "t", "nk": "nk"}.get(name, "other") for name in table["lineage"]]
    assert list(table.columns) == [
        "sample", "cluster", "lineage", "branch", "score", "runner_up", "margin", "markers", "by_cluster", "reference",
        "receptor", "agreement",
    ]  # fmt: skip
    assert (table[["reference", "receptor"]] == "").all(axis=None)


def test_cytotoxic_t_cells_and_adaptive_nk_cells_are_told_apart():
    # Each carries genes of the other: CD3E in adaptive NK cells, the whole killing machinery in effector T cells.
    markers = {
        "t": [*CYTOTOXIC, *BROAD["T_against_NK"]["genes"]],
        "nk": [*CYTOTOXIC, "CD3E", "TRBC1", "TRBC2", "KLRF1", "SH2D1B", "NCAM1"],
    }
    counts, truth = make_groups({"t": 60, "nk": 60}, markers | ALL)
    table = annotate(counts)
    assert (table["lineage"] == truth).mean() > 0.97


def test_a_pure_population_is_named(planted):
    counts, truth = planted
    for lineage in ("nk", "t"):
        alone = counts[truth == lineage].copy()
        assert (annotate(alone)["lineage"] == lineage).mean() > 0.97


def test_witnesses_that_contradict_stay_in_their_columns(planted):
    counts, truth = planted
    cells = counts.obs_names
    votes = pd.DataFrame({"lineage": np.where(truth == "b", "plasma", truth)}, index=cells).replace("nothing", "")
    receptors = pd.DataFrame({"cell": cells[truth != "mono_classical"], "receptor": "alpha_beta"})
    table = annotate(counts, votes, receptors)
    of = {name: table[truth == name] for name in SETS}
    assert (of["b"]["reference"] == "plasma").all()
    assert (of["b"]["lineage"] == "b").mean() > 0.97
    assert of["b"]["agreement"].mean() == pytest.approx(2 / 3, abs=0.05)
    assert (of["nk"]["lineage"] == "nk").mean() > 0.97
    assert of["nk"]["agreement"].mean() == pytest.approx(3 / 4, abs=0.05)
    assert (of["nk"]["receptor"] == "alpha_beta").all()
    assert of["t"]["agreement"].mean() > 0.97
    assert (of["mono_classical"]["receptor"] == "").all()


def without(counts, *genes):
    return counts[:, ~counts.var_names.isin(genes)].copy()


def test_a_lineage_with_too_few_of_its_genes_is_not_named(planted):
    counts, truth = planted
    table = annotate(without(counts, *BROAD["B_cell"]["genes"][:5]))
    assert (table["lineage"][truth == "b"] == "unassigned").all()
    others = np.isin(truth, ["t", "nk", "mono_classical"])
    assert (table["lineage"] == truth)[others].mean() > 0.97


def test_cells_do_not_take_the_name_of_a_rival_whose_markers_they_share():
    # Monocytes carry TYROBP and FCER1G as NK cells do; without markers of their own nothing else speaks for them.
    shared = ["TYROBP", "FCER1G", "CD247", "NKG7"]
    markers = MARKERS | {"mono_classical": [*BROAD["mono_classical"]["genes"], *shared]}
    counts, truth = make_groups({"t": 60, "nk": 40, "mono_classical": 60}, markers)
    is_mono = truth == "mono_classical"
    assert (annotate(counts)["lineage"][is_mono] == "mono_classical").mean() > 0.97
    few = without(counts, *BROAD["mono_classical"]["genes"], *BROAD["mono_nonclassical"]["genes"])
    table = annotate(few)
    assert (table["score"][is_mono] > FLOORS["min_score"]).mean() > 0.9
    assert (table["lineage"][is_mono] == "unassigned").all()
    assert (table["lineage"][truth == "t"] == "t").mean() > 0.97


def test_t_and_nk_cells_stay_open_where_the_genes_that_tell_them_apart_are_missing(planted):
    counts, truth = planted
    few = without(counts, *BROAD["NK_against_T"]["genes"][:5])
    faults = faults_of(types_of("lineage"), few.var_names)
    assert faults["t"] == "not told from nk"
    assert faults["b"] == ""
    table = annotate(few)
    assert (table["lineage"][np.isin(truth, ["t", "nk"])] == "unassigned").all()
    assert (table["lineage"] == truth)[np.isin(truth, ["b", "mono_classical"])].mean() > 0.97


def test_t_cells_keep_their_name_where_nk_cells_lose_theirs(planted):
    counts, truth = planted
    table = annotate(without(counts, "NKG7", "KLRD1", "GNLY", "PRF1", "CD247", "GZMB", "NCR1"))
    assert (table["lineage"][truth == "nk"] == "unassigned").all()
    assert (table["lineage"][truth == "t"] == "t").mean() > 0.97


def test_what_is_missing_is_listed_with_what_follows_from_it():
    genes = set(ALL["all"]) - {"CD14", *BROAD["mono_nonclassical"]["genes"][:5], "CD5"}
    table = coverage_of_lineages(("blood",), genes).set_index("set")
    assert table.at["broad.mono_classical", "missing"] == "CD14"
    assert table.at["broad.mono_classical", "status"] == "not told from mono_nonclassical"
    assert table.at["broad.mono_nonclassical", "status"] == "too few genes"
    assert table.at["broad.B_cell", "status"] == "looked for"
    assert table.loc["broad.T_against_NK", ["type", "missing", "status"]].tolist() == ["t", "CD5", "looked for"]
    none = coverage_of_lineages(("blood",), []).set_index("set")
    assert set(none["status"]) == {"too few genes", "no defining gene"}
    assert none["found"].eq(0).all()
