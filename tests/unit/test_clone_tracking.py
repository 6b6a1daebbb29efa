import numpy as np
import pytest
from scipy import stats

from immune_landscape.clone_tracking import (
    EXACT_TO,
    SUMMARY_UNITS,
    ChangeTails,
    estimate_overdispersion,
    find_changes,
    summarise_changes,
)


def shape(share, rho):
    size = 1 / rho - 1
    return share * size, (1 - share) * size


def repertoires(rng, noise, depths=(20_000, 30_000), clones=8_000, folds=None):
    """Return counts of two samples of the same clones, whose frequency each sample multiplies by noise of its own."""
    frequency = (np.arange(clones) + 5.0) ** -0.9
    changed = frequency * (np.ones(clones) if folds is None else folds)
    levels = (each * np.exp(rng.normal(0, noise, clones)) for each in (frequency, changed))
    return [rng.multinomial(depth, level / level.sum()) for depth, level in zip(depths, levels, strict=True)]


def typical(before, after):
    rows = (before > 0) & (after > 0) & (before + after >= 10)
    return after[rows], (before + after)[rows], after.sum() / (before.sum() + after.sum())


def test_tails_are_binomial_without_overdispersion():
    later, total = np.array([0, 3, 9, 20, 20]), np.array([12, 12, 12, 20, 30])
    below, at, above = ChangeTails(0.3, 0.0).tails(later, total)
    expected = stats.binom(total, 0.3)
    assert below == pytest.approx(expected.cdf(later - 1))
    assert at == pytest.approx(expected.pmf(later))
    assert above == pytest.approx(expected.sf(later), abs=1e-12)


def test_tails_are_beta_binomial_with_it():
    later, total = np.array([0, 3, 9, 20, 240]), np.array([12, 12, 12, 20, 300])
    below, at, above = ChangeTails(0.6, 0.05).tails(later, total)
    expected = stats.betabinom(total, *shape(0.6, 0.05))
    assert below == pytest.approx(expected.cdf(later - 1), abs=1e-9)
    assert at == pytest.approx(expected.pmf(later))
    assert above == pytest.approx(expected.sf(later), abs=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.01, 0.1])
def test_tails_of_large_clones_are_nearly_exact(rho):
    total = 3 * EXACT_TO
    later = np.arange(0, total + 1, 60)
    below, at, above = ChangeTails(0.4, rho).tails(later, np.full(len(later), total))
    expected = stats.betabinom(total, *shape(0.4, rho)) if rho else stats.binom(total, 0.4)
    assert below + at == pytest.approx(expected.cdf(later), abs=0.004)
    assert below + at + above == pytest.approx(np.ones(len(later)))


def test_overdispersion_of_plain_sampling_is_near_zero_and_that_of_noise_is_recovered():
    rng = np.random.default_rng(1)
    plain = estimate_overdispersion(*typical(*repertoires(rng, 0.0)), 0.1)
    assert plain < 0.004
    rho = 0.03
    total = rng.integers(10, 600, 4_000)
    later = rng.binomial(total, rng.beta(*shape(0.6, rho), len(total)))
    seen = (later > 0) & (later < total)
    assert estimate_overdispersion(later[seen], total[seen], 0.6, 0.1) == pytest.approx(rho, rel=0.1)


def test_overdispersion_is_moved_little_by_clones_that_changed_and_ends_at_the_limit():
    rng = np.random.default_rng(2)
    folds = np.ones(8_000)
    folds[rng.choice(np.arange(100, 600), 20, replace=False)] = 8.0
    moved = estimate_overdispersion(*typical(*repertoires(rng, 0.2, folds=folds)), 0.1)
    assert moved < 2 * estimate_overdispersion(*typical(*repertoires(rng, 0.2)), 0.1)
    every = np.exp(rng.normal(0, 2, 8_000))
    assert estimate_overdispersion(*typical(*repertoires(rng, 0.2, folds=every)), 0.1) == 0.1


def test_changes_are_told_by_presence_and_by_test():
    before, after = np.array([40, 0, 9, 300, 1, 0, 20]), np.array([0, 60, 11, 30, 0, 1, 21])
    found = find_changes(before, after, ChangeTails(0.5, 0.0), min_count=10, alpha=0.05)
    assert found["presence"].tolist() == ["lost", "new", "persistent", "persistent", "lost", "new", "persistent"]
    expected = ["contracted", "expanded", "stable", "contracted", "untested", "untested", "stable"]
    assert found["change"].tolist() == expected
    tested = before + after >= 10
    both = [stats.binom.cdf, lambda k, n, p: stats.binom.sf(k - 1, n, p)]
    tails = np.min([tail(after, before + after, 0.5) for tail in both], axis=0)
    assert found.loc[tested, "p"].to_numpy() == pytest.approx(np.minimum(1, 2 * tails)[tested], rel=1e-6, abs=1e-15)
    assert found.loc[tested, "q"].to_numpy() == pytest.approx(stats.false_discovery_control(found.loc[tested, "p"]))
    assert found.loc[~tested, ["p", "q"]].isna().all(axis=None)


def test_the_same_change_is_none_where_clones_vary_by_as_much():
    before, after = np.array([100]), np.array([220])
    for rho, change in ((0.0, "expanded"), (0.1, "stable")):
        found = find_changes(before, after, ChangeTails(0.5, rho), min_count=10, alpha=0.05)
        assert found["change"].tolist() == [change]


def test_depth_is_allowed_for():
    found = find_changes(np.array([50]), np.array([150]), ChangeTails(0.75, 0.0), min_count=10, alpha=0.05)
    assert found["change"].tolist() == ["stable"]


def test_summary_counts_clones_and_sums_shares():
    before, after = np.array([40, 0, 9, 300, 1, 0]), np.array([0, 60, 11, 30, 0, 4])
    changes = find_changes(before, after, ChangeTails(0.25, 0.0), min_count=10, alpha=0.05)
    found = summarise_changes(before, after, changes)
    assert tuple(found) == tuple(SUMMARY_UNITS)
    assert found["share_new"] == pytest.approx(64 / 105)
    assert found["share_persistent"] == pytest.approx(41 / 105)
    assert found["share_lost"] == pytest.approx(41 / 350)
    assert found["share_expanded"] == pytest.approx(after[changes["change"] == "expanded"].sum() / 105)
    assert found["share_contracted"] == pytest.approx(before[changes["change"] == "contracted"].sum() / 350)
    assert (found["clones_new"], found["clones_lost"], found["clones_persistent"]) == (2, 2, 2)
    assert found["clones_tested"] == 4
    empty = summarise_changes(before * 0, after, changes)
    assert np.isnan([empty["share_lost"], empty["share_contracted"]]).all()
