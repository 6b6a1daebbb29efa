"""Clinical endpoints: rates of the trial, published and R values of classic data, and coverage of the intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clinical_cohorts import escalation_tables
from recist_tables import OTHERS, TABLE_1, TARGETS
from science.rows import share
from workflow.runs import ROOT

from immune_landscape.clinical_tables import outcome_table
from immune_landscape.cohort import read_cohort
from immune_landscape.hazards import fit_cox, fit_firth, interaction_p, proportionality
from immune_landscape.measure_doses import measure_doses
from immune_landscape.measure_endpoints import measure_endpoints
from immune_landscape.proportions import exact_share
from immune_landscape.recist import overall_response, target_response
from immune_landscape.seeds import seed_of
from immune_landscape.survival import kaplan_meier, log_rank, median_time, restricted_mean, survival_at

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "survival"
EXPECTED = pd.read_csv(GOLDEN / "expected.tsv", sep="\t").set_index(["data", "what", "key"])["value"].sort_index()


def data(name):
    table = pd.read_csv(GOLDEN / f"{name}.tsv", sep="\t")
    return table.assign(event=table["event"] == 1) if "event" in table else table


def golden(name, what):
    return EXPECTED[name][what].to_dict()


def fit(table, columns, method=fit_cox, strata=None):
    """Fit a model to the patients whose columns are complete; return it with times, events and strata."""
    known = table.dropna(subset=[*columns, *([strata] if strata else [])])
    within = known[strata].to_numpy() if strata else None
    parts = known["time"].to_numpy(), known["event"].to_numpy(), known[columns].to_numpy(dtype=float)
    return method(*parts, 0.95, within), (*parts[:2], parts[2][:, 0], within)


def demo_rates():
    cohort = read_cohort(ROOT / "config" / "cohorts" / "demo")
    table = measure_endpoints(outcome_table(cohort), cohort.config, level=0.95, times=[], window=None)["endpoints"]
    chosen = table[(table["population"] == "evaluable") & (table["by"] == "all")]
    return chosen.set_index("endpoint")


@pytest.mark.parametrize(
    ("endpoint", "responders", "expected"), [("orr", 6, (31.6, 12.6, 56.6)), ("dcr", 14, (73.7, 48.8, 90.9))]
)
def test_rates_of_the_trial_from_the_tables_of_the_cohort(science, endpoint, responders, expected):
    row = demo_rates().loc[endpoint]
    found = [round(100 * float(row[part]), 1) for part in ("estimate", "low", "high")]
    assert (row["events"], row["n"]) == (responders, 19)
    what = f"largest difference in points from {responders}/19 = {expected[0]} % ({expected[1]}-{expected[2]})"
    science.row(f"clinical/{endpoint}", what, np.abs(np.subtract(found, expected)).max(), 0, 0, 19)


def test_upper_bound_of_toxicity(science):
    """The demo has the 19 evaluable patients alone: a table is made of the published cohort sizes of all 24 treated."""
    doses = measure_doses(escalation_tables()[0], level=0.95)["doses"].set_index("dose_level").loc["all"]
    assert (doses["dlt"], doses["evaluable"]) == (0, 24)
    what = "exact two-sided 95 % upper bound of 0/24 dose-limiting toxicities in %"
    science.row("clinical/dlt_upper", what, round(100 * float(doses["high"]), 1), 14.2, 14.2, 24)


def test_curves_medians_and_log_rank_are_those_of_r(science):
    differences, asked = [], 0
    for name, group, marks in (("lung", "sex", (180, 365)), ("ovarian", "rx", (365,)), ("veteran", "trt", (90, 180))):
        table = data(name)
        for value, own in table.groupby(group):
            times, events = own["time"].to_numpy(), own["event"].to_numpy()
            median, expected = median_time(kaplan_meier(times, events), 0.95), golden(name, f"median_{group}{value}")
            for found, wanted in zip(median, (expected[key] for key in ("median", "0.95LCL", "0.95UCL")), strict=True):
                # R writes NA where the curve does not come down to the line.
                differences.append(abs(found - wanted) if wanted == wanted else float(np.isfinite(found)))
            for mark in marks:
                found = survival_at(times, events, mark, 0.95)
                expected = golden(name, f"survival_{group}{value}_{mark}")
                differences += [abs(found[at] - expected[key]) for at, key in enumerate(("estimate", "low", "high"))]
        for strata, what in (
            (None, "log_rank"),
            ("ecog", "log_rank_strata_ecog"),
            ("celltype", "log_rank_strata_celltype"),
        ):
            if strata in (None, *table.columns):
                known = table.dropna(subset=[strata] if strata else [])
                within = known[strata].to_numpy() if strata else None
                groups = (known["time"].to_numpy(), known["event"].to_numpy(), known[group].to_numpy())
                expected = golden(name, what)
                found = log_rank(*groups, within)
                differences += [abs(found[0] - expected["statistic"]), abs(found[1] - expected["p"])]
        asked += len(table)
    what = f"largest difference from R survival in {len(differences)} medians, bounds, survival and log-rank tests"
    science.row("clinical/km_reference", what, max(differences), 0, 1e-7, asked)


def test_printed_numbers_of_lung_and_ovarian():
    """R cookbooks print chi-square 10.3267 and p 0.00131116; the help page of summary.coxph, age and sex."""
    lung, ovarian = data("lung"), data("ovarian")
    statistic, p = log_rank(lung["time"].to_numpy(), lung["event"].to_numpy(), lung["sex"].to_numpy())
    assert (round(statistic, 4), round(p, 8)) == (10.3267, 0.00131116)
    model = fit(lung, ["age", "sex"])[0]
    assert [round(value, 3) for value in model.coefficients] == [0.017, -0.513]
    np.testing.assert_allclose(model.errors, [0.00922, 0.16745], atol=1e-5)
    assert [round(value, 2) for value in model.coefficients / model.errors] == [1.85, -3.06]
    medians = {sex: median_time(kaplan_meier(own["time"], own["event"]), 0.95).time for sex, own in lung.groupby("sex")}
    assert medians == {1: 270, 2: 426}
    assert round(fit(ovarian, ["age"])[0].coefficients[0], 4) == 0.1616


def test_cox_models_are_those_of_r(science):
    models = [
        ("lung", "cox_age_sex_ecog", ["age", "sex", "ecog"], None),
        ("lung", "cox_sex", ["sex"], None),
        ("lung", "cox_sex_strata_ecog", ["sex"], "ecog"),
        ("ovarian", "cox_age", ["age"], None),
        ("ovarian", "cox_rx_strata_residual", ["rx"], "residual"),
        ("veteran", "cox_trt", ["trt"], None),
        ("veteran", "cox_karno", ["karno"], None),
        ("veteran", "cox_trt_strata_celltype", ["trt"], "celltype"),
    ]
    differences = []
    for name, what, columns, strata in models:
        model, parts = fit(data(name), columns, strata=strata)
        expected = golden(name, what)
        for at, column in enumerate(columns):
            differences.append(abs(model.coefficients[at] - expected[f"coef.{column}"]) / expected[f"se.{column}"])
            differences.append(abs(model.errors[at] / expected[f"se.{column}"] - 1))
        if len(columns) == 1:
            differences.append(abs(proportionality(*parts) - golden(name, f"{what}_zph")["p"]))
    veteran = data("veteran")
    parts = (veteran["time"].to_numpy(), veteran["event"].to_numpy(), veteran["trt"].to_numpy() == 2)
    p = interaction_p(*parts, veteran["celltype"].to_numpy(), 10)
    differences.append(abs(p - golden("veteran", "interaction_trt_celltype")["p"]))
    what = f"largest difference from R coxph and cox.zph in {len(models)} models and an interaction, in errors or p"
    science.row("clinical/cox_reference", what, max(differences), 0, 1e-5, len(differences))


def test_documented_values_of_lifelines():
    """Median 56 and log-rank 122.25 of the Waltons data; coefficients of Rossi's data, as in Fox (2002)."""
    waltons, rossi = data("waltons"), data("rossi")
    times, events = waltons["T"].to_numpy(), waltons["E"].to_numpy() == 1
    assert median_time(kaplan_meier(times, events), 0.95).time == 56
    assert round(log_rank(times, events, waltons["group"].to_numpy())[0], 2) == 122.25
    columns = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    model = fit_cox(rossi["week"].to_numpy(), rossi["arrest"].to_numpy() == 1, rossi[columns].to_numpy(), 0.95)
    assert [round(value, 3) for value in model.coefficients] == [-0.379, -0.057, 0.314, -0.150, -0.434, -0.085, 0.091]
    assert [round(value, 3) for value in model.errors] == [0.191, 0.022, 0.308, 0.212, 0.382, 0.196, 0.029]


def test_firth_models_are_those_of_r(science):
    """R maximises the likelihood and the information that coxph gives at fixed coefficients."""
    ovarian = data("ovarian")
    early = ovarian.assign(event=ovarian["event"] & (ovarian["time"] <= 330), time=ovarian["time"].clip(upper=330))
    models = [
        (ovarian, "ovarian", "firth_rx", "rx", None),
        (ovarian, "ovarian", "firth_rx_strata_residual", "rx", "residual"),
        (early, "ovarian", "firth_rx_330_days", "rx", None),
        (data("veteran"), "veteran", "firth_trt", "trt", None),
    ]
    differences = []
    for table, name, what, column, strata in models:
        model = fit(table, [column], fit_firth, strata)[0]
        expected = golden(name, what)
        found = {"coef": model.coefficients, "low": model.low, "high": model.high, "p": model.p}
        differences += [abs(float(found[key][0]) - expected[key]) for key in expected]
    what = f"largest difference from penalised coxph in {len(models)} models with intervals, one without a maximum"
    science.row("clinical/firth_reference", what, max(differences), 0, 1e-4, len(differences))


def test_restricted_means_are_those_published(science):
    """Vignette of survRM2, data of primary biliary cirrhosis to ten years."""
    table = data("pbc")
    means = {}
    for arm, own in table.groupby("arm"):
        means[arm] = restricted_mean(own["time"].to_numpy(), own["event"].to_numpy(), 10)
        expected = golden("pbc", f"restricted_mean_arm{arm}")
        assert means[arm].time == pytest.approx(expected["time"], abs=1e-6)
        assert means[arm].error == pytest.approx(expected["error"], rel=5e-3)
    difference = means[1].time - means[0].time
    reach = 1.959964 * np.hypot(means[1].error, means[0].error)
    found = [
        means[1].time,
        means[1].error,
        means[0].time,
        means[0].error,
        difference,
        difference - reach,
        difference + reach,
    ]
    printed = [7.146, 0.283, 7.283, 0.295, -0.137, -0.939, 0.665]
    what = "largest difference from the printed means, errors, difference and interval of survRM2, after rounding"
    science.row("clinical/rmst_reference", what, np.abs(np.round(found, 3) - printed).max(), 0, 1e-9, len(table))


def test_responses_are_those_of_the_tables_of_recist(science):
    cases = [(target, other, new) for target in TARGETS for other in OTHERS for new in (False, True)]
    wrong = sum(
        overall_response(target, other, new) != ("PD" if new else TABLE_1[target, other])
        for target, other, new in cases
    )
    # Progression of target lesions on a grid: both 20 % and 5 mm over the nadir.
    grid = [(nadir, grown) for nadir in range(5, 101, 5) for grown in range(31)]
    wrong += sum(
        (target_response(nadir + grown, 100, nadir, only_small_nodes=False) == "PD")
        != (5 * grown >= nadir and grown >= 5)
        for nadir, grown in grid
    )
    what = "combinations of target, non-target and new lesion, and growths, read otherwise than RECIST 1.1"
    science.row("clinical/recist_table", what, wrong, 0, 0, len(cases) + len(grid))


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "n"), [(0.3, 19), (0.6, 54)])
def test_intervals_of_rates_hold_the_truth(science, truth, n):
    draws = science.replicates(full=4000, quick=400)
    counts = np.random.default_rng(seed_of(7, "rates", str(n))).binomial(n, truth, draws)
    bounds = {count: exact_share(int(count), n, 0.95) for count in np.unique(counts)}
    held, known = share([bounds[count].low <= truth <= bounds[count].high for count in counts])
    low, high = science.limits(0.95, 0.995, known)
    what = (
        f"share of exact 95 % intervals of a rate of {truth} in {n} patients that hold it; exact ones hold it too often"
    )
    science.row(f"clinical/coverage_rate_{n}", what, held, low, high, known)


def trial_times(rng, sizes, ratio, end):
    """Draw exponential times of two arms, median 7 in the second, followed for `end` at the latest."""
    is_a = np.repeat([True, False], sizes)
    times = rng.exponential(7 / np.log(2), len(is_a)) / np.where(is_a, ratio, 1.0)
    followed = rng.uniform(end / 2, end, len(is_a))
    return np.minimum(times, followed), times <= followed, is_a


@pytest.mark.slow
@pytest.mark.parametrize("n", [19, 54])
def test_intervals_of_medians_hold_the_truth(science, n):
    draws = science.replicates(full=2000, quick=200)
    rng = np.random.default_rng(seed_of(7, "medians", str(n)))
    held = []
    for _ in range(draws):
        times, events, _ = trial_times(rng, (0, n), 1.0, 24)
        found = median_time(kaplan_meier(times, events), 0.95)
        held.append(not (found.low > 7 or found.high <= 7))
    value, known = share(held)
    low, high = science.limits(0.925, 0.985, known)
    what = f"share of Brookmeyer-Crowley log-log 95 % intervals of {n} patients that hold the median"
    science.row(f"clinical/coverage_median_{n}", what, value, low, high, known)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "ratio", "end"), [((36, 18), 0.6, 8), ((45, 45), 0.7, 5)])
def test_intervals_of_firth_ratios_hold_the_truth(science, sizes, ratio, end):
    """Arms as in the two gastric trials, 54 patients 2:1 and 90 patients 1:1, followed too briefly for many events."""
    draws = science.replicates(full=1000, quick=100)
    rng = np.random.default_rng(seed_of(7, "firth", *map(str, sizes)))
    held, events_seen = [], []
    for _ in range(draws):
        times, events, is_a = trial_times(rng, sizes, ratio, end)
        model = fit_firth(times, events, is_a.astype(float), 0.95)
        held.append(bool(model.low[0] <= np.log(ratio) <= model.high[0]))
        events_seen.append(events.sum())
    value, known = share(held)
    low, high = science.limits(0.93, 0.97, known)
    what = (
        f"share of Firth profile 95 % intervals of {sizes[0]} against {sizes[1]} patients with a median of "
        f"{np.median(events_seen):.0f} events that hold the hazard ratio"
    )
    science.row(f"clinical/coverage_firth_{sum(sizes)}", what, value, low, high, known)
