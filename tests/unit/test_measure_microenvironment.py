import numpy as np
import pandas as pd
import pytest
from tissue_cells import DEFINITION, SETTINGS, SIGNATURES, counts_of, design_of, labels_of, registry_of

from immune_landscape.errors import DesignError
from immune_landscape.layers import LAYERS
from immune_landscape.marker_scores import TARGET_SUM
from immune_landscape.measure_microenvironment import NOT_IMMUNE, is_solid, measure_microenvironment
from immune_landscape.plan import make_plan

DESIGN = design_of(
    [
        ("A_blood", "A", "baseline", "blood", ""),
        ("A_core", "A", "baseline", "tumour", "core"),
        ("A_margin", "A", "baseline", "tumour", "margin"),
        ("B_tumour", "B", "baseline", "tumour", ""),
    ]
)
NUMBERS = {
    "A_blood": {"b": 50, "cd8_tem": 50},
    "A_core": {"epithelial": 60, "b": 10, "cd8_tex": 20, "treg": 10, "platelet": 40, "nameless": 30},
    "A_margin": {"epithelial": 20, "b": 20, "cd8_tem": 30, "treg": 10, "cd4_tn": 20},
    "B_tumour": {"epithelial": 90, "b": 3, "cd8_tex": 4, "treg": 2},
}


@pytest.fixture(scope="module")
def tables():
    labels = labels_of(NUMBERS)
    return measure_microenvironment(counts_of(labels), labels, registry_of(), DESIGN, DEFINITION, **SETTINGS)


def of(table, feature, key="sample"):
    return table[table["feature"] == feature].set_index(key)


def test_blood_has_no_microenvironment(tables):
    assert set(tables["values"]["sample"]) == {"A_core", "A_margin", "B_tumour"}
    assert is_solid(pd.Series(["blood", "pbmc", "tumour"]), ["blood", "pbmc"]).tolist() == [False, False, True]


def test_the_immune_share_leaves_out_cells_without_a_name_and_platelets(tables):
    immune = of(tables["samples"], "immune_share")
    assert immune.loc["A_core", ["part", "whole", "share"]].tolist() == [40, 100, 0.4]
    assert immune.loc["A_core", "value"] == pytest.approx(np.log(40.5 / 60.5))
    assert immune.loc["B_tumour", "share"] == pytest.approx(9 / 99)


def test_lineages_are_shares_of_immune_cells(tables):
    b_cells = of(tables["samples"], "b_of_immune")
    assert b_cells.loc["A_margin", "share"] == pytest.approx(20 / 80)
    # Nine immune cells are too few.
    assert "B_tumour" not in b_cells.index


def test_cd8_against_treg_is_a_log_ratio(tables):
    ratio = of(tables["samples"], "cd8_to_treg")
    assert ratio.loc["A_core", "value"] == pytest.approx(np.log(20.5 / 10.5))
    assert ratio["share"].isna().all()
    assert "B_tumour" not in ratio.index


def test_programmes_are_those_of_all_cd8_cells(tables):
    exhaustion, effector = (of(tables["samples"], name) for name in ("exhaustion_t", "effector_molecules"))
    assert exhaustion.loc["A_core", "part"] == 20
    assert exhaustion.loc["A_core", "value"] > exhaustion.loc["A_margin", "value"] + 0.5
    assert effector.loc["A_core", "value"] < effector.loc["A_margin", "value"] - 0.5
    assert "B_tumour" not in exhaustion.index


def test_a_programme_differs_between_samples_as_its_mean_expression_does(tables):
    """All genes of a bin are controls in every sample alike, so differences can be had without any bin."""
    labels = labels_of(NUMBERS)
    counts = counts_of(labels)
    dense = np.asarray(counts.X.todense())
    logs = np.log1p(dense / dense.sum(axis=1, keepdims=True) * TARGET_SUM)
    genes = counts.var_names.get_indexer(SIGNATURES["exhaustion_t"])
    means = [
        logs[((labels["sample"] == sample) & labels["subset"].str.startswith("cd8")).to_numpy()].mean(axis=0)
        for sample in ("A_core", "A_margin")
    ]
    plain = np.diff([mean[genes].mean() for mean in means])[0]
    found = of(tables["samples"], "exhaustion_t")["value"]
    # The controls are dozens of genes that hardly differ.
    assert found["A_margin"] - found["A_core"] == pytest.approx(plain, abs=0.4)


def test_regions_of_a_patient_are_averaged_and_stay_in_the_table(tables):
    own = tables["patients"].set_index(["patient", "feature"])
    parts = of(tables["samples"], "immune_share").loc[["A_core", "A_margin"]]
    assert own.loc[("A", "immune_share"), "regions"] == 2
    assert own.loc[("A", "immune_share"), "value"] == pytest.approx(parts["value"].mean())
    assert own.loc[("A", "immune_share"), "share"] == pytest.approx((0.4 + 0.8) / 2)
    assert own.loc[("B", "immune_share"), "regions"] == 1


def test_a_signature_that_was_not_scored_is_refused():
    labels = labels_of(NUMBERS)
    settings = SETTINGS | {"signatures": ["naive"]}
    with pytest.raises(DesignError, match="signatures is naive, expected of: effector_molecules, exhaustion_t"):
        measure_microenvironment(counts_of(labels), labels, registry_of(), DESIGN, DEFINITION, **settings)


def test_a_cohort_without_t_cells_has_no_programmes():
    labels = labels_of({"B_tumour": {"epithelial": 90, "b": 30}})
    found = measure_microenvironment(counts_of(labels), labels, registry_of(), DESIGN, DEFINITION, **SETTINGS)
    assert set(found["values"]["feature"]) == {"immune_share", "t_of_immune", "b_of_immune"}


def test_lineages_that_are_not_immune_are_known_ones():
    from immune_landscape.cell_types import types_of

    assert set(NOT_IMMUNE) <= set(types_of("lineage", tissues=("tumour",)).index)


def test_the_layer_is_compared_where_a_sample_is_of_tissue():
    plan = make_plan({"cohort": "config/cohorts/gastric_conversion"}, {})
    assert plan.compared["microenvironment"] == LAYERS["microenvironment"].table
    assert "microenvironment" not in make_plan({"cohort": "config/cohorts/demo"}, {}).compared
    assert "microenvironment" not in make_plan({"cohort": plan.cohort.folder}, {"layers": ["tcr"]}).compared
