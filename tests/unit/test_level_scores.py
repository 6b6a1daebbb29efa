import numpy as np
import pandas as pd
import pytest

from immune_landscape.cell_types import read_cell_types, read_levels, types_of
from immune_landscape.level_scores import (
    RULED_OUT,
    above_level,
    close_sides,
    coverage_of,
    coverage_of_sides,
    level_genes,
    score_types,
    share_found,
    side_of,
)
from immune_landscape.marker_scores import entry_of, gene_weights

T = types_of("subset", branch="t")


def blood(n_cells, seed=0, scale=1.0):
    """Return cells whose genes vary around the reference as blood does, with all molecules scaled alike."""
    levels, rng = read_levels(), np.random.default_rng(seed)
    values = rng.normal(levels["t_mean"], levels["t_sd"], (n_cells, len(levels))).clip(0)
    return pd.DataFrame(np.log1p(scale * np.expm1(values)), columns=levels.index)


def test_every_marker_of_a_branch_has_a_level():
    levels = read_levels()
    assert levels.notna().all(axis=None)
    assert (levels.to_numpy() >= 0).all()
    for level in ("subset", "state"):
        for branch in ("nk", "t"):
            types = types_of(level, branch=branch)
            assert set(level_genes(types, branch)) <= set(levels.index)


def test_diverse_cells_are_measured_by_their_own_mean():
    expression = blood(4000)
    gene = "CCL5"
    z = above_level(expression + 0.3, "t")[gene]
    assert z.mean() == pytest.approx(0, abs=0.1)
    assert z.std() == pytest.approx(0.95, abs=0.15)


def test_a_population_that_is_alone_is_measured_by_blood():
    expression = blood(400)
    levels = read_levels().loc["CCR7"]
    high = levels["t_mean"] + 2 * levels["t_sd"]
    expression["CCR7"] = high
    wanted = 2 * levels["t_sd"] / np.hypot(levels["t_sd"], 0.1)
    assert above_level(expression, "t")["CCR7"].to_numpy() == pytest.approx(wanted, abs=0.15)


def test_few_cells_lean_on_blood_even_where_they_differ():
    one = blood(2, seed=3)
    one["CCL5"] = [0.0, 3.0]
    many = pd.concat([one] * 500, ignore_index=True)
    mean = read_levels().at["CCL5", "t_mean"]
    few, enough = (above_level(cells, "t")["CCL5"].iloc[:2].mean() for cells in (one, many))
    assert enough == pytest.approx(0, abs=0.05)
    assert few * (1.5 - mean) > 0
    assert abs(few) > 0.2


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_reference_follows_the_scale_of_the_data(scale):
    usual, scaled = (above_level(blood(400, scale=each), "t").mean() for each in (1.0, scale))
    assert abs(scaled.mean() - usual.mean()) < 0.2


def test_score_is_the_weighted_mean_of_markers_less_half_the_negatives():
    entry, weights = entry_of("t.Treg"), gene_weights(T)
    levels = pd.DataFrame(0.0, index=["a", "b"], columns=level_genes(T, "t"))
    levels.loc["a", ["FOXP3", "IL2RA"]] = 2.0
    levels.loc["a", "CD8A"] = 1.0
    total = sum(weights[gene] for gene in entry["genes"])
    wanted = 2 * (weights["FOXP3"] + weights["IL2RA"]) / total - 0.5 * 1.0 / len(entry["negative"])
    found = score_types(levels, T)["treg"]
    assert found["a"] == pytest.approx(wanted)
    assert found["b"] == RULED_OUT  # its defining genes do not lie above level


def test_shared_markers_weigh_less():
    weights = gene_weights(T)
    assert weights["SLC4A10"] == 1
    assert weights["CCR7"] < 0.8


def test_missing_markers_lower_the_score_and_a_missing_defining_gene_ends_it():
    levels = pd.DataFrame(2.0, index=["a"], columns=entry_of("t.Treg")["genes"])
    full = score_types(levels, T).at["a", "treg"]
    fewer = score_types(levels.drop(columns=["CTLA4", "RTKN2"]), T).at["a", "treg"]
    assert full == pytest.approx(2)
    assert fewer > 0
    assert fewer < 0.9 * full
    assert "treg" not in score_types(levels.drop(columns=["FOXP3", "IL2RA"]), T)
    assert "treg" not in score_types(levels[["FOXP3", "IL2RA"]], T)


def test_sides_close_the_types_of_the_other_and_both_where_unknown():
    levels = pd.DataFrame({"CD8A": [2.0, -1.0, 0.0], "CD4": [-1.0, 1.0, 0.0]})
    side = side_of(levels)
    assert side.tolist() == [3.0, -2.0, 0.0]
    by_type = pd.DataFrame(1.0, index=range(3), columns=["cd4_tn", "cd8_tn", "mait"])
    closed = close_sides(by_type, read_cell_types(), side) == RULED_OUT
    assert closed["cd4_tn"].tolist() == [True, False, False]
    assert closed["cd8_tn"].tolist() == [False, True, False]
    assert side_of(levels[["CD8A"]]).tolist() == [4.0, -2.0, 0.0]
    unknown = side_of(levels[["CD4"]])
    assert unknown.isna().all()
    closed = close_sides(by_type, read_cell_types(), unknown) == RULED_OUT
    assert closed.all().tolist() == [True, True, False]


def test_coverage_counts_and_names_what_is_missing():
    treg = T.loc[["treg"]]
    table = coverage_of(treg, ["FOXP3", "CD4"])
    row = table.iloc[0]
    assert row[["type", "set", "genes", "found"]].tolist() == ["treg", "t.Treg", 9, 2]
    assert row["missing"].split(",") == [gene for gene in entry_of("t.Treg")["genes"] if gene not in ("FOXP3", "CD4")]
    assert row["status"] == "too few genes"
    assert coverage_of(treg, entry_of("t.Treg")["genes"])["status"].tolist() == ["looked for"]
    assert coverage_of(treg, entry_of("t.Treg")["genes"][2:])["status"].tolist() == ["no defining gene"]
    assert share_found(treg, ["FOXP3", "CD4"]) == pytest.approx(2 / 9)
    assert share_found(treg, []) == 0


def test_genes_of_the_sides_are_listed_too():
    table = coverage_of_sides(["CD8B", "CD4", "LTB"]).set_index("type")
    assert table.loc["cd8_t", ["set", "missing", "status"]].tolist() == [
        "t.side_CD8", "CD8A,LINC02446,CTSW", "looked for",
    ]  # fmt: skip
    assert table.at["cd4_t", "missing"] == "CD40LG"
    assert set(coverage_of_sides(["CD4", "LTB"])["status"]) == {"too few genes"}
