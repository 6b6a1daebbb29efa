import numpy as np
import pandas as pd
import pytest
from linked_clones import clone_cells, make_tables
from scipy import stats

from immune_landscape.measure_transitions import INDEX_COLUMNS, SUMMARY_COLUMNS, measure_transitions
from immune_landscape.tissue_sharing import SHARING_COLUMNS
from immune_landscape.transition_indices import count_places, entropy, expansion, mean_entropy, pairwise

SETTINGS = {"min_cells": 10, "min_subset_cells": 4, "draws": 200}

# Cells of clones A to D (rows) in subsets X and Y, and in tumour and blood.
BY_SUBSET = np.array([[2, 2], [3, 0], [0, 1], [3, 1]])
BY_TISSUE = np.array([[2, 2], [2, 1], [1, 0], [4, 0]])


def test_indices_equal_the_published_definition_worked_out_by_hand():
    of_clones = entropy(BY_SUBSET)
    # A: half and half. D: 3 of 4, -(3/4 log2 3/4 + 1/4 log2 1/4).
    np.testing.assert_allclose(of_clones, [1, 0, 0, 0.811278], atol=1e-6)
    # X holds 2 cells of A, 3 of B, 3 of D: (2 * 1 + 3 * 0.811278) / 8. Y: (2 * 1 + 1 * 0 + 1 * 0.811278) / 4.
    np.testing.assert_allclose(mean_entropy(BY_SUBSET, of_clones), [0.554229, 0.702820], atol=1e-6)
    # (4 * 1 + 4 * 0.811278) / 12
    np.testing.assert_allclose(pairwise(BY_SUBSET), [0.603759], atol=1e-6)
    # X has clones of 2, 3, 3: 1 - 1.561278 / log2 3. Y of 2, 1, 1: 1 - 1.5 / log2 3.
    np.testing.assert_allclose(expansion(BY_SUBSET.T), [0.014943, 0.053605], atol=1e-6)
    # B over tissues: 2 of 3, 0.918296. X: (2 * 1 + 3 * 0.918296) / 8, Y: (2 * 1) / 4.
    np.testing.assert_allclose(mean_entropy(BY_SUBSET, entropy(BY_TISSUE)), [0.594361, 0.5], atol=1e-6)


def test_entropies_equal_those_of_scipy_and_pairs_are_their_two_places_alone():
    counts = np.random.default_rng(0).poisson(1.5, (40, 5))
    np.testing.assert_allclose(entropy(counts), [stats.entropy(row, base=2) if row.sum() else 0 for row in counts])
    found = pairwise(counts)
    at = 0
    for a in range(5):
        for b in range(a + 1, 5):
            two = counts[:, [a, b]]
            assert found[at] == pytest.approx((entropy(two) * two.sum(axis=1)).sum() / two.sum())
            at += 1
    assert at == len(found)


def test_one_clone_has_no_expansion_and_equal_clones_none():
    found = expansion(np.array([[5, 0, 0], [2, 2, 0], [0, 0, 0]]))
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == 0


def test_cells_are_counted_by_clone_and_place():
    counts = count_places(np.array([0, 0, 2, 2, 2]), np.array([1, 1, 0, 1, 0]), 3)
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [2, 1, 0]]


def crossing(sample, clones, size, of=("cd8_tem", "cd8_teff")):
    """Return clones that lie half in one subset, half in the other."""
    parts = [clone_cells(sample, [size // 2] * clones, subset) for subset in of]
    for part in parts:
        part["clonotype"] = part["clonotype"].str.replace("|".join(of), "both", regex=True)
    return parts


@pytest.fixture(scope="module")
def cohort():
    """Patients whose effector clones are memory clones too, and whose naive clones stay among themselves."""
    parts = []
    for patient, clones in (("a", 8), ("b", 16)):
        for visit in ("v1", "v2"):
            sample = f"{patient}_{visit}"
            parts += [*crossing(sample, clones, 6), clone_cells(sample, [3] * clones, "cd4_tn")]
            parts += [clone_cells(sample, [1] * 6, "cd4_t"), clone_cells(sample, [1] * 3, "t_unassigned")]
    return make_tables(pd.concat(parts))


@pytest.fixture(scope="module")
def found(cohort):
    return measure_transitions(cohort, 0, **SETTINGS)


def row_of(table, **keys):
    rows = table
    for name, value in keys.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def test_tables_have_their_columns(found):
    assert list(found["indices"].columns) == INDEX_COLUMNS
    assert list(found["summary"].columns) == SUMMARY_COLUMNS
    assert list(found["sharing"].columns) == SHARING_COLUMNS
    assert found["sharing"].empty
    assert set(found["indices"]["measure"]) == {"expansion", "transition"}


def test_clones_in_two_subsets_are_transitions_and_those_in_one_are_none(found):
    whole = found["indices"][~found["indices"]["standardised"] & (found["indices"]["sample"] == "")]
    for patient in ("a", "b"):
        both = row_of(whole, patient=patient, measure="transition", first="cd8_teff", second="cd8_tem")
        assert both["value"] == pytest.approx(1)
        assert both["value"] > both["chance_high"]
        none = row_of(whole, patient=patient, measure="transition", first="cd4_tn", second="cd8_tem")
        assert none["value"] == 0
        assert none["chance_low"] > 0


def test_open_subsets_are_left_out(found):
    named = set(found["indices"]["first"]) | set(found["indices"]["second"])
    assert named == {"cd8_tem", "cd8_teff", "cd4_tn", ""}


def test_indices_at_one_depth_do_not_follow_the_depth(found):
    rows = found["indices"][found["indices"]["sample"] == ""]
    drawn = rows[rows["standardised"] & (rows["measure"] == "transition")]
    # The smaller patient has 8 clones of 6 and 8 of 3 cells at two visits.
    assert (drawn["depth"] == 2 * (8 * 6 + 8 * 3)).all()
    keys = {"measure": "transition", "first": "cd8_teff", "second": "cd8_tem"}
    values = [row_of(drawn, patient=patient, **keys)["value"] for patient in ("a", "b")]
    whole = row_of(rows[~rows["standardised"]], patient="a", **keys)["value"]
    assert values[0] == pytest.approx(whole)
    assert values[1] < values[0]


def test_chance_of_expansion_is_that_of_random_cells(found):
    rows = found["indices"][found["indices"]["standardised"] & (found["indices"]["sample"] == "")]
    naive = rows[(rows["measure"] == "expansion") & (rows["first"] == "cd4_tn")]
    # Both visits of the smaller patient.
    assert (naive["depth"] == 48).all()
    assert (naive["value"] < naive["chance"]).all()


def test_summary_is_the_median_over_patients(found):
    keys = {"measure": "transition", "first": "cd8_teff", "second": "cd8_tem", "standardised": True}
    row = row_of(found["summary"], **keys)
    values = found["indices"][found["indices"]["sample"] == ""]
    for name, value in keys.items():
        values = values[values[name] == value]
    assert row["median"] == pytest.approx(values["value"].mean())
    assert (row["lowest"], row["highest"]) == (values["value"].min(), values["value"].max())
    assert row["patients"] == 2
    assert not row["across_sides"]
    across = found["summary"][found["summary"]["across_sides"]]
    assert set(across["first"]) == {"cd4_tn"}
    assert set(across["second"]) == {"cd8_tem", "cd8_teff"}


def test_another_patient_changes_no_draws_and_a_small_one_has_no_depth(cohort, found):
    small = clone_cells("c_v1", [2] * 4, "cd4_tn")
    cells = pd.concat([cohort["clonotypes"][["sample", "clonotype"]].assign(subset=cohort["cells"]["subset"]), small])
    more = measure_transitions(make_tables(cells), 0, **SETTINGS)["indices"]
    old = more[more["patient"] != "c"].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, found["indices"])
    own = more[more["patient"] == "c"]
    assert own.loc[~own["standardised"], "value"].notna().any()
    assert own.loc[own["standardised"], "value"].isna().all()


@pytest.mark.parametrize("kept", [slice(None), slice(0)])
def test_a_cohort_of_small_samples_or_of_none_has_tables_without_values_at_one_depth(kept):
    tables = make_tables(clone_cells("a_v1", [2, 2, 1], "cd4_tn").assign(branch="t"))
    tables["clonotypes"] = tables["clonotypes"].iloc[kept]
    found = measure_transitions(tables, 0, **SETTINGS)
    assert list(found["indices"].columns) == INDEX_COLUMNS
    assert found["indices"].loc[found["indices"]["standardised"].astype(bool), "value"].isna().all()
    assert not found["summary"]["standardised"].any()
    assert found["sharing"].empty


@pytest.fixture(scope="module")
def tissues():
    """Three clones of a tumour of which blood has two, one of them with a single cell among many."""
    tumour = clone_cells("a_v1_tumour", [6, 3, 1], "cd8_tex")
    blood = pd.concat([clone_cells("a_v1_blood", [5, 1], "cd8_tex"), clone_cells("a_v1_blood", [1] * 14, "cd4_tn")])
    other = clone_cells("b_v1_blood", [1] * 10, "cd4_tn")
    return measure_transitions(make_tables(pd.concat([tumour, blood, other])), 0, **SETTINGS)


def test_cells_shared_by_tissues_are_counted_both_ways(tissues):
    sharing = tissues["sharing"]
    assert set(sharing["patient"]) == {"a"}
    there = row_of(sharing, tissue="tumour", subset="all")
    assert (there["cells"], there["clonotypes"], there["other_cells"], there["shared_clonotypes"]) == (10, 3, 20, 2)
    assert there["shared_cell_share"] == pytest.approx(0.9)
    back = row_of(sharing, tissue="blood", subset="cd8_tex")
    assert back["shared_cell_share"] == 1
    assert row_of(sharing, tissue="blood", subset="all")["shared_cell_share"] == pytest.approx(6 / 20)


def test_sharing_at_one_depth_is_the_expectation_over_draws(tissues):
    row = row_of(tissues["sharing"], tissue="tumour", subset="all")
    assert row["depth"] == 10
    # Of 20 blood cells 10 are drawn: the clone of 5 is missed with chance C(15, 10) / C(20, 10), that of 1 with 1 / 2.
    seen = 1 - stats.hypergeom(20, 5, 10).pmf(0)
    assert row["shared_cell_share_at_depth"] == pytest.approx((6 * seen + 3 * 0.5) / 10)


def test_migration_is_told_where_there_are_tissues(tissues):
    rows = tissues["indices"][(tissues["indices"]["measure"] == "migration") & (tissues["indices"]["sample"] == "")]
    assert set(rows["patient"]) == {"a"}
    whole = row_of(rows[~rows["standardised"]], first="cd8_tex", second="")
    by_tissue = np.array([[6, 5], [3, 1], [1, 0]])
    assert whole["value"] == pytest.approx((entropy(by_tissue) * by_tissue.sum(axis=1)).sum() / 16)
    pair = row_of(rows[~rows["standardised"]], first="cd8_tex", second="blood/tumour")
    assert pair["value"] == pytest.approx(whole["value"])
    drawn = row_of(rows[rows["standardised"]], first="cd8_tex", second="")
    assert drawn["depth"] == 10
    assert drawn["value"] < whole["value"]
