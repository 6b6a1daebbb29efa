"""Sets of genes that vary together, tested by permuted patients: how often nothing is called something."""

import numpy as np
import pandas as pd
import pytest
from science.rows import share
from science.simulated_expression import GENES, SETTINGS, simulate_expression
from science.simulated_layers import CONTRAST, EXACT, make_cohort
from scipy import stats

from immune_landscape.compare_expression import compare_expression
from immune_landscape.pseudobulk import Pseudobulk
from immune_landscape.seeds import seed_of
from immune_landscape.set_effects import chosen_sets

SLUGS = ("proinflammatory_nk_tang_noanchor", "cytotoxicity_tang", "dysfunction_nk")
"""Sets without a common gene; in the simulation they are the first genes."""

TESTING = EXACT._replace(null_draws=199, intervals=True)
LEVEL = 0.05


def compared_sets(rng, cohort, planted):
    """Return the sets of a cohort, and the p that permuted genes would give them.

    The genes of the first two sets follow the state of a sample together.
    """
    sums = simulate_expression(rng, cohort, 0.0)
    genes = [gene for signature in chosen_sets(SLUGS) for gene in signature.genes]
    names = pd.Index([*genes, *(f"g{at:03d}" for at in range(len(genes), GENES))])
    counts, coupled = np.array(sums.counts), len(genes) - len(chosen_sets(SLUGS)[-1].genes)
    state = rng.normal(0, 0.5, (len(counts), 1)) + planted * (cohort.responder & cohort.after)[:, None]
    counts[:, :coupled] = rng.poisson(counts[:, :coupled] * np.exp(state))
    sums = Pseudobulk(sums.profiles.assign(subset="nk_cd56dim"), names, counts)
    settings = SETTINGS | {"gene_sets": list(SLUGS), "top": 1}
    tables = compare_expression(sums, cohort.design, [CONTRAST], TESTING, int(rng.integers(2**31)), **settings)
    t = tables["genes"].set_index("gene")["t"]
    ranked = [stats.mannwhitneyu(*split(t, signature.genes)).pvalue for signature in chosen_sets(SLUGS)]
    return tables["gene_sets"].set_index("signature").loc[list(SLUGS)], np.array(ranked)


def split(t, genes):
    inside = t.index.isin(genes)
    return t[inside], t[~inside]


def rates(name, cohorts, planted=0.0):
    """Return (cohorts, sets) p values of permuted patients and of permuted genes."""
    rng, cohort = np.random.default_rng(seed_of(5, name, "gene_sets")), make_cohort()
    found = [compared_sets(rng, cohort, planted) for _ in range(cohorts)]
    return np.array([table["p"] for table, _ in found], dtype=float), np.array([ranked for _, ranked in found])


@pytest.mark.slow
def test_null_cohorts_keep_the_error_rate_of_sets(science):
    cohorts = science.replicates(quick=60)
    patients, genes = rates("null", cohorts)
    value, trials = share(patients <= LEVEL)
    # Two of the three sets share the state of a sample, so that cohorts count and not sets.
    limits = science.limits(0.03, 0.07, 2 * cohorts)
    what = f"share of p <= {LEVEL} without an interaction, mean moderated t of sets that vary together"
    science.row("type1/gene_sets", what, value, *limits, cohorts)
    assert trials == cohorts * len(SLUGS)
    wrong = float((genes[:, :2] <= LEVEL).mean())
    what = "share of p <= 0.05 of the same sets by permuted genes, which the workflow does not use"
    science.row("gene_permutation/gene_sets", what, wrong, 0.15, None, cohorts)


@pytest.mark.slow
def test_a_planted_programme_is_found(science):
    cohorts = science.replicates(full=200, quick=30)
    patients, _ = rates("planted", cohorts, planted=1.5)
    found = float((patients[:, :2] <= LEVEL).mean())
    what = "share found of sets that rise by 1.5 (log) in responders, 2 of 3 sets"
    science.row("power/gene_sets", what, found, 0.85, None, cohorts)
    high = science.limits(0.03, 0.09, cohorts)[1]
    assert np.mean(patients[:, 2] <= LEVEL) <= high
