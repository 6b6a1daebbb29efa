import warnings

import numpy as np
import pandas as pd
import pytest
from expression_tables import COMPARE, TESTING, contrast, design_of, sums_of

from immune_landscape.compare_expression import compare_expression
from immune_landscape.expression_panels import patients_with_sums
from immune_landscape.model_expression import AGREEMENT_COLUMNS, MODEL_COLUMNS, adjusted_matrix, model_expression
from immune_landscape.model_formulas import model_matrix
from immune_landscape.patient_groups import compared_patients
from immune_landscape.pseudobulk import Pseudobulk

PLANTED = {"g005": 2.0, "g017": -2.0, "g030": 1.5, "g041": -1.5}
SETTINGS = {"branches": ["nk"], "top": 20, "max_genes": 60}
LIGHT = TESTING._replace(null_draws=20)


@pytest.fixture(scope="module")
def design():
    return design_of(5, 7)


@pytest.fixture(scope="module")
def sums(design):
    return sums_of(design, ("nk", "b", "t"), genes=120, planted=PLANTED)


def fit(sums, design, chosen, **changes):
    genes = compare_expression(sums, design, [chosen], LIGHT, 1, **COMPARE)["genes"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = model_expression(sums, design, [chosen], genes, **(SETTINGS | changes))
    assert list(tables["models"]) == MODEL_COLUMNS
    assert list(tables["agreement"]) == AGREEMENT_COLUMNS
    return tables["models"], tables["agreement"], genes


def test_signs_agree_with_the_primary_test_on_its_first_genes(sums, design):
    models, agreement, genes = fit(sums, design, contrast(subsets=["b"]))
    assert agreement["subset"].tolist() == ["nk", "b"]
    assert (agreement["status"] == "fitted").all()
    assert (agreement["compared"] == 20).all()
    assert (agreement["share_same_sign"] >= 0.95).all()
    assert (agreement["correlation"] > 0.95).all()
    own = models[models["subset"] == "nk"].set_index("gene")
    for gene, fold in PLANTED.items():
        assert own.loc[gene, "log2_fold"] == pytest.approx(fold / np.log(2), abs=1.0)
        assert own.loc[gene, "padj"] < 0.05
    first = genes[genes["subset"] == "nk"]["gene"].head(20)
    assert set(own.index[own["compared"].astype(bool)]) == set(first)


def test_folds_are_those_of_the_counts_where_the_model_has_a_closed_form(design):
    """Without noise the change of each patient is exact, and so is the difference of changes."""
    sums = sums_of(design, genes=80, dispersion=1e-4, depth=4_000_000, planted=PLANTED)
    models, _, genes = fit(sums, design, contrast(), max_genes=80)
    merged = models.merge(genes[["gene", "effect"]], on="gene", suffixes=("", "_primary"))
    high = merged["gene"].isin(genes.nlargest(40, "mean_log_cpm")["gene"])
    gap = (merged["log2_fold"] - merged["effect_primary"])[high]
    # Size factors of the two roads differ by a constant, and means of ratios are not ratios of means.
    assert (gap - gap.median()).abs().median() < 0.1


def test_the_nested_design_drops_empty_columns(sums, design):
    groups, counts, _ = patients_with_sums(sums, "nk", design, contrast())
    samples = design.set_index("sample").loc[counts.index].reset_index()
    samples = samples.rename(columns={"response": "group", "visit": "time"})
    matrix, _ = model_matrix(samples, "~ group + group:patient + group:time")
    # Intercept and group, 4 and 6 further patients, a change of each group; 12 patients leave 10 residuals.
    assert matrix.shape == (24, 2 + 4 + 6 + 2)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
    assert len(groups.table) == 12


@pytest.mark.parametrize(
    "chosen",
    [contrast(estimand="change"), contrast(estimand="baseline", target=""), contrast(estimand="arm_by_visit")],
)
def test_every_estimand_has_its_model(sums, design, chosen):
    _, agreement, genes = fit(sums, design, chosen, max_genes=40)
    assert agreement["status"].tolist() == ["fitted"]
    assert agreement["share_same_sign"].iloc[0] >= 0.9
    assert agreement["correlation"].iloc[0] > 0.9
    assert agreement["n_a"].iloc[0] == genes["n_a"].iloc[0]


def test_genes_beside_those_compared_are_of_all_levels(sums, design):
    models, agreement, genes = fit(sums, design, contrast(), top=10, max_genes=40)
    assert agreement["genes"].tolist() == [40]
    own = genes[genes["subset"] == "nk"].set_index("gene")["mean_log_cpm"]
    others = own[models.loc[~models["compared"].astype(bool), "gene"]]
    assert others.min() == own.drop(models.loc[models["compared"].astype(bool), "gene"]).min()
    assert others.max() == own.drop(models.loc[models["compared"].astype(bool), "gene"]).max()
    _, few, _ = fit(sums, design, contrast(), max_genes=10, top=20)
    assert few["genes"].tolist() == [20]


def test_covariates_enter_as_changes_of_their_own(design):
    """Site moves the change of a gene and is unequal in the groups: without it, responders seem to differ."""
    site = np.where(design["patient"].isin(["p00", "p01", "p02", "p03", "p05", "p06"]), "s1", "s2")
    design = design.assign(site=site)
    sums = sums_of(design, genes=80, dispersion=1e-3, depth=4_000_000)
    later = ((design["site"] == "s1") & (design["visit"] == "after")).to_numpy()
    counts = np.array(sums.counts)
    counts[np.ix_(later, np.arange(10))] *= 8
    sums = Pseudobulk(sums.profiles, sums.genes, counts)
    chosen = contrast(covariates=["site"])
    models, agreement, genes = fit(sums, design, chosen, max_genes=80)
    assert agreement["note"].iloc[0].startswith("adjusted for site")
    primary = genes.set_index("gene")["effect"]
    both = models.set_index("gene").drop(columns="effect").join(primary)
    assert np.corrcoef(both["log2_fold"], both["effect"])[0, 1] > 0.95
    moved = [f"g{at:03d}" for at in range(10)]
    plain, unadjusted, _ = fit(sums, design, contrast(), max_genes=80)
    assert unadjusted["note"].iloc[0] == "" or "site" not in unadjusted["note"].iloc[0]
    shift = plain.set_index("gene").loc[moved, "log2_fold"].mean()
    assert shift - both.loc[moved, "log2_fold"].mean() > 0.8


def test_strata_enter_as_changes_of_their_own(sums, design):
    _, agreement, _ = fit(sums, design, contrast(strata=["site"]), max_genes=30)
    assert agreement["note"].iloc[0].startswith("adjusted for site")
    _, agreement, _ = fit(sums, design, contrast(estimand="baseline", target="", strata=["site"]), max_genes=30)
    assert agreement["note"].iloc[0].startswith("adjusted for site")


def test_what_the_model_leaves_out_is_said(sums, design):
    _, agreement, _ = fit(sums, design, contrast(covariates=["age"], adjust_baseline=True), max_genes=30)
    assert agreement["note"].iloc[0].startswith("adjusted for age; without the value at the reference")


def test_covariates_that_the_samples_do_not_tell_apart_are_left_out_and_named(design):
    """A ward with one patient each explains every change."""
    few = design.assign(ward=[f"w{name[1:]}" for name in design["patient"]])
    matrix = np.column_stack([np.ones(24), np.eye(24)[:, :10]])
    groups = compared_patients(few, contrast(covariates=["ward"]))
    samples = pd.DataFrame({"patient": groups.weights["patient"], "time": np.tile(["before", "after"], 12)})
    wider, notes = adjusted_matrix(matrix, samples, groups, contrast(covariates=["ward"]))
    assert wider.shape == matrix.shape
    assert notes == ["without ward, not estimable in this model"]


def test_a_summary_that_is_no_coefficient_is_not_fitted(design):
    later = design[design["visit"] == "after"].assign(visit="later")
    later["sample"] = later["patient"] + "_later"
    both = pd.concat([design, later], ignore_index=True)
    wide = contrast(target="", targets=["after", "later"], summary="mean")
    models, agreement, _ = fit(sums_of(both, genes=50), both, wide)
    assert models.empty
    assert agreement["status"].tolist() == ["not_fitted"]
    assert "mean of several targets" in agreement["note"].iloc[0]
    last = contrast(target="", targets=["after", "later"], summary="last")
    _, agreement, _ = fit(sums_of(both, genes=50), both, last, max_genes=30)
    assert agreement["status"].tolist() == ["fitted"]


def test_subsets_that_are_not_tested_are_not_fitted(sums, design):
    genes = compare_expression(sums, design, [contrast()], LIGHT, 1, **(COMPARE | {"min_first": 9}))["genes"]
    tables = model_expression(sums, design, [contrast()], genes, **SETTINGS)
    assert tables["models"].empty
    assert tables["agreement"].empty
