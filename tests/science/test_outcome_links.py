"""Links of immune features to outcome: values of R, error rates, coverage, power, and guarantee time in numbers."""

import numpy as np
import pandas as pd
import pytest
from science.rows import share
from science.simulated_layers import settings_of
from science.test_clinical import data, golden

from immune_landscape.hazards import fit_cox, fit_firth, proportionality
from immune_landscape.link_outcomes import link_outcomes
from immune_landscape.seeds import seed_of

FEATURES = 3
DAYS = (0, 42, 84, 126, 168)
"""Days of the samples; a patient has those before the event or the end of follow-up."""

VISITS = ["baseline", "week_6", "week_12", "week_18", "week_24"]
STUDY = {
    "visits": VISITS,
    "tissues": ["blood"],
    "contrasts": [],
    "time_unit": "months",
    "randomisation": {},
    "floors": settings_of("compare_composition"),
}
MEDIAN = 6.0
"""Median time to the event in months."""

GROWTH = 0.8
"""Rise of every feature from visit to visit in every patient, in standard deviations between patients."""


def simulate(rng, n, log_ratio=0.0, visits=2):
    """Draw patients, and what was measured of them while they were followed; the first feature bears on the hazard.

    Features differ between patients, rise with every visit in all alike, and have noise of their own.
    """
    own = rng.normal(0, 1, (n, FEATURES))
    times = rng.exponential(MEDIAN / np.log(2), n) * np.exp(-log_ratio * own[:, 0])
    followed = rng.uniform(6, 24, n)
    outcomes = pd.DataFrame({"patient": [f"p{at:02d}" for at in range(n)]})
    outcomes["pfs_time"], outcomes["pfs_event"] = np.minimum(times, followed), (times <= followed).astype(int)
    design, values = [], []
    for at, name in enumerate(outcomes["patient"]):
        for place in range(visits):
            day = DAYS[place] + (rng.integers(-3, 4) if place else -2)
            if day / 30.4375 >= outcomes["pfs_time"].iloc[at]:
                break
            sample = f"{name}_{VISITS[place]}"
            design.append((sample, name, VISITS[place], "blood", day))
            noise = rng.normal(0, 0.5, FEATURES) if place else np.zeros(FEATURES)
            measured = own[at] + GROWTH * place + noise
            values += [(sample, "", f"m{k}", measured[k], "") for k in range(FEATURES)]
    table = pd.DataFrame(values, columns=["sample", "parent", "feature", "value", "unit"])
    return table, pd.DataFrame(design, columns=["sample", "patient", "visit", "tissue", "day"]), outcomes


def linked(simulated, feature="", **changes):
    table, design, outcomes = simulated
    changes |= {"markers": [{"layer": "measures", "feature": feature, "cut": None}]}
    chosen = settings_of("link_outcomes", draws=199, **changes)
    links = link_outcomes({"measures": table}, design, outcomes, STUDY, 0, **chosen)["links"]
    return links[links["marker"] == "per_sd"]


def last_values(simulated):
    """Return times, events and each patient's last value after the start, as if it had been known at the start."""
    table, design, outcomes = simulated
    known = design[design["visit"] != VISITS[0]].merge(table[table["feature"] == "m1"], on="sample")
    last = known.sort_values("day").drop_duplicates("patient", keep="last").set_index("patient")["value"]
    own = outcomes[outcomes["patient"].isin(last.index)]
    return own["pfs_time"].to_numpy(), own["pfs_event"].to_numpy() == 1, last[own["patient"]].to_numpy()


def test_time_dependent_models_are_those_of_r(science):
    """Stanford's heart transplants, as R's survival package has them; its manual and lifelines' print the same."""
    heart, differences = data("heart"), []
    starts, times, events = (heart[name].to_numpy() for name in ("start", "time", "event"))
    for what, columns, strata in (
        ("cox_age_year_surgery_transplant", ["age", "year", "surgery", "transplant"], None),
        ("cox_transplant", ["transplant"], None),
        ("cox_transplant_strata_surgery", ["transplant"], heart["surgery"].to_numpy()),
    ):
        expected = golden("heart", what)
        model = fit_cox(times, events, heart[columns].to_numpy(dtype=float), 0.95, strata, starts)
        for at, name in enumerate(columns):
            differences.append(abs(model.coefficients[at] - expected[f"coef.{name}"]) / expected[f"se.{name}"])
            differences.append(abs(model.errors[at] / expected[f"se.{name}"] - 1))
        if len(columns) == 1:
            p = proportionality(times, events, heart["transplant"].to_numpy(), strata, starts)
            differences.append(abs(p - golden("heart", f"{what}_zph")["p"]))
        else:
            assert [round(value, 2) for value in model.coefficients] == [0.03, -0.15, -0.64, -0.01]
    penalised = fit_firth(times, events, heart["transplant"].to_numpy(), 0.95, starts=starts)
    expected = golden("heart", "firth_transplant")
    found = {"coef": penalised.coefficients, "low": penalised.low, "high": penalised.high, "p": penalised.p}
    differences += [abs(float(found[key][0]) - expected[key]) for key in expected]
    what = "largest difference from R coxph, cox.zph and penalised coxph of start-stop rows, in errors or p"
    science.row("clinical/time_dependent_reference", what, max(differences), 0, 1e-5, len(differences))


@pytest.mark.slow
@pytest.mark.parametrize("n", [19, 36, 60])
def test_links_err_as_often_as_they_say(science, n):
    cohorts = science.replicates(full=300, quick=10)
    rng = np.random.default_rng(seed_of(9, "null links", str(n)))
    rows = [
        linked(simulate(rng, n), on_treatment=["landmark", "time_dependent"], visits=VISITS[:2]) for _ in range(cohorts)
    ]
    found = pd.concat(rows)
    limits = science.limits(0.03, 0.07, cohorts * FEATURES)
    for analysis, column, told in (
        ("baseline", "p_permutation", "exchanged values before treatment"),
        ("landmark", "p_permutation", "exchanged changes from a landmark on"),
        ("baseline", "p", "the Cox model of values before treatment"),
        ("landmark", "p", "the Cox model of changes from a landmark on"),
        ("time_dependent", "p", "the time-dependent Cox model"),
    ):
        p = found.loc[found["analysis"] == analysis, column].astype(float)
        value, known = share(p.dropna() <= 0.05)
        kind = "permuted" if column == "p_permutation" else "model"
        what = f"share of p <= 0.05 by {told}, {n} patients, no feature bears on the hazard"
        science.row(f"clinical/link_null_{analysis}_{kind}_{n}", what, value, *limits, known)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "ratio"), [(19, 1.5), (60, 1.5)])
def test_intervals_hold_the_hazard_ratio(science, n, ratio):
    cohorts = science.replicates(full=500, quick=40)
    rng = np.random.default_rng(seed_of(9, "coverage of links", str(n)))
    rows = [linked(simulate(rng, n, np.log(ratio), visits=1), "m0", visits=VISITS[:1]) for _ in range(cohorts)]
    found = pd.concat(rows)
    # The feature has a standard deviation of 1 in all patients there could be, and the table tells that of those seen.
    true = ratio ** found["sd"]
    held = (found["low"] <= true) & (true <= found["high"])
    what = f"share of 95 % intervals of {n} patients that hold a hazard ratio of {ratio} per standard deviation"
    low, high = science.limits(0.92, 0.975, len(found))
    science.row(f"clinical/link_coverage_{n}", what, held.mean(), low, high, len(found))


@pytest.mark.slow
def test_a_ratio_that_the_events_can_show_is_found(science):
    """Schoenfeld's formula gives 0.79 for 47 events, where those at risk stay as mixed as they began."""
    cohorts, n, ratio = science.replicates(full=500, quick=40), 60, 1.5
    rng = np.random.default_rng(seed_of(9, "power of links"))
    found = pd.concat(
        [linked(simulate(rng, n, np.log(ratio), visits=1), "m0", visits=VISITS[:1]) for _ in range(cohorts)]
    )
    power = (found["p_permutation"] <= 0.05).mean()
    events = found["events"].median()
    what = f"share of planted hazard ratios of {ratio} found in {n} patients with a median of {events:.0f} events"
    low, high = science.limits(0.65, 0.85, cohorts)
    science.row("clinical/link_power", what, power, low, high, cohorts)
    assert (found["hazard_ratio"] > 1).mean() > 0.95


@pytest.mark.slow
def test_guarantee_time_is_no_finding_from_a_landmark_on(science):
    """Features rise with time in everybody; who lives longer has later samples, and so a higher last value."""
    cohorts, n = science.replicates(full=500, quick=20), 40
    rng = np.random.default_rng(seed_of(9, "guarantee time"))
    naive, guarded, changing = [], [], []
    for _ in range(cohorts):
        simulated = simulate(rng, n, visits=len(VISITS))
        naive.append(fit_cox(*last_values(simulated), 0.95).p[0] <= 0.05)
        found = linked(
            simulated, "m1", on_treatment=["landmark", "time_dependent"], later_marker="value", visits=VISITS[:3]
        )
        found = found.set_index(["analysis", "visit"])
        guarded.append(found.loc[("landmark", VISITS[2]), "p_permutation"] <= 0.05)
        changing.append(found.loc[("time_dependent", ""), "p"] <= 0.05)
    what = "share of p <= 0.05 if each patient's last value were taken for one known at the start; it bears on nothing"
    science.row("clinical/guarantee_time_naive", what, np.mean(naive), 0.5, None, cohorts)
    limits = science.limits(0.03, 0.07, cohorts)
    what = "share of p <= 0.05 of the same cohorts from a landmark on"
    science.row("clinical/guarantee_time_landmark", what, np.mean(guarded), *limits, cohorts)
    what = "share of p <= 0.05 of the same cohorts by the time-dependent model"
    science.row("clinical/guarantee_time_changing", what, np.mean(changing), *limits, cohorts)
