import numpy as np
import pandas as pd
import pytest
from annotated import mapped
from cells import make_groups

from immune_landscape.annotate_lineages import annotate_lineages
from immune_landscape.cell_types import read_markers

BROAD = read_markers()["broad"]
SETS = {"t": "T_cell", "nk": "NK", "b": "B_cell", "mono_classical": "mono_classical"}
MARKERS = {slug: BROAD[name]["genes"] for slug, name in SETS.items()} | {"nothing": []}
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
    counts, truth = make_groups({"t": 60, "nk": 60}, markers)
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
