import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from immune_landscape.compare_composition import compare_composition
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.model_composition import COLUMNS, PRIMARY, model_composition

FLOORS = {"pseudo_count": 0.5, "min_cells": 20, "max_sparse_share": 0.3, "min_reference_share": 0.05}
QUICK = ContrastSettings(0.05, 0.8, 20_000, 2_000, 200, intervals=False)
SUBSETS = ("nk_dim", "nk_bright", "nk_adaptive", "nk_other")


def contrast(**keys):
    return {"name": "c", "estimand": "response_by_visit", "reference": "v1", "target": "v2", "parents": ["nk"]} | keys


def cohort(responders=5, others=8, visits=("v1", "v2"), seed=0, shift=0.0, parents=("nk",), cells=900):
    """Return composition and design; each visit adds `shift` to the log weight of nk_bright in responders."""
    rng = np.random.default_rng(seed)
    counts, samples = [], []
    for patient in range(responders + others):
        responder = patient < responders
        name = f"p{patient:02d}"
        for visit in visits:
            facts = {"sample": f"{name}_{visit}", "patient": name, "visit": visit, "tissue": "blood", "gex": "x"}
            facts |= {"response": "responder" if responder else "non_responder", "age": 50 + 7 * patient % 11}
            samples.append(facts | {"site": f"s{patient % 3}", "batch": "b"})
        for parent in parents:
            level = rng.normal(0, 0.5, len(SUBSETS))
            for step, visit in enumerate(visits):
                weights = level + rng.normal(0, 0.2, len(SUBSETS))
                weights[1] += shift * step * responder
                drawn = rng.multinomial(cells, np.exp(weights) / np.exp(weights).sum())
                rows = zip(SUBSETS, drawn, strict=True)
                counts += [(f"{name}_{visit}", parent, subset, int(count)) for subset, count in rows]
    return pd.DataFrame(counts, columns=["sample", "parent", "subset", "cells"]), pd.DataFrame(samples)


def model(composition, design, item, subsets=None):
    tables = compare_composition(composition, design, [item], QUICK, 1, **FLOORS)
    tested = tables["contrasts"]
    if subsets:
        tested = tested[tested["subset"].isin(subsets)]
    return model_composition(composition, design, [item], tested, tables["differences"], 0.05, pseudo_count=0.5)


def row_of(table, model, subset="nk_bright"):
    found = table[(table["model"] == model) & (table["subset"] == subset)]
    assert len(found) == 1
    return found.iloc[0]


def wide(composition, design, parent="nk"):
    """Return samples x subsets, with the design beside."""
    part = composition[composition["parent"] == parent]
    return part.pivot_table(index="sample", columns="subset", values="cells").loc[design["sample"]]


def by_patient(composition, design, transform, subset="nk_bright"):
    """Return patient-level changes and who responded."""
    counts = wide(composition, design)
    values = transform(counts)[subset].to_numpy()
    long = design.assign(value=values).pivot_table(index="patient", columns="visit", values="value")
    response = design.drop_duplicates("patient").set_index("patient")["response"].loc[long.index]
    return (long["v2"] - long["v1"]).to_numpy(), (response == "responder").to_numpy()


def arcsines(counts):
    return np.arcsin(np.sqrt(counts.div(counts.sum(axis=1), axis=0)))


def logits(counts):
    shares = (counts + 0.5).div((counts + 0.5).sum(axis=1), axis=0)
    return np.log(shares / (1 - shares))


def hand_binomial(cells, rest, matrix):
    """Fit a binomial model by maximising its likelihood; return coefficient, Pearson-scaled error and df."""
    cells, rest = np.asarray(cells, float), np.asarray(rest, float)
    total = cells + rest

    def loss(beta):
        eta = matrix @ beta
        return (total * np.logaddexp(0, eta) - cells * eta).sum(), matrix.T @ (total / (1 + np.exp(-eta)) - cells)

    found = optimize.minimize(loss, np.zeros(matrix.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-6})
    share = 1 / (1 + np.exp(-matrix @ found.x))
    weight = total * share * (1 - share)
    df = len(cells) - matrix.shape[1]
    dispersion = ((cells - total * share) ** 2 / weight).sum() / df
    covariance = np.linalg.inv(matrix.T @ (weight[:, None] * matrix)) * dispersion
    return found.x[-1], np.sqrt(covariance[-1, -1]), df


def assert_t_row(row, effect, error, df):
    reach = stats.t.ppf(0.975, df) * error
    assert row["effect"] == pytest.approx(effect, rel=1e-3, abs=1e-5)
    assert row["ci_low"] == pytest.approx(effect - reach, rel=1e-3, abs=1e-4)
    assert row["ci_high"] == pytest.approx(effect + reach, rel=1e-3, abs=1e-4)
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(effect) / error, df), rel=5e-3)


def test_rows_models_and_the_copied_primary():
    composition, design = cohort(shift=0.6)
    table = model(composition, design, contrast())
    assert list(table.columns) == COLUMNS
    assert list(table["model"].unique()) == [PRIMARY, "ancova", "binomial", "propeller_logit", "propeller_asin"]
    tested = compare_composition(composition, design, [contrast()], QUICK, 1, **FLOORS)["contrasts"]
    for row in tested.to_dict("records"):
        copied = row_of(table, PRIMARY, row["subset"])
        assert copied["effect"] == row["effect"]
        assert copied["p"] == row["p"]
        assert copied["role"] == "primary"
    assert (table.loc[table["model"] != PRIMARY, "role"] == "concordance").all()


def test_a_planted_change_has_the_same_sign_in_every_model():
    table = model(*cohort(shift=0.9, seed=3), contrast())
    planted = table[table["subset"] == "nk_bright"]
    assert (planted["effect"] > 0).all()
    assert planted["same_sign"].all()
    assert (planted["ci_low"] > 0).sum() >= 4


def test_binomial_is_the_likelihood_with_an_intercept_for_every_patient():
    composition, design = cohort(shift=0.5, seed=1)
    row = row_of(model(composition, design, contrast()), "binomial")
    counts = wide(composition, design)
    patients = pd.get_dummies(design["patient"]).to_numpy(float)
    late = (design["visit"] == "v2").to_numpy(float)[:, None]
    responder = (design["response"] == "responder").to_numpy(float)[:, None]
    matrix = np.hstack([patients, late, late * responder])
    effect, error, df = hand_binomial(counts["nk_bright"], counts.drop(columns="nk_bright").sum(axis=1), matrix)
    assert df == 13 - 2
    assert_t_row(row, effect, error, df)


def test_binomial_at_one_visit_is_the_plain_regression():
    composition, design = cohort(seed=2)
    table = model(composition, design, contrast(estimand="baseline"))
    assert set(table["model"]) == {PRIMARY, "binomial", "propeller_logit", "propeller_asin"}
    first = design[design["visit"] == "v1"]
    counts = wide(composition, first)
    matrix = np.column_stack([np.ones(len(first)), first["response"] == "responder"]).astype(float)
    found = hand_binomial(counts["nk_bright"], counts.drop(columns="nk_bright").sum(axis=1), matrix)
    assert_t_row(row_of(table, "binomial"), *found)


@pytest.mark.parametrize(("name", "transform"), [("propeller_asin", arcsines), ("propeller_logit", logits)])
def test_propeller_of_one_subset_is_the_t_test(name, transform):
    composition, design = cohort(shift=0.4, seed=4)
    row = row_of(model(composition, design, contrast(), subsets=["nk_bright"]), name)
    change, responder = by_patient(composition, design, transform)
    test = stats.ttest_ind(change[responder], change[~responder])
    assert row["effect"] == pytest.approx(change[responder].mean() - change[~responder].mean())
    assert row["p"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval()
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high))


def test_propeller_of_several_subsets_keeps_effects_and_shares_variance():
    composition, design = cohort(shift=0.4, seed=5)
    alone = row_of(model(composition, design, contrast(), subsets=["nk_bright"]), "propeller_asin")
    together = model(composition, design, contrast())
    row = row_of(together, "propeller_asin")
    assert row["effect"] == pytest.approx(alone["effect"])
    own = together[together["model"] == "propeller_asin"]
    single = [
        row_of(model(composition, design, contrast(), subsets=[name]), "propeller_asin", name) for name in own["subset"]
    ]
    reach = own["ci_high"] - own["ci_low"]
    unshared = np.array([each["ci_high"] - each["ci_low"] for each in single])
    assert np.ptp(reach) < np.ptp(unshared), "moderation draws the errors together"


def test_change_in_all_patients_is_the_one_sample_test():
    composition, design = cohort(seed=6)
    table = model(composition, design, contrast(estimand="change"), subsets=["nk_bright"])
    assert "ancova" not in set(table["model"])
    change, _ = by_patient(composition, design, arcsines)
    row = row_of(table, "propeller_asin")
    assert row["p"] == pytest.approx(stats.ttest_1samp(change, 0).pvalue)
    assert (row["n_a"], row["n_b"]) == (13, 0)
    late = (design["visit"] == "v2").to_numpy(float)[:, None]
    matrix = np.hstack([pd.get_dummies(design["patient"]).to_numpy(float), late])
    counts = wide(composition, design)
    found = hand_binomial(counts["nk_bright"], counts.drop(columns="nk_bright").sum(axis=1), matrix)
    assert_t_row(row_of(table, "binomial"), *found)


def test_ancova_is_follow_up_on_reference_and_group():
    composition, design = cohort(shift=0.4, seed=7)
    tables = compare_composition(composition, design, [contrast()], QUICK, 1, **FLOORS)
    own = tables["differences"].query("subset == 'nk_bright'")
    matrix = sm.add_constant(np.column_stack([own["before"], own["group"] == "responder"]).astype(float))
    fit = sm.OLS(own["after"].to_numpy(), matrix).fit()
    row = row_of(model(composition, design, contrast()), "ancova")
    assert row["effect"] == pytest.approx(fit.params[-1])
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(fit.conf_int()[-1]))
    assert row["p"] == pytest.approx(fit.pvalues[-1])


def test_where_the_primary_test_adjusts_the_plain_change_is_the_concordance():
    composition, design = cohort(shift=0.4, seed=8)
    item = contrast(adjust_baseline=True)
    table = model(composition, design, item)
    assert "ancova" not in set(table["model"])
    own = compare_composition(composition, design, [item], QUICK, 1, **FLOORS)["differences"]
    own = own.query("subset == 'nk_bright'")
    groups = [part["difference"] for _, part in own.groupby(own["group"] != "responder")]
    assert row_of(table, "change_score")["p"] == pytest.approx(stats.ttest_ind(*groups).pvalue)


def test_covariates_and_strata_enter_every_model():
    composition, design = cohort(shift=0.4, seed=9)
    item = contrast(covariates=["age"], strata=["site"])
    table = model(composition, design, item, subsets=["nk_bright"])
    change, responder = by_patient(composition, design, arcsines)
    facts = design.drop_duplicates("patient")
    sites = pd.get_dummies(facts["site"], drop_first=True).to_numpy(float)
    matrix = np.column_stack([np.ones(13), sites, facts["age"], responder]).astype(float)
    fit = sm.OLS(change, matrix).fit()
    row = row_of(table, "propeller_asin")
    assert row["effect"] == pytest.approx(fit.params[-1])
    assert row["p"] == pytest.approx(fit.pvalues[-1])
    late = (design["visit"] == "v2").to_numpy(float)[:, None]
    # A constant scale helps the optimiser; it does not move the coefficient tested.
    between = np.column_stack([matrix[:, :3], (matrix[:, 3] - 50) / 10, matrix[:, 4]])
    rows = np.repeat(np.arange(13), 2)
    whole = np.hstack([pd.get_dummies(design["patient"]).to_numpy(float), late * between[rows]])
    counts = wide(composition, design)
    found = hand_binomial(counts["nk_bright"], counts.drop(columns="nk_bright").sum(axis=1), whole)
    assert_t_row(row_of(table, "binomial"), *found)


def test_binomial_follows_a_slope_over_several_visits():
    visits = ("v1", "v2", "v3", "v4")
    composition, design = cohort(visits=visits, shift=0.5, seed=10, cells=3000)
    item = contrast(target="", targets=list(visits[1:]), summary="slope")
    row = row_of(model(composition, design, item), "binomial")
    counts = wide(composition, design)
    step = design["visit"].map({visit: at for at, visit in enumerate(visits)}).to_numpy(float)[:, None]
    responder = (design["response"] == "responder").to_numpy(float)[:, None]
    patients = pd.get_dummies(design["patient"]).to_numpy(float)
    matrix = np.hstack([patients, step - 1.5, (step - 1.5) * responder])
    found = hand_binomial(counts["nk_bright"], counts.drop(columns="nk_bright").sum(axis=1), matrix)
    assert_t_row(row, *found)
    assert row["effect"] > 0


def test_the_last_of_several_visits_leaves_the_others_out():
    composition, design = cohort(visits=("v1", "v2", "v3"), seed=11)
    item = contrast(target="", targets=["v2", "v3"], summary="last")
    several = row_of(model(composition, design, item), "binomial")
    single = row_of(model(composition, design, contrast(target="v3")), "binomial")
    assert several["effect"] == pytest.approx(single["effect"])
    assert several["p"] == pytest.approx(single["p"])


def test_patients_without_the_subset_are_left_out_of_the_binomial_only():
    composition, design = cohort(seed=12)
    lost = composition["sample"].str.startswith("p00") & (composition["subset"] == "nk_bright")
    table = model(composition.assign(cells=composition["cells"].mask(lost, 0)), design, contrast())
    assert "p00" in row_of(table, "binomial")["note"]
    assert row_of(table, "binomial")["n_a"] == 4
    assert row_of(table, "propeller_asin")["n_a"] == 5
    assert row_of(table, "binomial", "nk_dim")["note"] == ""


def test_cells_on_one_side_only_give_no_estimate_and_a_reason():
    composition, design = cohort(seed=13, responders=3)
    gone = composition["sample"].isin(["p00_v1", "p01_v1", "p02_v1"]) & (composition["subset"] == "nk_bright")
    table = model(composition.assign(cells=composition["cells"].mask(gone, 0)), design, contrast())
    row = row_of(table, "binomial")
    assert np.isnan(row["effect"])
    assert "no finite estimate" in row["note"]
    assert row["same_sign"] is pd.NA
    assert row_of(table, "propeller_logit")["effect"] > 0


def test_sparse_subsets_and_other_contrasts_have_no_rows():
    composition, design = cohort(seed=14)
    few = composition["subset"] == "nk_other"
    table = model(composition.assign(cells=composition["cells"].mask(few, 3)), design, contrast())
    assert set(table["subset"]) == set(SUBSETS) - {"nk_other"}


def test_no_rows_without_contrasts():
    composition, design = cohort()
    tables = compare_composition(composition, design, [contrast()], QUICK, 1, **FLOORS)
    table = model_composition(composition, design, [], *(tables[name] for name in ("contrasts", "differences")), 0.05,
                              pseudo_count=0.5)  # fmt: skip
    assert list(table.columns) == COLUMNS
    assert table.empty


def test_without_an_effect_the_models_reject_at_their_level():
    parents = tuple(f"part{at}" for at in range(60))
    composition, design = cohort(parents=parents, seed=15)
    table = model(composition, design, contrast(parents=list(parents)))
    for name in ("ancova", "binomial", "propeller_logit", "propeller_asin"):
        share = (table.loc[table["model"] == name, "p"] < 0.05).mean()
        assert 0.01 < share < 0.1, name
