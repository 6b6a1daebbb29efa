"""Clones and phenotypes of cohorts of which it is known which subset holds the expanded clones, and what they are."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from linked_clones import make_tables
from science.rows import share
from science.simulated_layers import EXACT, make_cohort, settings_of

from immune_landscape.clone_cells import label_carriers
from immune_landscape.clone_programmes import CONTROL, score_sides
from immune_landscape.clone_subsets import SubsetRule, compared_subsets, measure_subsets
from immune_landscape.compare_values import compare_values
from immune_landscape.measure_transitions import measure_transitions
from immune_landscape.programme_effects import compare_programmes, patient_differences
from immune_landscape.seeds import seed_of
from immune_landscape.set_scores import expression_bins

SUBSETS = {"cd8_teff": 0.25, "cd8_tem": 0.2, "cd4_tem": 0.25, "cd4_tn": 0.3}
"""Subset and its share of the T cells."""

CLONES = 400
CONTRAST = {"name": "r", "estimand": "response_by_visit", "reference": "before", "target": "after"}
FEATURES = ("expanded_share_within", "expanded_share_at_depth")


def draw_clones(rng, cohort, *, planted=1.0, swollen=1.0, cells=400, steepness=0.55):
    """Return cells of a cohort whose patients' clones drift, each in its own way.

    In responders after treatment the ten largest effector clones are ``planted`` times as large, and effector cells are
    ``swollen`` times as many. Responders' later samples are twice as deep.
    """
    level = {name: (np.arange(CLONES) + 3.0) ** -steepness for name in SUBSETS}
    parts = []
    own = {(patient, name): np.exp(rng.normal(0, 0.5, CLONES)) for patient in set(cohort.patient) for name in SUBSETS}
    for sample, patient, depth, treated in zip(
        cohort.sample, cohort.patient, cohort.depth, cohort.responder & cohort.after, strict=True
    ):
        sizes = np.array(list(SUBSETS.values())) * np.where(np.array(list(SUBSETS)) == "cd8_teff", swollen**treated, 1)
        numbers = rng.multinomial(int(cells * depth), sizes / sizes.sum())
        for (name, frequency), number in zip(level.items(), numbers, strict=True):
            weight = frequency * own[patient, name] * np.exp(rng.normal(0, 0.2, CLONES))
            if name == "cd8_teff" and treated:
                weight[:10] *= planted
            clones = rng.choice(CLONES, number, p=weight / weight.sum())
            names = [f"{patient}-{name}{clone}" for clone in clones]
            parts.append(pd.DataFrame({"sample": sample, "clonotype": names, "subset": name}))
    return make_tables(pd.concat(parts), cohort.design)


def p_values(tables):
    carriers = label_carriers(*(tables[name] for name in ("clonotypes", "cells", "receptors", "design")))
    rule = SubsetRule(2, 50, 20)
    subsets = measure_subsets(carriers, tables["cells"], tables["design"], rule)
    values = compared_subsets(subsets, tables["design"], FEATURES, 0.3)
    raw = subsets.assign(parent=subsets["subset"], feature="raw", value=subsets["expanded_share"])
    both = pd.concat([values, raw.assign(low=np.nan, high=np.nan, unit="fraction", note="")])[values.columns]
    found = compare_values(both, tables["design"], [CONTRAST], "expansion", EXACT, 0)["contrasts"]
    return found.pivot_table(index="parent", columns="feature", values="p")


@pytest.mark.slow
def test_planted_expansion_is_found_in_its_subset_and_no_other(science):
    cohorts, cohort = science.replicates(full=100, quick=10), make_cohort()
    rng = np.random.default_rng(seed_of(11, "planted_subset"))
    found = [p_values(draw_clones(rng, cohort, planted=8.0))["expanded_share_within"] for _ in range(cohorts)]
    table = pd.DataFrame(found) <= EXACT.alpha
    what = "share of cohorts in which eightfold clones are found in the subset that has them"
    science.row("repertoire/clone_phenotype_power", what, table["cd8_teff"].mean(), 0.8, 1, cohorts)
    others = table.drop(columns="cd8_teff").to_numpy().ravel()
    what = "share of p <= 0.05 in the three subsets that have none"
    limits = science.limits(0, 0.07, 3 * cohorts)
    science.row("repertoire/clone_phenotype_others", what, others.mean(), *limits, cohorts)


@pytest.mark.slow
def test_a_subset_that_only_grows_is_not_told_as_expanded(science):
    """Twice as many effector cells, of unchanged clones, in twice as deep samples."""
    cohorts, cohort = science.replicates(full=200, quick=12), make_cohort()
    rng = np.random.default_rng(seed_of(11, "swollen_subset"))
    found = pd.concat([p_values(draw_clones(rng, cohort, swollen=2.0)) for _ in range(cohorts)])
    error = (found <= EXACT.alpha).groupby(level="parent").mean()
    what = (
        "share of p <= 0.05 of the expanded share within subsets, depth and size tied to response "
        f"(effector cells; counted in the sample at one depth {error.loc['cd8_teff', 'expanded_share_at_depth']:.2f}, "
        f"as they come {error.loc['cd8_teff', 'raw']:.2f})"
    )
    within = error["expanded_share_within"].mean()
    limits = science.limits(0.03, 0.07, len(SUBSETS) * cohorts)
    science.row("type1/clone_subsets", what, within, *limits, cohorts)
    assert error.loc["cd8_teff", "raw"] > 0.3


GENES = 600
REGISTRY = pd.DataFrame(
    [
        (f"set{number}", "t", "scored", ",".join(f"g{gene}" for gene in range(8 * number, 8 * number + 8)), "")
        for number in range(4)
    ],
    columns=["signature", "branch", "status", "found_genes", "negative_genes"],
)


def express(rng, tables, raised):
    """Return counts of cells of unequal depth whose subsets differ; clones are families of cells that are alike."""
    cells = tables["clonotypes"]
    codes = pd.factorize(cells["clonotype"])[0]
    subsets = pd.factorize(tables["cells"]["subset"])[0]
    level = rng.uniform(0, 1.2, GENES) + rng.normal(0, 0.3, (len(SUBSETS), GENES))[subsets]
    level = level + rng.normal(0, 0.3, (codes.max() + 1, GENES))[codes]
    size = cells.groupby(["sample", "clonotype"])["sample"].transform("size").to_numpy()
    level[size > 1, :8] += raised
    depth = np.exp(rng.normal(0, 0.3, len(cells)))
    data = sp.csr_matrix(rng.poisson(np.exp(level) * depth[:, None]).astype(np.float32))
    names = [f"g{number}" for number in range(GENES)]
    return ad.AnnData(data, obs=pd.DataFrame(index=cells.index), var=pd.DataFrame(index=names))


def programmes_of(tables, counts, clonotypes):
    carriers = label_carriers(clonotypes, *(tables[name] for name in ("cells", "receptors", "design")))
    bins = expression_bins(np.asarray(counts.X.mean(axis=0)).ravel(), 10)
    chosen = settings_of("link_clones")
    names = ("expanded_from", "min_profile_cells")
    sides = score_sides(carriers, counts, bins, REGISTRY, **{name: chosen[name] for name in names})
    found = compare_programmes(patient_differences(sides), EXACT, 0)
    return found[found["signature"] != CONTROL]


def shuffled(rng, clonotypes, subsets):
    """Exchange clones among the cells of a subset of a sample: clones keep their sizes, and tell nothing."""
    order = clonotypes.groupby([clonotypes["sample"], subsets])["clonotype"]
    return clonotypes.assign(clonotype=order.transform(rng.permutation))


@pytest.mark.slow
def test_programmes_of_shuffled_clones_keep_the_error_rate(science):
    cohorts, cohort = science.replicates(full=250, quick=15), make_cohort((4, 6))
    rng = np.random.default_rng(seed_of(11, "null_programmes"))
    tables = draw_clones(rng, cohort, cells=250, steepness=1.1)
    parts = []
    for _ in range(cohorts):
        counts = express(rng, tables, 0.0)
        parts.append(programmes_of(tables, counts, shuffled(rng, tables["clonotypes"], tables["cells"]["subset"])))
    table = pd.concat(parts)
    error, tests = share((table["p"] <= EXACT.alpha).where(table["p"].notna()))
    assert tests >= 4 * cohorts
    what = f"share of p <= {EXACT.alpha} of expanded against singleton cells, clones shuffled, {tests} tests"
    # Signatures of one subset share their cells, not their genes.
    limits = science.limits(0.03, 0.07, 4 * cohorts)
    science.row("type1/clone_programmes", what, error, *limits, cohorts)


@pytest.mark.slow
def test_a_planted_programme_is_found_and_no_other(science):
    cohorts, cohort = science.replicates(full=60, quick=8), make_cohort((4, 6))
    rng = np.random.default_rng(seed_of(11, "planted_programme"))
    power, false = [], []
    for _ in range(cohorts):
        tables = draw_clones(rng, cohort, cells=250, steepness=1.1)
        found = programmes_of(tables, express(rng, tables, 0.25), tables["clonotypes"])
        called = found["fdr"] <= EXACT.alpha
        planted = found["signature"] == "set0"
        power.append(called[planted].mean())
        false.append((called & ~planted).sum() / max(1, called.sum()))
    what = "share of subsets in which a programme raised by 0.25 in expanded cells is found at FDR 5 %"
    science.row("repertoire/clone_phenotype_programme", what, np.mean(power), 0.8, 1, cohorts)
    what = "false discovery rate beside it"
    science.row("repertoire/clone_phenotype_fdr", what, np.mean(false), *science.limits(0, 0.07, cohorts), cohorts)


@pytest.mark.slow
def test_transition_over_chance_stays_where_depth_and_subset_sizes_change(science):
    """One patient sequenced at four depths: a third of the effector clones' cells are memory cells."""
    rng = np.random.default_rng(seed_of(11, "transition_drift"))
    weight = (np.arange(300) + 3.0) ** -0.9
    parts = []
    for number, cells in enumerate((300, 600, 1200, 2400)):
        clones = rng.choice(300, cells, p=weight / weight.sum())
        subset = np.where(rng.random(cells) < 1 / 3, "cd8_tem", "cd8_teff")
        names = [f"p{number}-{clone}" for clone in clones]
        parts.append(pd.DataFrame({"sample": f"p{number}_v1", "clonotype": names, "subset": subset}))
        naive = [f"p{number}-n{clone}" for clone in rng.choice(300, cells // 2)]
        parts.append(pd.DataFrame({"sample": f"p{number}_v1", "clonotype": naive, "subset": "cd4_tn"}))
    found = measure_transitions(make_tables(pd.concat(parts)), 0, **settings_of("measure_transitions"))["indices"]
    rows = found[(found["measure"] == "transition") & (found["first"] == "cd8_teff") & (found["second"] == "cd8_tem")]
    own = rows[rows["sample"] == ""]
    raw, drawn = (own[own["standardised"] == which]["value"].to_numpy() for which in (False, True))
    moved = [np.ptp(values) / np.mean(values) for values in (drawn, raw)]
    what = f"transition at one depth: range over depths of 300 to 2,400 cells over mean (as counted: {moved[1]:.2f})"
    science.row("repertoire/clone_phenotype_transition_drift", what, moved[0], 0, 0.2, len(drawn))
    assert moved[1] > 2 * moved[0]
