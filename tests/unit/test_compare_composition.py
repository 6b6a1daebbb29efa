import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.compare_composition import (
    DIFFERENCE_COLUMNS,
    REFERENCE_COLUMNS,
    compare_composition,
)
from immune_landscape.contrast_tests import ContrastSettings, contrast_columns
from immune_landscape.errors import DesignError
from immune_landscape.permutation import permute_labels

SETTINGS = {
    "pseudo_count": 0.5,
    "min_cells": 20,
    "max_sparse_share": 0.3,
    "min_reference_share": 0.05,
}
TESTING = ContrastSettings(alpha=0.05, power=0.8, max_exact=5_000_000, draws=1000, null_draws=200)
SUBSETS = {"nk": ["nk_dim", "nk_bright", "nk_adaptive"], "t": ["cd4_tem", "cd8_teff", "unassigned"]}


def contrast(**keys):
    base = {"name": "c", "estimand": "response_by_visit", "reference": "before", "target": "after"}
    return base | {"factor": "visit", "family": "primary"} | keys


def cohort(responders=4, others=6, seed=0, shift=0.0):
    """Return composition and design; `shift` is added to responders' change of nk_bright."""
    rng = np.random.default_rng(seed)
    rows, samples = [], []
    for patient in range(responders + others):
        responder = patient < responders
        level = {name: rng.normal(4.5, 0.4) for part in SUBSETS.values() for name in part}
        for visit in ("before", "after"):
            sample = f"p{patient}_{visit}"
            samples.append(
                {
                    "sample": sample, "patient": f"p{patient}", "visit": visit, "tissue": "blood",
                    "batch": "b1", "gex": "x", "arm": "arm_b" if patient % 2 else "arm_a",
                    "response": "responder" if responder else "non_responder",
                    "site": "s1" if patient % 3 else "s2",
                }
            )  # fmt: skip
            for parent, names in SUBSETS.items():
                for name in names:
                    planted = shift if responder and visit == "after" and name == "nk_bright" else 0.0
                    count = rng.poisson(np.exp(level[name] + rng.normal(0, 0.2) + planted))
                    rows.append({"sample": sample, "parent": parent, "subset": name, "cells": int(count)})
    return pd.DataFrame(rows), pd.DataFrame(samples)


def compare(composition, design, *contrasts, absolute=None, **changes):
    testing = TESTING._replace(**{name: changes.pop(name) for name in TESTING._fields if name in changes})
    tables = compare_composition(composition, design, contrasts, testing, 1, absolute, **(SETTINGS | changes))
    assert list(tables) == ["contrasts", "differences", "references", "influence", "null"]
    return list(tables.values())


def log_ratio(composition, sample, parent, subset):
    part = composition[(composition["sample"] == sample) & (composition["parent"] == parent)]
    logs = np.log(part.set_index("subset")["cells"] + 0.5)
    return logs[subset] - logs.mean()


def row_of(table, subset):
    found = table[table["subset"] == subset]
    assert len(found) == 1
    return found.iloc[0]


def by_hand(composition, design, subset, parent="nk"):
    """Return the change of each patient in the centred log ratio, and who responded."""
    changes, responded = [], []
    for patient, part in design.groupby("patient", sort=False):
        values = [log_ratio(composition, f"{patient}_{visit}", parent, subset) for visit in ("before", "after")]
        changes.append(values[1] - values[0])
        responded.append(part["response"].iloc[0] == "responder")
    return np.array(changes), np.array(responded)


def test_response_by_visit_equals_a_calculation_by_hand():
    composition, design = cohort(shift=1.0)
    table, differences, *_ = compare(composition, design, contrast())
    change, responded = by_hand(composition, design, "nk_bright")
    row = row_of(table, "nk_bright")
    assert table.columns.tolist() == contrast_columns("subset")
    assert row["effect"] == pytest.approx(change[responded].mean() - change[~responded].mean())
    welch = stats.ttest_ind(change[responded], change[~responded], equal_var=False)
    assert row["statistic"] == pytest.approx(welch.statistic)
    assert row["p"] == permute_labels(change, responded, 0).p[0]
    assert (row["n_a"], row["n_b"], row["labelings"], row["exact"]) == (4, 6, 210, True)
    assert row["min_p"] == pytest.approx(1 / 210)
    assert row["mde"] == pytest.approx(row["mde_d"] * row["sd"])
    assert row["mde_d_family"] > row["mde_d"]
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    assert (row["status"], row["group_a"], row["group_b"]) == ("tested", "responder", "non_responder")
    own = differences[differences["subset"] == "nk_bright"]
    assert differences.columns.tolist() == DIFFERENCE_COLUMNS
    np.testing.assert_allclose(own["difference"], change)
    np.testing.assert_allclose(own["after"] - own["before"], change)
    assert own["before_proportion"].between(0, 1).all()


def test_baseline_compares_the_first_sample_only():
    composition, design = cohort()
    table, differences, *_ = compare(composition, design, contrast(estimand="baseline"))
    first = design[design["visit"] == "before"]
    values = np.array([log_ratio(composition, sample, "t", "cd8_teff") for sample in first["sample"]])
    responded = (first["response"] == "responder").to_numpy()
    row = row_of(table, "cd8_teff")
    assert row["effect"] == pytest.approx(values[responded].mean() - values[~responded].mean())
    own = differences[differences["subset"] == "cd8_teff"]
    np.testing.assert_allclose(own["before"], values)
    assert own[["after", "difference", "after_proportion"]].isna().all(axis=None)


def test_change_flips_signs_over_all_patients():
    composition, design = cohort()
    table, differences, *_ = compare(composition, design, contrast(estimand="change"))
    change, _ = by_hand(composition, design, "nk_dim")
    row = row_of(table, "nk_dim")
    assert row["effect"] == pytest.approx(change.mean())
    assert row["statistic"] == pytest.approx(stats.ttest_1samp(change, 0).statistic)
    assert (row["n_a"], row["n_b"], row["labelings"], row["group_a"], row["group_b"]) == (
        10,
        0,
        1024,
        "all",
        "",
    )
    assert set(differences["group"]) == {"all"}


def test_arms_are_compared_in_order_of_name():
    composition, design = cohort()
    plain = {"estimand": "arm_by_visit", "adjust_baseline": False}
    row = row_of(compare(composition, design, contrast(**plain))[0], "nk_dim")
    assert (row["group_a"], row["group_b"], row["n_a"], row["n_b"]) == ("arm_a", "arm_b", 5, 5)
    assert row["min_p"] == pytest.approx(2 / 252)
    turned = row_of(compare(composition, design, contrast(**plain, groups=["arm_b", "arm_a"]))[0], "nk_dim")
    assert (turned["group_a"], turned["effect"]) == ("arm_b", pytest.approx(-row["effect"]))
    three = design.assign(arm=np.where(design["patient"] == "p0", "arm_c", design["arm"]))
    with pytest.raises(DesignError, match="arm is arm_a, arm_b, arm_c, expected two groups"):
        compare(composition, three, contrast(estimand="arm_by_visit"))


def test_family_is_the_declared_subsets_or_all_but_unassigned():
    composition, design = cohort(shift=1.0)
    table = compare(composition, design, contrast())[0]
    assert np.isnan(row_of(table, "unassigned")["p_maxt"])
    assert row_of(table, "unassigned")["p"] > 0
    assert "outside the family" in row_of(table, "unassigned")["note"]
    five = table[table["subset"] != "unassigned"]
    changes = np.column_stack([by_hand(composition, design, r.subset, r.parent)[0] for r in five.itertuples()])
    responded = by_hand(composition, design, "nk_dim")[1]
    np.testing.assert_allclose(five["p_maxt"].astype(float), permute_labels(changes, responded, 0).p_maxt)
    small = compare(composition, design, contrast(subsets=["nk_bright", "cd4_tem", "cd4_th17"]))[0]
    assert small["p_maxt"].notna().sum() == 2
    assert row_of(small, "nk_bright")["p_maxt"] <= row_of(table, "nk_bright")["p_maxt"]
    absent = row_of(small, "cd4_th17")
    assert (absent["status"], absent["note"]) == ("not_testable", "not in the composition table")


def test_sparse_subset_is_listed_not_tested_and_counts_in_the_rest():
    composition, design = cohort(shift=1.0)
    sparse = composition["subset"] == "nk_adaptive"
    composition.loc[sparse, "cells"] = 19
    composition.loc[composition.index[sparse][:14], "cells"] = 20
    table, _, references, *_ = compare(composition, design, contrast())
    assert row_of(table, "nk_adaptive")["status"] == "tested"
    composition.loc[composition.index[sparse][:13], "cells"] = [0, *[20] * 12]
    table, _, references, *_ = compare(composition, design, contrast())
    row = row_of(table, "nk_adaptive")
    assert row["status"] == "too_sparse"
    assert "fewer than 20 cells in 8 of 20 samples" not in row["note"]
    assert "fewer than 20 cells in 7 of 20 samples" in row["note"]
    assert "no cells in 1 of 20 samples" in row["note"]
    assert np.isnan(row["p"])
    assert np.isnan(row["effect"])
    assert "nk_adaptive" not in set(references["subset"])
    change, responded = by_hand(composition, design, "nk_dim")
    expected = change[responded].mean() - change[~responded].mean()
    assert row_of(table, "nk_dim")["effect"] == pytest.approx(expected)


def test_sparse_subsets_are_pooled_into_one_part():
    composition, design = cohort(shift=1.0)
    rare = composition[composition["subset"] == "nk_adaptive"].assign(cells=7)
    split = pd.concat([composition, rare.assign(subset="nk_rare")], ignore_index=True)
    split.loc[split["subset"] == "nk_adaptive", "cells"] = 5
    pooled = composition.copy()
    pooled.loc[pooled["subset"] == "nk_adaptive", "cells"] = 12
    one, other = (compare(table, design, contrast(), min_cells=10)[0] for table in (split, pooled))
    assert row_of(one, "nk_rare")["status"] == "too_sparse"
    for name in ("nk_bright", "nk_dim"):
        assert row_of(one, name)["effect"] == pytest.approx(row_of(other, name)["effect"])


def test_a_contrast_declares_its_denominators():
    composition, design = cohort()
    whole = composition.assign(parent="cells")
    table, differences, *_ = compare(pd.concat([composition, whole]), design, {**contrast(), "parents": ["cells"]})
    assert set(table["parent"]) == {"cells"}
    assert set(differences["parent"]) == {"cells"}
    assert "cells" not in set(compare(pd.concat([composition, whole]), design, contrast())[0]["parent"])


def test_patient_without_cells_of_the_parent_is_left_out_of_it():
    composition, design = cohort()
    gone = (composition["sample"] == "p9_after") & (composition["parent"] == "nk")
    composition.loc[gone, "cells"] = 0
    table, differences, *_ = compare(composition, design, contrast())
    assert (row_of(table, "nk_dim")["n_b"], row_of(table, "cd4_tem")["n_b"]) == (5, 6)
    assert "want of cells of parent nk: p9" in row_of(table, "nk_dim")["note"]
    assert differences[["before", "after", "difference"]].notna().all(axis=None)
    assert table.loc[table["status"] == "tested", ["effect", "p", "ci_low"]].notna().all(axis=None)
    assert (table["p_maxt"].dropna() >= table.loc[table["p_maxt"].notna(), "p"]).all()
    missing = compare(composition[~gone], design, contrast())[0]
    pd.testing.assert_frame_equal(missing, table)


@pytest.mark.parametrize(
    ("responders", "others", "reason"),
    [(1, 6, "fewer than two patients"), (0, 6, "fewer than two patients"), (3, 3, "0.1, is not below 0.05")],
)
def test_small_groups_are_not_testable_but_listed(responders, others, reason):
    composition, design = cohort(responders, others)
    table = compare(composition, design, contrast())[0]
    assert (table["status"] == "not_testable").all()
    assert table["note"].str.contains(reason).all()
    assert len(table) == 6
    assert table[["p", "p_maxt", "statistic"]].isna().all(axis=None)
    assert table["effect"].notna().all() == (responders > 0)


def test_labels_move_within_strata_that_hold_both_groups():
    composition, design = cohort(5, 7)
    table = compare(composition, design, contrast(strata=["site"]))[0]
    row = row_of(table, "nk_dim")
    change, responded = by_hand(composition, design, "nk_dim")
    strata = design.drop_duplicates("patient")["site"].to_numpy()
    expected = permute_labels(change, responded, 0, strata=strata)
    assert (row["labelings"], row["p"]) == (expected.labelings[0], expected.p[0])
    assert row["labelings"] < 792
    assert row["effect"] == pytest.approx(expected.effect[0])
    assert "within site; 2 of 2 strata hold both groups" in row["note"]


def test_strata_that_equal_the_groups_are_confounded():
    composition, design = cohort()
    table = compare(composition, design.assign(site=design["response"]), contrast(strata=["site"]))[0]
    assert (table["status"] == "not_testable").all()
    assert table["note"].str.contains("confounded").all()
    assert table["effect"].isna().all()


def test_batches_that_differ_are_noted():
    composition, design = cohort()
    assert not compare(composition, design, contrast())[0]["note"].str.contains("batches").any()
    mixed = design.assign(batch=np.where(design["patient"] < "p5", "b1", "b2"))
    assert compare(composition, mixed, contrast())[0]["note"].str.contains("batches differ").all()


def test_references_subtract_and_count_equal_signs():
    composition, design = cohort(shift=1.5)
    table, _, references, *_ = compare(composition, design, contrast())
    assert references.columns.tolist() == REFERENCE_COLUMNS
    own = references[references["subset"] == "nk_bright"].set_index("reference")
    assert set(own.index) == {"clr", "nk_dim", "nk_adaptive"}
    logs = composition.pivot_table(index="sample", columns="subset", values="cells").add(0.5).map(np.log)
    ratio = logs["nk_bright"] - logs["nk_dim"]
    patients = design.drop_duplicates("patient").set_index("patient")["response"]
    change = pd.Series({name: ratio[f"{name}_after"] - ratio[f"{name}_before"] for name in patients.index})
    means = change.groupby(patients).mean()
    assert own.loc["nk_dim", "effect"] == pytest.approx(means["responder"] - means["non_responder"])
    assert own["same_sign"].all()
    assert (own["share_same_sign"] == 1).all()
    assert own.loc["clr", "effect"] == row_of(table, "nk_bright")["effect"]


def test_subsets_of_the_family_are_no_steady_references():
    composition, design = cohort(shift=1.5)
    references = compare(composition, design, contrast(subsets=["nk_bright", "nk_dim"]))[2]
    own = references[references["subset"] == "nk_bright"].set_index("reference")
    assert own["steady"].to_dict() == {"clr": True, "nk_dim": False, "nk_adaptive": True}
    assert own["share_same_sign"].iloc[0] == float(own.loc["nk_adaptive", "same_sign"])


def test_contrasts_do_not_disturb_each_other_and_rows_are_reproducible():
    composition, design = cohort(8, 9)
    few = {"max_exact": 100, "draws": 999}
    alone = compare(composition, design, contrast(name="b"), **few)[0]
    both = compare(composition, design, contrast(name="a", estimand="change"), contrast(name="b"), **few)[0]
    pd.testing.assert_frame_equal(alone, both[both["contrast"] == "b"].reset_index(drop=True))
    assert not alone["exact"].any()


def test_unknown_estimand_and_stratum_are_named():
    composition, design = cohort()
    with pytest.raises(DesignError, match="estimand is 'trend', expected one of baseline, change"):
        compare(composition, design, contrast(estimand="trend"))
    with pytest.raises(DesignError, match="strata is 'centre', expected columns of the design"):
        compare(composition, design, contrast(strata=["centre"]))


def test_no_contrasts_give_empty_tables():
    composition, design = cohort()
    tables = compare(composition, design)
    columns = [contrast_columns("subset"), DIFFERENCE_COLUMNS, REFERENCE_COLUMNS]
    assert [table.columns.tolist() for table in tables[:3]] == columns
    assert all(table.empty for table in tables)


def test_unassigned_cells_of_a_branch_are_outside_the_default_family():
    composition, design = cohort(shift=1.0)
    renamed = composition.replace({"subset": {"nk_adaptive": "nk_unassigned"}})
    table, *_ = compare(renamed, design, contrast())
    assert np.isfinite(row_of(table, "nk_unassigned")["p"])
    assert np.isnan(row_of(table, "nk_unassigned")["p_maxt"])
    assert np.isfinite(row_of(table, "nk_dim")["p_maxt"])


def test_randomised_arms_are_compared_by_analysis_of_covariance():
    composition, design = cohort(8, 9)
    row = row_of(compare(composition, design, contrast(estimand="arm_by_visit"))[0], "nk_dim")
    values = pd.DataFrame(
        {
            visit: [
                log_ratio(composition, f"{patient}_{visit}", "nk", "nk_dim") for patient in design["patient"].unique()
            ]
            for visit in ("before", "after")
        }
    )
    first = design.drop_duplicates("patient")["arm"].eq("arm_a").to_numpy(dtype=float)
    model = np.column_stack([np.ones(len(values)), values["before"], first])
    assert row["effect"] == pytest.approx(np.linalg.lstsq(model, values["after"], rcond=None)[0][2])
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    assert "analysis of covariance" in row["note"]
    assert not row["exact"]


def test_a_covariate_adjusts_the_difference():
    composition, design = cohort(8, 9)
    design["age"] = design["patient"].map({name: 40 + 3 * at for at, name in enumerate(design["patient"].unique())})
    row = row_of(compare(composition, design, contrast(covariates=["age"]))[0], "nk_dim")
    change, responded = by_hand(composition, design, "nk_dim")
    age = design.drop_duplicates("patient")["age"].to_numpy(dtype=float)
    model = np.column_stack([np.ones(len(change)), age, responded])
    assert row["effect"] == pytest.approx(np.linalg.lstsq(model, change, rcond=None)[0][2])
    assert "adjusted for age" in row["note"]


def test_groups_may_come_from_any_column_of_the_patients():
    composition, design = cohort()
    row = row_of(compare(composition, design, contrast(group_column="site", groups=["s2", "s1"]))[0], "nk_dim")
    change, _ = by_hand(composition, design, "nk_dim")
    second = (design.drop_duplicates("patient")["site"] == "s2").to_numpy()
    assert row["effect"] == pytest.approx(change[second].mean() - change[~second].mean())
    assert (row["group_a"], row["group_b"]) == ("s2", "s1")


def test_influence_and_null_run_cover_every_tested_subset():
    composition, design = cohort(shift=1.5)
    table, _, _, influence, null = compare(composition, design, contrast())
    tested = table[table["status"] == "tested"]
    assert len(influence) == len(tested) * design["patient"].nunique()
    row = row_of(table, "nk_bright")
    own = influence[influence["subset"] == "nk_bright"]
    assert (row["loo_low"], row["loo_high"]) == (own["effect"].min(), own["effect"].max())
    family = null[null["family"] == "primary"].iloc[0]
    assert (family["tests"], family["runs"]) == (5, 200)
    assert family["found_corrected"] == (table["p_maxt"] <= 0.05).sum()
    assert family["null_mean_corrected"] <= 0.15
    assert family["null_mean_found"] == pytest.approx(5 * 0.05, abs=0.1)
    assert set(null["family"]) == {"primary", "exploratory"}


def test_absolute_counts_join_the_reference_sweep():
    composition, design = cohort(shift=1.0)
    whole = composition.groupby("sample", as_index=False)["cells"].sum().assign(parent="all", subset="t")
    volume = pd.Series(np.linspace(1, 3, design["sample"].nunique()), index=design["sample"])
    both = pd.concat([composition, whole], ignore_index=True)
    references = compare(both, design, contrast(), absolute=volume)[2]
    own = references[(references["subset"] == "nk_bright") & (references["reference"] == "absolute")]
    cells = composition[composition["subset"] == "nk_bright"].set_index("sample")["cells"]
    logs = np.log(cells + 0.5) - np.log(whole.set_index("sample")["cells"]) + np.log(volume)
    patients = design.drop_duplicates("patient").set_index("patient")["response"]
    change = pd.Series({name: logs[f"{name}_after"] - logs[f"{name}_before"] for name in patients.index})
    means = change.groupby(patients).mean()
    assert own["effect"].item() == pytest.approx(means["responder"] - means["non_responder"])
