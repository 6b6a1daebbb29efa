import numpy as np
import pandas as pd
import pytest
from made_signatures import RESPONSE_BY_VISIT, all_tested, design_of, make_profiles

from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.judge_signatures import NULL_COLUMNS, judge_signatures
from immune_landscape.patient_groups import PatientGroups, PatientValues, compared_patients
from immune_landscape.score_signatures import score_rows, set_columns
from immune_landscape.signature_null import feature_effects, summarise_null

SIGNATURES = ["effector_molecules", "proinflammatory_nk_tang", "dysfunction_nk"]
LIGHT = ContrastSettings(0.05, 0.8, 5_000_000, 200, intervals=False)


def values_of(profiles, registry):
    table = score_rows(profiles, registry, "nk").assign(sample=profiles.obs["sample"])
    values = table.melt(id_vars="sample", var_name="feature", value_name="value")
    return values.assign(parent="nk", low=np.nan, high=np.nan, unit="score")


def cohort(seed=0, **planted):
    design = design_of(sex=["male", "female", "male", "male"] * 9 + ["female", "male"], age=np.arange(38.0) // 2)
    profiles, registry = make_profiles(np.random.default_rng(seed), design, SIGNATURES, **planted)
    return design, profiles, registry


def judged(design, profiles, registry, contrast=RESPONSE_BY_VISIT, **settings):
    tested = all_tested(contrast, SIGNATURES)
    table = judge_signatures(profiles, registry, tested, design, [contrast], 1, **{"draws": 200} | settings)
    return table.set_index("feature")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"estimand": "change"},
        {"estimand": "baseline"},
        {"strata": ["sex"]},
        {"covariates": ["age"]},
        {"adjust_baseline": True},
        {"adjust_baseline": True, "covariates": ["age"], "strata": ["sex"]},
    ],
    ids=lambda changes: "-".join(map(str, changes.values() or ["plain"])),
)
def test_effects_are_those_of_the_contrasts_table(changes):
    design, profiles, registry = cohort()
    contrast = RESPONSE_BY_VISIT | changes
    told = compare_values(values_of(profiles, registry), design, [contrast], "signatures", LIGHT, 0)["contrasts"]
    found = judged(design, profiles, registry, contrast)
    wanted = told.set_index("feature")["effect"].loc[found.index]
    assert found["effect"].to_numpy() == pytest.approx(wanted.to_numpy(), rel=1e-6)


def test_patients_without_a_profile_are_left_out_as_in_the_contrasts():
    design, profiles, registry = cohort()
    fewer = profiles[~profiles.obs["sample"].isin(["p00_after", "p10_before"]).to_numpy()]
    told = compare_values(values_of(fewer, registry), design, [RESPONSE_BY_VISIT], "signatures", LIGHT, 0)["contrasts"]
    found = judged(design, fewer, registry)
    assert told["n_a"].eq(5).all()
    assert found["effect"].to_numpy() == pytest.approx(told.set_index("feature")["effect"].loc[found.index].to_numpy())


def test_random_effects_are_derived_a_second_way():
    design, profiles, registry = cohort()
    found = judged(design, profiles, registry, draws=400).loc["effector_molecules"]
    means = np.asarray(profiles.layers["mean_log"], dtype=float)
    bins = profiles.var["bin_nk"].to_numpy()
    genes = set_columns(profiles.var_names, registry.set_index("signature").loc["effector_molecules"])[0][0]
    rng, effects = np.random.default_rng(77), []
    responder = design["response"].eq("responder").to_numpy()[::2]
    for _ in range(400):
        random = []
        for gene in genes:
            free = [at for at in np.flatnonzero(bins == bins[gene]) if at not in genes and at not in random]
            random.append(rng.choice(free))
        controls = [at for at in np.flatnonzero(np.isin(bins, bins[genes])) if at not in random]
        score = means[:, random].mean(axis=1) - means[:, controls].mean(axis=1)
        change = score[1::2] - score[::2]
        effects.append(change[responder].mean() - change[~responder].mean())
    assert found["null_mean"] == pytest.approx(np.mean(effects), abs=4 * np.std(effects) / np.sqrt(200))
    assert found["null_sd"] == pytest.approx(np.std(effects), rel=0.2)
    assert found[["null_low", "null_high"]].to_list() == pytest.approx(
        np.quantile(effects, [0.025, 0.975]), abs=0.4 * np.std(effects)
    )


def test_columns_sets_and_seed():
    parts = cohort()
    found = judged(*parts)
    assert set(found.reset_index().columns) == set(NULL_COLUMNS)
    assert found["sets"].eq(200).all()
    pd.testing.assert_frame_equal(found, judged(*parts))


def test_a_planted_programme_is_special_and_the_others_are_not_made_so():
    found = judged(*cohort(seed=3, planted=0.3))
    assert found.loc["effector_molecules", "null_p"] == pytest.approx(1 / 201)
    assert found.loc["effector_molecules", "effect"] > found.loc["effector_molecules", "null_high"]
    assert found.loc["dysfunction_nk", "null_p"] > 0.05


def test_too_few_like_genes_leave_the_null_empty():
    design = design_of()
    profiles, registry = make_profiles(np.random.default_rng(0), design, SIGNATURES, genes=6, n_bins=2)
    found = judged(design, profiles, registry)
    assert (found["sets"] == 0).any()
    assert found.loc[found["sets"] == 0, "null_p"].isna().all()
    assert found["effect"].notna().all()


def test_rows_that_were_not_tested_are_not_judged():
    design, profiles, registry = cohort()
    rows = all_tested(RESPONSE_BY_VISIT, SIGNATURES).assign(status=["tested", "not_testable", "tested"])
    table = judge_signatures(profiles, registry, rows, design, [RESPONSE_BY_VISIT], 1, draws=20)
    assert list(table["feature"]) == [SIGNATURES[0], SIGNATURES[2]]
    none = judge_signatures(profiles, registry, rows.head(0), design, [RESPONSE_BY_VISIT], 1, draws=20)
    assert list(none.columns) == NULL_COLUMNS


def test_share_of_sets_counts_distance_from_their_mean():
    random = np.array([0.9, 1.0, 1.1, 1.3])
    # The mean of all five is 0.94: 0.9 is the one nearest, 0.4 lies 0.54 away.
    found = summarise_null(0.4, random)
    assert found["null_p"] == pytest.approx(1 / 5)
    # With 1.0 the mean is 1.06, and only 1.1 is nearer to it.
    assert summarise_null(1.0, random)["null_p"] == pytest.approx(4 / 5)
    assert found["null_mean"] == pytest.approx(random.mean())


def test_effect_is_missing_where_the_group_is_aliased():
    design = design_of()
    design["centre"] = design["response"]
    contrast = RESPONSE_BY_VISIT | {"strata": ["centre"]}
    groups: PatientGroups = compared_patients(design, contrast)
    values = np.random.default_rng(0).normal(size=(19, 3))
    assert np.isnan(feature_effects(PatientValues(values, values, values), groups)).all()
