"""How long the tests take: a family in no time, the contrasts of a cohort in minutes."""

import time

import numpy as np
import pytest
from science.simulated_expression import compared_expression, simulate_expression
from science.simulated_layers import EXACT, LAYERS, SIZE, compared, make_cohort

from immune_landscape.permutation import permute_labels

ALL = EXACT._replace(null_draws=1000, intervals=True)
"""Intervals, influence of each patient and 1,000 permuted cohorts."""


def seconds(work, repeats=3):
    """Return the shortest of some times, since other work on the machine only lengthens them."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_exact_enumeration_is_quick(science):
    values = np.random.default_rng(0).normal(size=(sum(SIZE), 50))
    is_a = np.arange(sum(SIZE)) < SIZE[0]
    taken = seconds(lambda: permute_labels(values, is_a, 0))
    what = "seconds for all 27,132 labelings of 50 features with max-T"
    science.row("timing/exact_27132x50", what, taken, None, 1.0, 27_132)


@pytest.mark.slow
def test_all_layers_of_a_cohort_are_compared_in_time(science):
    rng, cohort = np.random.default_rng(0), make_cohort()
    tables = {name: layer.simulate(rng, cohort, 0.5) for name, layer in LAYERS.items()}
    sums = simulate_expression(rng, cohort, 0.5)
    start = time.perf_counter()
    rows = sum(len(compared(LAYERS[name], table, cohort, ALL)) for name, table in tables.items())
    genes = len(compared_expression(sums, cohort, ALL)["genes"])
    taken = time.perf_counter() - start
    what = f"seconds for {rows} features of {len(LAYERS)} layers and {genes} genes, with 1,000 permuted cohorts"
    science.row("timing/all_layers", what, taken, None, 120.0, rows)
