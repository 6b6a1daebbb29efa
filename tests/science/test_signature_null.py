"""The null of random gene sets: what its share means, and what it does not."""

import numpy as np
import pytest
from made_signatures import RESPONSE_BY_VISIT, all_tested, design_of, make_profiles
from scipy import stats

from immune_landscape.judge_signatures import judge_signatures

SIGNATURE = "effector_molecules"
LEVEL = 0.05


def shares(cohorts, seed, **planted):
    """Return the share of random sets beyond the first signature, one per cohort of 6 and 13 patients."""
    rng, design = np.random.default_rng(seed), design_of()
    found = []
    for number in range(cohorts):
        profiles, registry = make_profiles(rng, design, [SIGNATURE], **planted)
        tested = all_tested(RESPONSE_BY_VISIT, [SIGNATURE])
        table = judge_signatures(profiles, registry, tested, design, [RESPONSE_BY_VISIT], number, draws=199)
        found.append(table["null_p"].iloc[0])
    return np.array(found)


@pytest.mark.slow
def test_share_is_uniform_where_the_genes_are_like_any_others(science):
    cohorts = science.replicates()
    found = shares(cohorts, 20240601)
    uniform = stats.kstest(found, "uniform").pvalue
    science.row("random_sets/uniform", "p of uniform null shares without an effect (KS)", uniform, 1e-3, None, cohorts)
    low, high = science.limits(0.03, 0.07, cohorts)
    rate = float((found <= LEVEL).mean())
    science.row("random_sets/null", "share of signatures called special without an effect", rate, low, high, cohorts)


@pytest.mark.slow
def test_a_planted_programme_is_special(science):
    cohorts = science.replicates(full=200, quick=40)
    rate = float((shares(cohorts, 20240602, planted=0.15) <= LEVEL).mean())
    science.row("random_sets/planted", "share found special, 0.15 log fold in responders", rate, 0.85, None, cohorts)


@pytest.mark.slow
def test_genes_that_vary_together_are_called_special_too_often(science):
    """The reason why the share of random sets is no test of the effect, and is never the only one printed."""
    cohorts = science.replicates()
    rate = float((shares(cohorts, 20240603, shared=0.1) <= LEVEL).mean())
    what = "share called special without an effect, genes varying together"
    science.row("random_sets/correlated", what, rate, 0.1, None, cohorts)
