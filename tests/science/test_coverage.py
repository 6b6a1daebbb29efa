"""Whether intervals hold what was planted, and whether it is found."""

import numpy as np
import pandas as pd
import pytest
from science.simulated_layers import (
    CHANGE_SD,
    EXACT,
    LAYERS,
    SIZE,
    WITH_INTERVALS,
    compared,
    make_cohort,
    planted_effects,
)

from immune_landscape.estimates import invert_labels
from immune_landscape.permutation import permute_labels
from immune_landscape.seeds import seed_of


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_intervals_hold_what_was_planted(science, name):
    layer = LAYERS[name]
    cohorts = science.replicates(quick=layer.quick)
    rng, cohort = np.random.default_rng(seed_of(3, "coverage", name)), make_cohort()
    truth = planted_effects(layer, rng)
    tables = [
        compared(layer, layer.simulate(rng, cohort, layer.planted), cohort, WITH_INTERVALS) for _ in range(cohorts)
    ]
    found = pd.concat(tables, ignore_index=True)
    found = found[found["p"].notna()]
    assert np.isfinite(found[["ci_low", "ci_high"]].to_numpy()).all()
    true = truth.loc[pd.MultiIndex.from_frame(found[["parent", "feature"]])].to_numpy()
    held = (found["ci_low"] <= true) & (true <= found["ci_high"])
    features = found[["parent", "feature"]].drop_duplicates()
    planted = (found[["parent", "feature"]] == features.iloc[0]).all(axis=1)
    d = np.abs(true / found["sd"])[planted].median()
    what = f"share of 95 % intervals that hold what was planted (d = {d:.1f}), {len(features)} features"
    limits = science.limits(0.92, 0.97, cohorts * layer.independent)
    science.row(f"coverage/{name}", what, held.mean(), *limits, cohorts)


@pytest.mark.slow
def test_interaction_of_two_sd_is_found(science):
    layer, cohorts = LAYERS["composition"], science.replicates(quick=60)
    rng, cohort = np.random.default_rng(seed_of(3, "power")), make_cohort()
    # On the centred log-ratio scale both the shift and the spread shrink with the other subsets.
    planted = 2.0 * CHANGE_SD / np.sqrt(1 - 1 / layer.independent)
    tables = [compared(layer, layer.simulate(rng, cohort, planted), cohort, EXACT) for _ in range(cohorts)]
    found = pd.concat(tables).query("feature == 's0'")
    family = (found["p_maxt"] <= EXACT.alpha).mean()
    what = f"planted d = 2 in one of {layer.independent} subsets found at {EXACT.alpha} (after max-T {family:.3f})"
    low, _ = science.limits(0.85, 1.0, cohorts)
    science.row("power/interaction_d2", what, (found["p"] <= EXACT.alpha).mean(), low, 1.0, cohorts)
    assert (found["effect"] > 0).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "low"), [(1.0, 0.92), (2.0, 0.90)])
def test_intervals_stand_unequal_spread(science, spread, low):
    """Responders as spread as the others, or twice: a difference that is not studentised errs there."""
    cohorts, truth = science.replicates(quick=100), 1.0
    rng = np.random.default_rng(seed_of(3, "spread", str(spread)))
    is_a = np.arange(sum(SIZE)) < SIZE[0]
    noise = rng.normal(0, np.where(is_a, spread, 1.0), (cohorts, len(is_a))).T
    intervals = invert_labels(noise + truth * is_a[:, None], is_a, 0)
    inside = np.array([interval.low <= truth <= interval.high for interval in intervals])
    rejected = permute_labels(noise, is_a, 0).p <= 0.05
    raw = (permute_labels(noise, is_a, 0, studentise=False).p <= 0.05).mean()
    what = f"95 % intervals, responders {spread:g} times as spread (a raw difference errs in {raw:.3f})"
    science.row(f"coverage/spread_{spread:g}", what, inside.mean(), *science.limits(low, 0.97, cohorts), cohorts)
    assert (inside == rejected).mean() < 0.005, "the interval and the test disagree"
    if spread > 1 and science.full:
        assert raw > rejected.mean()
