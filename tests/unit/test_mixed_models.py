"""Mixed models against those of R, of statsmodels, and against tests that complete data reduce them to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from immune_landscape.mixed_models import NoFitError, estimate_combination, fit_mixed, joint_test

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "mixed_models"
TOLERANCE = 1e-6


def model_of(rows):
    """Return the design matrix of group by visit, interaction last, and the number of visits after the first."""
    visits = np.column_stack([rows["visit"] == visit for visit in sorted(rows["visit"].unique())[1:]]).astype(float)
    first = rows[["group"]].to_numpy(dtype=float)
    covariate = rows[["covariate"]].to_numpy(dtype=float)
    shown = covariate if covariate.any() else covariate[:, :0]
    return np.hstack([np.ones((len(rows), 1)), first, visits, shown, visits * first]), visits.shape[1]


def made(patients=19, first=6, visits=3, *, between=1.0, within=0.7, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame([(at, float(at < first), visit) for at in range(patients) for visit in range(visits)])
    rows.columns = ["patient", "group", "visit"]
    values = rng.normal(0, between, patients)[rows["patient"]] + rng.normal(0, within, len(rows))
    return rows.assign(covariate=0.0, y=values + shift * rows["group"] * (rows["visit"] == visits - 1))


def fitted(rows):
    model, tested = model_of(rows)
    return fit_mixed(rows["y"].to_numpy(), model, rows["patient"].to_numpy()), np.eye(model.shape[1])[-tested:]


def golden():
    """Yield name, samples and what R found, of each data set."""
    given, expected = (pd.read_csv(GOLDEN / f"{name}.tsv", sep="\t") for name in ("input", "expected"))
    return [(name, rows, expected[expected["dataset"] == name]) for name, rows in given.groupby("dataset", sort=False)]


def largest_difference(rows, expected):
    """Return the largest relative difference of any number from that of R."""
    fit, tested = fitted(rows)
    ours = [[*estimate_combination(fit, row), fit.within] for row in tested]
    single = expected[expected["term"] != "interaction"][["estimate", "error", "df", "p", "within"]].to_numpy()
    joint = joint_test(fit, tested)
    both = expected[expected["term"] == "interaction"][["statistic", "df", "p"]].to_numpy()[0]
    apart = np.abs(np.array(ours) / single - 1).max()
    return max(apart, np.abs(np.array([joint.statistic, joint.df_error, joint.p]) / both - 1).max())


@pytest.mark.parametrize("name", [name for name, _, _ in golden()])
def test_every_number_is_that_of_lme4_and_pbkrtest(name):
    (found,) = [(rows, expected) for own, rows, expected in golden() if own == name]
    assert largest_difference(*found) < TOLERANCE
    fit = fitted(found[0])[0]
    assert fit.between == pytest.approx(found[1]["between"].iloc[0], abs=1e-6)


def test_the_golden_tables_hold_gaps_and_a_variance_of_zero():
    tables = {name: (rows, expected) for name, rows, expected in golden()}
    assert tables["no_patient_variance"][1]["between"].max() < 1e-12
    rows = tables["gaps"][0]
    assert len(rows) < rows["patient"].nunique() * rows["visit"].nunique()
    assert tables["complete"][1].filter(["r", "lme4", "pbkrtest"]).notna().to_numpy().all()


def test_variances_and_coefficients_are_those_of_statsmodels():
    rows = made(seed=3).drop(index=[4, 9, 20, 31, 50])
    fit, _ = fitted(rows)
    model, _ = model_of(rows)
    other = sm.MixedLM(rows["y"].to_numpy(), model, groups=rows["patient"].to_numpy()).fit(reml=True)
    assert fit.within == pytest.approx(other.scale, rel=1e-4)
    assert fit.between == pytest.approx(float(other.cov_re[0, 0]), rel=1e-3)
    np.testing.assert_allclose(fit.coefficients, other.fe_params, rtol=1e-3, atol=1e-4)


def test_two_complete_visits_are_the_t_test_of_the_change():
    rows = made(visits=2, seed=1, shift=1.0)
    fit, tested = fitted(rows)
    wide = rows.pivot_table(index=["patient", "group"], columns="visit", values="y").reset_index()
    change = wide[1] - wide[0]
    usual = stats.ttest_ind(change[wide["group"] == 1], change[wide["group"] == 0])
    found = estimate_combination(fit, tested[0])
    assert found.p == pytest.approx(usual.pvalue, rel=1e-6)
    assert found.df == pytest.approx(17, rel=1e-6)
    assert found.estimate / found.error == pytest.approx(usual.statistic, rel=1e-6)


def test_complete_visits_are_the_analysis_of_variance_of_repeated_measures():
    rows = made(visits=4, seed=2)
    fit, tested = fitted(rows)
    found = joint_test(fit, tested)

    def left(columns):
        """Return the residual sum of squares with patients as blocks."""
        blocks = pd.get_dummies(rows["patient"]).to_numpy(dtype=float)
        full = np.hstack([blocks, columns])
        return float(np.linalg.lstsq(full, rows["y"], rcond=None)[1][0]) if full.size else np.nan

    visits = np.column_stack([rows["visit"] == visit for visit in (1, 2, 3)]).astype(float)
    small, large = left(visits), left(np.hstack([visits, visits * rows[["group"]].to_numpy()]))
    free = 19 * 3 - 3 - 3
    assert found.statistic == pytest.approx(((small - large) / 3) / (large / free), rel=1e-6)
    assert (found.df, round(found.df_error, 6)) == (3, free)


def test_a_joint_test_of_one_combination_is_its_own():
    fit, tested = fitted(made(seed=5).drop(index=[1, 8, 30]))
    single, joint = estimate_combination(fit, tested[1]), joint_test(fit, tested[1:])
    assert joint.p == pytest.approx(single.p)
    assert joint.p == pytest.approx(2 * stats.t.sf(abs(single.estimate / single.error), single.df))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": 1.0}, "no spread within patients"),
        ({"group": 1.0}, "cannot be told apart"),
    ],
)
def test_what_cannot_be_fitted_is_said(change, message):
    with pytest.raises(NoFitError, match=message):
        fitted(made().assign(**change))


def test_no_spread_within_patients_is_said_though_patients_differ():
    rows = made()
    with pytest.raises(NoFitError, match="no spread"):
        fitted(rows.assign(y=1.7 * rows["patient"] + 0.3 * rows["visit"]))


def test_one_sample_a_patient_leaves_nothing_to_estimate():
    with pytest.raises(NoFitError, match="too few samples"):
        fitted(made(patients=12).query("visit == patient % 3"))
