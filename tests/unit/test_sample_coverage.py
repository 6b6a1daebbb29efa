import numpy as np
import pytest

from immune_landscape.sample_coverage import coverage_at, coverage_of, depth_for

UNEVEN = np.array([30, 12, 8, 5, 3, 2, 2] + [1] * 58)


def test_coverage_equals_the_published_formula():
    total, once, twice = UNEVEN.sum(), 58, 2
    expected = 1 - once / total * ((total - 1) * once / ((total - 1) * once + 2 * twice))
    assert coverage_of(UNEVEN) == pytest.approx(expected)
    assert coverage_of(np.append(UNEVEN, [0, 0])) == pytest.approx(expected)


def test_coverage_at_the_ends():
    assert np.isnan(coverage_of(np.zeros(3, dtype=int)))
    assert coverage_of(np.array([4, 3])) == 1
    assert coverage_of(np.array([1])) == 0
    # Nothing but singletons: the next template is almost surely of a new clonotype.
    assert coverage_of(np.ones(50, dtype=int)) == pytest.approx(1 / 1201.5)


def test_expected_coverage_is_that_of_random_draws():
    rng = np.random.default_rng(0)
    templates, total = np.repeat(np.arange(len(UNEVEN)), UNEVEN), UNEVEN.sum()
    depth, found = 40, []
    for _ in range(4000):
        drawn = rng.permutation(total)
        seen = set(templates[drawn[:depth]])
        # The next template of the sample stands for the next of the blood.
        found.append(templates[drawn[depth]] in seen)
    assert coverage_at(UNEVEN, depth) == pytest.approx(np.mean(found), abs=0.025)


def test_depth_for_a_coverage_is_the_smallest_that_reaches_it():
    wanted = coverage_at(UNEVEN, 70)
    depth = depth_for(UNEVEN, wanted)
    assert depth == 70
    assert coverage_at(UNEVEN, depth - 1) < wanted
    assert depth_for(UNEVEN, coverage_of(UNEVEN)) == UNEVEN.sum()
