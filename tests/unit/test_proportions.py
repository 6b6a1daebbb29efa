import math

import pytest
from scipy.stats import binom

from immune_landscape.proportions import difference_p, exact_share, share_difference, upper_bound


def test_published_rates():
    """Numbers that follow from Tan 2025: 6 and 14 of 19, and none of 24."""
    orr, dcr, none = (exact_share(*counts, 0.95) for counts in ((6, 19), (14, 19), (0, 24)))
    assert [round(100 * part, 1) for part in orr] == [31.6, 12.6, 56.6]
    assert [round(100 * part, 1) for part in dcr] == [73.7, 48.8, 90.9]
    assert round(100 * none.high, 1) == 14.2
    # The rule of three says 3 / 24 one-sided.
    assert upper_bound(0, 24, 0.95) == pytest.approx(1 - 0.05 ** (1 / 24))


@pytest.mark.parametrize(("count", "total"), [(0, 5), (2, 9), (9, 9), (1, 24)])
def test_bounds_leave_the_stated_tail(count, total):
    found = exact_share(count, total, 0.9)
    if count:
        assert binom.sf(count - 1, total, found.low) == pytest.approx(0.05)
    if count < total:
        assert binom.cdf(count, total, found.high) == pytest.approx(0.05)
        assert binom.cdf(count, total, upper_bound(count, total, 0.9)) == pytest.approx(0.1)
    else:
        assert upper_bound(count, total, 0.9) == 1


@pytest.mark.parametrize(
    ("counts", "totals", "low", "high"),
    [((56, 48), (70, 80), 0.0524, 0.3339), ((9, 3), (10, 10), 0.1705, 0.8090), ((10, 0), (10, 20), 0.6791, 1.0)],
)
def test_differences_are_those_published_by_newcombe(counts, totals, low, high):
    found = share_difference(counts, totals, 0.95)
    assert found.estimate == pytest.approx(counts[0] / totals[0] - counts[1] / totals[1])
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


def test_no_patient_and_nobody_counted():
    assert all(math.isnan(part) for part in exact_share(0, 0, 0.95))
    assert math.isnan(upper_bound(0, 0, 0.95))
    assert all(math.isnan(part) for part in share_difference((0, 1), (0, 4), 0.95))
    assert math.isnan(difference_p((0, 1), (0, 4)))
    none = share_difference((0, 0), (10, 20), 0.95)
    assert none.low < 0
    assert none.high > 0
    assert difference_p((0, 0), (10, 20)) == 1


def test_fisher_p_of_the_lady_tasting_tea():
    assert difference_p((3, 1), (4, 4)) == pytest.approx(34 / 70)
