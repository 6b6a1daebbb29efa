import time

import numpy as np
import pytest
from patient_cohorts import made_groups, made_values, settings

from immune_landscape.freedman_lane import freedman_lane
from immune_landscape.labelings import LabelPlan, stratum_codes
from immune_landscape.null_run import null_findings
from immune_landscape.permutation import flip_signs, permute_labels


def counted(results, alpha):
    found = np.array([(result.p < alpha).sum() for result in results])
    corrected = np.array([(result.p_maxt < alpha).sum() for result in results])
    return found.mean(), corrected.mean(), (found > 0).mean()


@pytest.mark.parametrize("strata", [None, np.array(list("xxyyxxyyx"))])
def test_equals_testing_every_permuted_cohort(strata):
    values, groups = made_values(9, 5), made_groups(4, 5, strata=strata)
    # Correlated features, so that the corrected counts depend on them together.
    values[:, 1] = values[:, 0] + 0.2 * values[:, 1]
    run = null_findings(values, groups, 0, settings(alpha=0.1))
    plan = LabelPlan(groups.is_a, stratum_codes(strata, 9), 0, 1000, 0)
    each = [permute_labels(values, labels > 0, 0, strata=strata) for labels in np.vstack(list(plan.chunks(50)))]
    assert run.tests == 5
    assert run.runs == plan.count == len(each) < 1000
    assert (run.mean_found, run.mean_corrected, run.share_any) == pytest.approx(counted(each, 0.1))
    assert 0 < run.mean_corrected < run.mean_found


def test_equals_testing_every_signing():
    values = made_values(6, 3)
    run = null_findings(values, made_groups(6, 0), 0, settings(alpha=0.1))
    signs = 1 - 2.0 * (np.arange(64)[:, None] >> np.arange(6) & 1)
    each = [flip_signs(values * sign[:, None], 0) for sign in signs]
    assert run.runs == 64
    assert (run.mean_found, run.mean_corrected, run.share_any) == pytest.approx(counted(each, 0.1))


def test_drawn_cohorts_are_near_the_exact_tests_of_such_cohorts():
    rng = np.random.default_rng(1)
    values, groups = made_values(14, 8), made_groups(5, 9)
    run = null_findings(values, groups, 0, settings())
    again = null_findings(values, groups, 0, settings())
    each = [permute_labels(values, groups.is_a[rng.permutation(14)], 0) for _ in range(400)]
    found, corrected, share = counted(each, 0.05)
    assert run == again
    assert run.runs == 1000
    assert run.mean_found == pytest.approx(8 * 0.05, abs=0.01)
    assert run.mean_found == pytest.approx(found, abs=0.12)
    assert run.mean_corrected == pytest.approx(corrected, abs=0.04)
    assert run.share_any == pytest.approx(share, abs=0.06)


def test_residuals_of_an_adjusted_contrast_are_permuted():
    rng = np.random.default_rng(2)
    before = made_values(14, 6, seed=3)
    values = 2 * before + made_values(14, 6)
    groups = made_groups(5, 9, adjust_baseline=True).for_features(before)
    run = null_findings(values, groups, 0, settings())
    # Refit cohorts whose residuals were permuted, as the test itself would be run on them.
    design = np.stack([np.column_stack([np.ones(14), column]) for column in before.T])
    fitted = np.column_stack([m @ np.linalg.lstsq(m, y, rcond=None)[0] for m, y in zip(design, values.T, strict=True)])
    each = []
    for seed in range(300):
        cohort = fitted + (values - fitted)[rng.permutation(14)]
        each.append(freedman_lane(cohort, groups.is_a, before[:, :, None], seed, draws=399))
    found, corrected, share = counted(each, 0.05)
    assert run.tests == 6
    assert run.mean_found == pytest.approx(found, abs=0.12)
    assert run.mean_corrected == pytest.approx(corrected, abs=0.04)
    assert run.share_any == pytest.approx(share, abs=0.08)
    shared = null_findings(values, made_groups(5, 9, covariates=before[:, :1]), 0, settings())
    assert shared.mean_found == pytest.approx(0.3, abs=0.02)


def test_few_labelings_cannot_find_anything():
    run = null_findings(made_values(6, 4), made_groups(3, 3), 0, settings())
    assert run == (4, 20, 0.0, 6, 0.0, 0.0)


def test_each_feature_keeps_its_own_patients_and_the_maximum_takes_the_common_ones():
    values, groups = made_values(12, 3), made_groups(5, 7)
    values[[0, 8], 1] = np.nan
    kept = ~np.isnan(values[:, 1])
    run = null_findings(values, groups, 0, settings())
    full = null_findings(values[:, [0, 2]], groups, 0, settings())
    gaps = null_findings(values[kept][:, [1]], groups.take(kept), 0, settings())
    assert run.mean_found == pytest.approx(full.mean_found + gaps.mean_found)
    assert (full.runs, gaps.runs, run.runs) == (792, 210, 210)
    common = null_findings(values[kept], groups.take(kept), 0, settings())
    assert run[3:] == common[3:] == (10, *common[4:])
    # A feature that cannot be tested takes no patients from the others.
    values[:11, 2] = np.nan
    assert null_findings(values, groups, 0, settings()) == null_findings(values[:, :2], groups, 0, settings())


def test_features_without_patients_in_common_are_found_by_themselves():
    values, groups = made_values(12, 2), made_groups(6, 6)
    values[:3, 0], values[3:6, 1] = np.nan, np.nan
    run = null_findings(values, groups, 0, settings())
    alone = [null_findings(values[:, [at]], groups, 0, settings()).mean_found for at in (0, 1)]
    assert run.mean_found == pytest.approx(sum(alone))
    assert (run.tests, run.runs, run.patients) == (2, 84, 0)
    assert np.isnan([run.mean_corrected, run.share_any]).all()


def test_nothing_to_test_gives_no_run():
    for values, groups in ((made_values(8, 2)[:, :0], made_groups(4, 4)), (made_values(1, 2), made_groups(1, 0))):
        run = null_findings(values, groups, 0, settings())
        assert run[:2] == (0, 0)
        assert np.isnan([run.mean_found, run.mean_corrected, run.share_any]).all()


def test_correlated_features_are_found_together():
    rng = np.random.default_rng(4)
    apart = rng.normal(size=(19, 20))
    together = rng.normal(size=(19, 1)) + 0.05 * apart
    groups = made_groups(6, 13)
    spread, joint = (null_findings(values, groups, 0, settings()) for values in (apart, together))
    # The mean stays, but all of it falls into few cohorts.
    assert spread.mean_found == pytest.approx(joint.mean_found, abs=0.05)
    assert joint.share_any < 0.15 < 0.5 < spread.share_any
    assert spread.mean_corrected < 0.1 < joint.mean_corrected


def test_a_thousand_cohorts_of_fifty_features_take_well_below_a_second():
    values, groups = made_values(19, 50), made_groups(6, 13)
    start = time.perf_counter()
    run = null_findings(values, groups, 0, settings())
    assert time.perf_counter() - start < 1.0
    assert (run.tests, run.runs) == (50, 1000)
