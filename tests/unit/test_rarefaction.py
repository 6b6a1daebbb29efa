import numpy as np
import pytest
from scipy import stats

from immune_landscape.rarefaction import chance_seen, expected_overlap

A = np.array([40, 12, 6, 3, 1, 1, 1, 1, 0, 0])
B = np.array([2, 20, 0, 3, 5, 1, 0, 0, 30, 9])


def overlap_of(a, b, depth):
    shared = np.flatnonzero((a > 0) & (b > 0))
    place_a, place_b = (np.searchsorted(np.flatnonzero(each), shared) for each in (a, b))
    return expected_overlap(a[a > 0], b[b > 0], place_a, place_b, depth)


def test_chance_seen_is_hypergeometric():
    counts = A[A > 0]
    found = chance_seen(counts, 20)
    assert found == pytest.approx(1 - stats.hypergeom(counts.sum(), counts, 20).pmf(0))
    assert chance_seen(counts, int(counts.sum())) == pytest.approx(np.ones(len(counts)))


def test_at_full_depth_the_indices_are_their_definitions():
    a, b = A, B * 0 + np.array([2, 20, 0, 3, 5, 1, 0, 0, 25, 9])
    assert a.sum() == b.sum()
    found = overlap_of(a, b, int(a.sum()))
    both = ((a > 0) & (b > 0)).sum()
    assert found["shared"] == pytest.approx(both)
    assert found["jaccard"] == pytest.approx(both / ((a > 0) | (b > 0)).sum())
    assert found["overlap_coefficient"] == pytest.approx(both / min((a > 0).sum(), (b > 0).sum()))
    x, y = a.sum(), b.sum()
    published = 2 * (a * b).sum() / (((a**2).sum() / x**2 + (b**2).sum() / y**2) * x * y)
    assert found["morisita_horn"] == pytest.approx(published)


def test_expectations_are_those_of_draws():
    rng, depth = np.random.default_rng(0), 30
    drawn = [rng.multivariate_hypergeometric(each, depth, 4000) for each in (A, B)]
    both = ((drawn[0] > 0) & (drawn[1] > 0)).sum(axis=1)
    either = ((drawn[0] > 0) | (drawn[1] > 0)).sum(axis=1)
    found = overlap_of(A, B, depth)
    assert found["shared"] == pytest.approx(both.mean(), rel=0.02)
    assert found["jaccard"] == pytest.approx((both / either).mean(), rel=0.03)
    squares = (drawn[0] ** 2).sum(axis=1) + (drawn[1] ** 2).sum(axis=1)
    horn = 2 * (drawn[0] * drawn[1]).sum(axis=1) / squares
    assert found["morisita_horn"] == pytest.approx(horn.mean(), rel=0.03)


def test_equal_repertoires_and_disjoint_ones():
    assert overlap_of(A, A, int(A.sum()))["morisita_horn"] == pytest.approx(1)
    apart = overlap_of(np.array([5, 3, 0]), np.array([0, 0, 8]), 8)
    assert apart == {"shared": 0, "jaccard": 0, "overlap_coefficient": 0, "morisita_horn": 0}
