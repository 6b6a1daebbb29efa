import warnings

import numpy as np
import pandas as pd
import pytest
from expression_tables import COMPARE, TESTING, contrast, design_of, sums_of, without
from scipy import stats

from immune_landscape.compare_expression import (
    DIFFERENCE_COLUMNS,
    GENE_COLUMNS,
    SUBSET_COLUMNS,
    compare_expression,
)
from immune_landscape.errors import DesignError
from immune_landscape.moderated_t import moderate
from immune_landscape.pseudobulk import library_factors, log_cpm

PLANTED = {"g005": 2.0, "g017": -2.0}


@pytest.fixture(scope="module")
def design():
    return design_of()


@pytest.fixture(scope="module")
def planted(design):
    return sums_of(design, ("nk", "b"), planted=PLANTED)


def compare(sums, design, *contrasts, testing=TESTING, seed=1, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = compare_expression(sums, design, contrasts or [contrast()], testing, seed, **(COMPARE | changes))
    assert list(tables["genes"]) == GENE_COLUMNS
    assert list(tables["subsets"]) == SUBSET_COLUMNS
    assert list(tables["differences"]) == DIFFERENCE_COLUMNS
    return tables


def changes_by_hand(sums, subset, genes=()):
    """Return patients x genes changes in log2 counts per million, scaled over some genes."""
    counts = sums.of(subset)
    depth = counts.sum(axis=1).to_numpy()
    factors = library_factors(counts[list(genes)], depth) if len(genes) else 1.0
    logs = log_cpm(counts, depth * factors, prior_count=2)
    before, after = (logs[logs.index.str.endswith(visit)] for visit in ("before", "after"))
    return pd.DataFrame(after.to_numpy() - before.to_numpy(), columns=logs.columns, index=before.index.str[:3])


def test_effects_and_p_are_those_of_the_formulas(planted, design):
    genes = compare(planted, design)["genes"]
    found = genes[genes["subset"] == "b"].set_index("gene")
    changes = changes_by_hand(planted, "b")[found.index]
    is_a = np.arange(19) < 6
    effect = changes[is_a].mean() - changes[~is_a].mean()
    variance = (5 * changes[is_a].var() + 12 * changes[~is_a].var()) / 17
    posterior, prior_df = moderate(variance.to_numpy(), 17)
    error = np.sqrt(posterior * (1 / 6 + 1 / 13))
    t = effect / error
    assert found["effect"].to_numpy() == pytest.approx(effect.to_numpy(), abs=1e-9)
    assert found["t"].to_numpy() == pytest.approx(t.to_numpy())
    assert found["p"].to_numpy() == pytest.approx(2 * stats.t.sf(np.abs(t), 17 + float(prior_df)))
    reach = stats.t.isf(0.025, 17 + float(prior_df)) * error
    assert found["ci_low"].to_numpy() == pytest.approx((effect - reach).to_numpy())
    assert found["fdr"].to_numpy() == pytest.approx(stats.false_discovery_control(found["p"]))
    assert found["n_a"].unique().tolist() == [6]
    assert found["n_b"].unique().tolist() == [13]


def test_planted_genes_come_first_with_their_signs_in_every_subset(planted, design):
    tables = compare(planted, design)
    for _, genes in tables["genes"].groupby("subset"):
        first = genes.head(2).set_index("gene")
        assert set(first.index) == set(PLANTED)
        assert np.sign(first["effect"]).to_dict() == {"g005": 1, "g017": -1}
        assert first["effect"].abs().to_numpy() == pytest.approx(np.full(2, 2 / np.log(2)), abs=1.0)
        assert (first["fdr"] <= 0.05).all()
        assert (first["empirical_fdr"] <= 0.05).all()
    rows = tables["subsets"]
    assert (rows["found"] >= 2).all()
    assert rows["calibrated"].all()
    assert (rows["null_runs"] == 200).all()
    assert rows["null_inflation"].between(0.8, 1.25).all()


def test_libraries_are_scaled_over_the_genes_expressed(planted, design):
    genes = compare(planted, design, normalisation="tmm")["genes"]
    found = genes[genes["subset"] == "b"].set_index("gene")
    changes = changes_by_hand(planted, "b", sorted(found.index))[found.index]
    effect = changes.iloc[:6].mean() - changes.iloc[6:].mean()
    assert found["effect"].to_numpy() == pytest.approx(effect.to_numpy())
    plain = compare(planted, design)["genes"].set_index(["subset", "gene"]).loc["b", "effect"]
    assert (found["effect"] - plain.loc[found.index]).abs().max() > 1e-3


def test_the_pooled_rate_is_over_the_subsets_of_a_contrast(planted, design):
    both = [contrast(), contrast(name="other", estimand="change")]
    genes = compare(planted, design, *both)["genes"]
    for _, own in genes.groupby("contrast"):
        assert own["fdr_pooled"].to_numpy() == pytest.approx(stats.false_discovery_control(own["p"]))


def test_change_in_all_patients_is_a_one_sample_test(planted, design):
    genes = compare(planted, design, contrast(estimand="change"))["genes"]
    found = genes[genes["subset"] == "nk"].set_index("gene")
    changes = changes_by_hand(planted, "nk")[found.index]
    assert found["effect"].to_numpy() == pytest.approx(changes.mean().to_numpy(), abs=1e-9)
    posterior, _ = moderate(changes.var().to_numpy(), 18)
    assert found["t"].to_numpy() == pytest.approx((changes.mean() / np.sqrt(posterior / 19)).to_numpy())


def test_the_baseline_compares_one_visit(planted, design):
    tables = compare(planted, design, contrast(estimand="baseline", target=""))
    row = tables["differences"].iloc[0]
    sample = f"{row['patient']}_before"
    counts = planted.of(row["subset"])
    own = counts[counts.index.str.endswith("before")]
    depth = own.sum(axis=1).to_numpy()
    logs = log_cpm(own, depth, prior_count=2)
    assert row["before"] == pytest.approx(logs.loc[sample, row["gene"]])
    assert tables["differences"]["difference"].isna().all()
    assert set(tables["genes"]["n_b"]) == {13}


def test_covariates_and_strata_enter_the_model(planted, design):
    found = compare(planted, design, contrast(covariates=["age"], strata=["site"]))
    genes = found["genes"][found["genes"]["subset"] == "nk"].set_index("gene")
    changes = changes_by_hand(planted, "nk")[genes.index]
    patients = design.drop_duplicates("patient")
    is_a = (patients["response"] == "responder").to_numpy(dtype=float)
    sites = (patients["site"] == "s1").to_numpy(dtype=float)
    matrix = np.column_stack([np.ones(19), patients["age"], sites, is_a])
    expected = np.linalg.lstsq(matrix, changes.to_numpy(), rcond=None)[0][-1]
    assert genes["effect"].to_numpy() == pytest.approx(expected)
    assert "adjusted for age" in found["subsets"]["note"].iloc[0]


def test_the_value_at_the_reference_may_be_adjusted_for(planted, design):
    found = compare(planted, design, contrast(adjust_baseline=True))
    genes = found["genes"][found["genes"]["subset"] == "nk"].set_index("gene")
    values = found["differences"]
    own = values[(values["subset"] == "nk") & (values["gene"] == "g005")]
    matrix = np.column_stack([np.ones(19), own["before"], own["group"] == "responder"]).astype(float)
    expected = np.linalg.lstsq(matrix, own["difference"].to_numpy(), rcond=None)[0][-1]
    assert genes.loc["g005", "effect"] == pytest.approx(expected)
    assert found["subsets"]["null_runs"].eq(200).all()


def test_patients_without_a_sum_are_left_out_of_its_subset_alone(planted, design):
    dropped = {("p00_after", "b"), ("p09_before", "b")}
    rows = compare(without(planted, dropped), design)["subsets"].set_index("subset")
    assert rows.loc["b", ["n_a", "n_b"]].tolist() == [5, 12]
    assert "left out for want of cells: p00, p09" in rows.loc["b", "note"]
    assert rows.loc["nk", ["n_a", "n_b"]].tolist() == [6, 13]
    assert rows.loc["nk", "note"] == ""


def test_too_few_patients_have_effects_and_no_p(planted, design):
    dropped = {(f"p0{patient}_after", "b") for patient in range(3)}
    tables = compare(without(planted, dropped), design)
    row = tables["subsets"].set_index("subset").loc["b"]
    assert row["status"] == "not_testable"
    assert "3 / 13 patients with enough cells, 4 / 6 needed" in row["note"]
    genes = tables["genes"][tables["genes"]["subset"] == "b"]
    assert genes["effect"].notna().all()
    assert genes[["p", "fdr", "fdr_pooled", "ci_low", "shrunken", "loo_low", "calibrated"]].isna().all(axis=None)
    assert genes["effect"].abs().is_monotonic_decreasing
    changes = changes_by_hand(without(planted, dropped | {(f"p0{at}_before", "b") for at in range(3)}), "b")
    expected = changes.iloc[:3].mean() - changes.iloc[3:].mean()
    assert genes.set_index("gene")["effect"].to_dict() == pytest.approx(expected[genes["gene"]].to_dict(), abs=0.02)
    lowered = compare(without(planted, dropped), design, min_first=3)["subsets"].set_index("subset")
    assert lowered.loc["b", "status"] == "tested"


def test_a_subset_without_patients_or_genes_has_a_row_and_no_genes(planted, design):
    alone = without(planted, {(sample, "b") for sample in design["sample"] if sample != "p00_after"})
    tables = compare(alone, design)
    row = tables["subsets"].set_index("subset").loc["b"]
    assert row[["n_a", "n_b", "genes"]].tolist() == [0, 0, 0]
    assert row["status"] == "not_testable"
    assert set(tables["genes"]["subset"]) == {"nk"}
    rare = compare(planted, design, min_count=1e9)
    assert rare["genes"].empty
    assert rare["subsets"]["note"].str.contains("no gene with 1e+09 counts in 25% of the samples", regex=False).all()


def test_leaving_one_patient_out_is_refitting_without(planted, design):
    genes = compare(planted, design)["genes"]
    first = genes[genes["subset"] == "nk"].iloc[0]
    changes = changes_by_hand(planted, "nk")[first["gene"]].to_numpy()
    is_a = np.arange(19) < 6
    effects = []
    for left in range(19):
        kept = np.arange(19) != left
        effects.append(changes[is_a & kept].mean() - changes[~is_a & kept].mean())
    assert [first["loo_low"], first["loo_high"]] == pytest.approx([min(effects), max(effects)])
    furthest = int(np.argmax(np.abs(np.array(effects) - first["effect"])))
    assert first["loo_patient"] == f"p{furthest:02d}"
    assert first["loo_flips"] == 0


def test_a_gene_that_one_patient_carries_is_noted(design):
    sums = sums_of(design, genes=120, seed=3)
    rows = (sums.profiles["sample"] == "p02_after").to_numpy()
    counts = sums.counts.copy()
    counts[rows, 7] *= 400
    tables = compare(type(sums)(sums.profiles, sums.genes, counts), design, max_null_share=1.0, fdr=0.9)
    row = tables["genes"].set_index("gene").loc["g007"]
    assert row["note"] == "carried by p02"
    assert row["loo_patient"] == "p02"
    assert tables["subsets"]["found_carried"].iloc[0] >= 1


def test_lists_that_permuted_labels_give_as_well_are_not_calibrated(design):
    tables = compare(sums_of(design, genes=100, seed=4), design, fdr=0.95)
    row = tables["subsets"].iloc[0]
    assert row["null_median_found"] > 0.1 * row["found"]
    assert not row["calibrated"]
    assert not tables["genes"]["calibrated"].any()


def test_the_figures_patients_are_those_of_the_first_genes(planted, design):
    tables = compare(planted, design, top=3)
    for subset, values in tables["differences"].groupby("subset"):
        genes = tables["genes"][tables["genes"]["subset"] == subset]
        assert values["gene"].drop_duplicates().tolist() == genes["gene"].head(3).tolist()
        assert len(values) == 3 * 19
        assert values["difference"].to_numpy() == pytest.approx((values["after"] - values["before"]).to_numpy())
        second = values[values["group"] == "non_responder"].groupby("gene")["relative"].mean()
        first = values[values["group"] == "responder"].groupby("gene")["relative"].mean()
        assert second.to_numpy() == pytest.approx(np.zeros(3), abs=1e-9)
        assert first.to_dict() == pytest.approx(genes.set_index("gene")["effect"][first.index].to_dict())


def test_exchanging_the_labels_turns_the_effects(design):
    other = design.assign(response=design["response"].map({"responder": "non_responder", "non_responder": "responder"}))
    sums = sums_of(design, genes=60)
    first = compare(sums, design)["genes"].set_index("gene")
    second = compare(sums, other)["genes"].set_index("gene").loc[first.index]
    assert second["effect"].to_numpy() == pytest.approx(-first["effect"].to_numpy())
    assert second["p"].to_numpy() == pytest.approx(first["p"].to_numpy())


def test_the_gene_filter_does_not_see_the_response(planted, design):
    shuffled = design.assign(
        response=design["patient"].map(lambda name: ["responder", "non_responder"][int(name[1:]) % 2])
    )
    kept = [set(compare(planted, table)["genes"]["gene"]) for table in (design, shuffled)]
    assert kept[0] == kept[1]


def test_the_same_seed_gives_the_same_tables(planted, design):
    first, second = compare(planted, design), compare(planted, design)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])
    other = compare(planted, design, seed=2)
    assert not other["genes"]["empirical_fdr"].equals(first["genes"]["empirical_fdr"])
    assert other["genes"]["p"].equals(first["genes"]["p"])


def test_light_mode_gives_the_same_p_without_the_rest(planted, design):
    light = compare(planted, design, testing=TESTING._replace(intervals=False))
    full = compare(planted, design)["genes"].set_index(["subset", "gene"])
    genes = light["genes"].set_index(["subset", "gene"])
    assert genes["p"].to_dict() == pytest.approx(full["p"].to_dict())
    assert genes[["shrunken", "empirical_fdr", "loo_low"]].isna().all(axis=None)
    assert light["subsets"]["null_runs"].isna().all()


def test_of_several_targets_the_summary_is_compared(planted, design):
    later = design[design["visit"] == "after"].assign(visit="later")
    later["sample"] = later["patient"] + "_later"
    more = sums_of(pd.concat([design, later]), genes=80)
    wide = contrast(target="", targets=["after", "later"], summary="mean")
    found = compare(more, pd.concat([design, later], ignore_index=True), wide)
    assert found["subsets"]["status"].tolist() == ["tested"]
    assert "mean of the targets present" in found["subsets"]["note"].iloc[0]


def test_no_sums_and_no_contrasts_give_empty_tables(planted, design):
    nothing = type(planted)(planted.profiles.head(0), planted.genes, planted.counts[:0])
    for tables in (
        compare_expression(nothing, design, [contrast()], TESTING, 1, **COMPARE),
        compare_expression(planted, design, [], TESTING, 1, **COMPARE),
    ):
        assert all(table.empty for table in tables.values())


def test_unknown_columns_are_refused(planted, design):
    with pytest.raises(DesignError, match="expected columns"):
        compare(planted, design, contrast(strata=["nowhere"]))
