"""Responders sequenced four times as deep as others, in bulk and in single cells: what raw numbers find, ours do not.

Repertoires of patients differ in how clonal they are. Responders differ from the others in depth alone, but where
clones are planted in them.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from science.simulated_layers import EXACT, make_cohort, settings_of

from immune_landscape.compare_values import compare_values
from immune_landscape.measure_expansion import measure_expansion
from immune_landscape.measure_repertoires import measure_repertoires, standardise
from immune_landscape.repertoire_metrics import METRICS, compared_values, diversity
from immune_landscape.seeds import seed_of

CONTRAST = {"name": "responders", "estimand": "baseline", "reference": "before"}
DEEPER = 4
CLONES = 6_000
TEMPLATES = (2_500, 4_000)
CELLS = (120, 300)
PLANTED = 12
"""Clones grown in responders."""
BULK = ("clonality", "gini_simpson", "hill_0", "hill_1", "gini", "d50", "homeo_hyperexpanded")
CELL = ("expanded_share", "clonality", "gini_simpson", "hill_0")


def sample_cohort(depths):
    """Return a cohort of one visit and the size of each of its samples, responders' four times as large."""
    cohort = make_cohort()
    at = np.flatnonzero(~cohort.after)
    design = cohort.design.iloc[at].reset_index(drop=True)
    responder = cohort.responder[at]
    return design, responder, lambda rng: rng.integers(*depths, len(at)) * np.where(responder, DEEPER, 1)


def draw_repertoires(rng, responder, sizes, clones, planted):
    """Draw counts of each patient; in responders each of some clones holds `planted` times what the others leave it."""
    for is_responder, size in zip(responder, sizes, strict=True):
        share = (np.arange(clones) + 3.0) ** -rng.normal(0.9, 0.1) * np.exp(rng.normal(0, 0.3, clones))
        share /= share.sum()
        if is_responder and planted:
            grown = rng.choice(np.arange(50, clones // 2), PLANTED, replace=False)
            share[grown] += planted * rng.lognormal(0, 0.3, PLANTED)
            share /= share.sum()
        counts = rng.multinomial(size, share)
        yield counts[counts > 0]


def bulk_values(rng, planted, equal, draws=20):
    """Return what bulk repertoires compare, and the same from repertoires as they come."""
    design, responder, sizes = sample_cohort(TEMPLATES)
    counts = draw_repertoires(rng, responder, sizes(rng), CLONES, planted)
    chosen = settings_of("measure_repertoires", min_templates=2_000, draws=draws, equal=equal, compared_metrics=BULK)
    metrics, _, values = measure_repertoires(zip(design["sample"], counts, strict=True), design, 0, **chosen)
    return design, values, compared_values(metrics[~metrics["standardised"]], ["all"], BULK)


def cell_values(rng, planted, draws=20):
    """Return what single cells compare, and the same from all receptor cells."""
    design, responder, sizes = sample_cohort(CELLS)
    counts = list(draw_repertoires(rng, responder, sizes(rng), 1_500, planted))
    clone = np.concatenate([np.repeat(np.arange(len(each)), each) for each in counts])
    sample = np.repeat(design["sample"].to_numpy(), [each.sum() for each in counts])
    table = pd.DataFrame({"sample": sample, "clonotype": clone, "has_receptor": True})
    chosen = settings_of("measure_expansion", draws=draws, compared_metrics=CELL)
    metrics, _, values = measure_expansion(table, None, design, 0, **chosen)
    return design, values, compared_values(metrics[~metrics["standardised"]], ["all"], CELL)


def errors_of(make, cohorts, rng, planted=0.0):
    """Return the effects and the p values of many cohorts, of equal depth and raw, by feature."""
    found = {"equal": [], "raw": []}
    for _ in range(cohorts):
        design, *tables = make(rng, planted)
        for name, table in zip(found, tables, strict=True):
            rows = compare_values(table, design, [CONTRAST], "repertoires", EXACT, 0)["contrasts"]
            found[name].append(rows[["feature", "effect", "p"]])
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


LAYERS = {
    "": (partial(bulk_values, equal="depth"), BULK),
    "/coverage": (partial(bulk_values, equal="coverage"), BULK),
    "/cells": (cell_values, CELL),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS, ids=["depth", "coverage", "cells"])
def test_depth_that_goes_with_response_is_not_found(science, name):
    make, features = LAYERS[name]
    cohorts = science.replicates(full=500, quick=200 if not name else 40)
    found = errors_of(make, cohorts, np.random.default_rng(seed_of(11, "confounded", name)))
    wrong = {kind: (rows["p"] <= EXACT.alpha).groupby(rows["feature"]).mean() for kind, rows in found.items()}
    assert set(wrong["equal"].index) == set(features)
    assert found["equal"]["p"].notna().all()
    what = f"share of p <= {EXACT.alpha}, responders {DEEPER} times as deep, {len(features)} features (raw richness: "
    what += f"{wrong['raw']['hill_0']:.2f}; worst feature {wrong['equal'].idxmax()} {wrong['equal'].max():.3f})"
    limits = science.limits(0.03, 0.07, cohorts)
    science.row(f"type1/depth_confounded{name}", what, wrong["equal"].mean(), *limits, cohorts)
    assert wrong["raw"]["hill_0"] > 0.5


POWER = {"": (LAYERS[""][0], "homeo_hyperexpanded", 0.025), "/cells": (cell_values, "expanded_share", 0.03)}


@pytest.mark.slow
@pytest.mark.parametrize("name", POWER, ids=["bulk", "cells"])
def test_clones_grown_in_responders_are_found_though_these_are_deeper(science, name):
    make, feature, planted = POWER[name]
    cohorts = science.replicates(full=200, quick=30)
    found = errors_of(make, cohorts, np.random.default_rng(seed_of(11, "grown", name)), planted)["equal"]
    rows = found[found["feature"] == feature]
    power = ((rows["p"] <= EXACT.alpha) & (rows["effect"] > 0)).mean()
    what = f"share of cohorts in which {PLANTED} clones grown in responders are found by {feature} at one depth"
    science.row(f"power/depth_confounded{name}", what, power, science.limits(0.8, 1, cohorts)[0], 1, cohorts)


COVERED = ("clonality", "shannon", "gini_simpson", "gini", "hill_0", "hill_1", "hill_2", "d50", "top_clone_share")


@pytest.mark.slow
def test_intervals_of_a_sample_hold_what_its_blood_gives_at_that_depth(science):
    """Samples of the common depth, a tenth deeper, three and ten times as deep; the worst of all metrics counts."""
    samples, depth, clones = science.replicates(full=1000, quick=100), 3_000, 20_000
    rng = np.random.default_rng(seed_of(11, "intervals"))
    share = (np.arange(clones) + 3.0) ** -1.05
    share /= share.sum()
    at = [METRICS.index(name) for name in COVERED]
    fresh = [list(diversity(rng.multinomial(depth, share)).values()) for _ in range(4_000)]
    truth, held = np.mean(fresh, axis=0)[at], {}
    for times in (1.0, 1.1, 3.0, 10.0):
        inside = []
        for _ in range(samples):
            counts = rng.multinomial(int(depth * times), share)
            _, low, high = standardise(np.sort(counts[counts > 0])[::-1], depth, 100, rng)
            inside.append((low[at] <= truth) & (truth <= high[at]))
        held[times] = np.mean(inside, axis=0)
    shares = pd.DataFrame(held, index=list(COVERED))
    print(f"coverage by depth over the common one:\n{shares.round(3)}")
    what = f"share of 95 % intervals that hold the mean of fresh samples, {len(COVERED)} metrics, worst of four depths"
    limits = science.limits(0.92, 0.99, samples)
    science.row("repertoire/interval_coverage", what, shares.min().min(), limits[0], limits[1], samples)
    assert shares.mean().between(*limits).all()
