import numpy as np
import pytest
from scipy import stats

from immune_landscape.shrinkage import normal_errors, shrink_effects


def made(widths, seed=0, error=0.3):
    rng = np.random.default_rng(seed)
    true = rng.normal(0, widths)
    effects = true + rng.normal(0, error, len(true))
    return true, effects, 2 * stats.norm.sf(np.abs(effects) / error)


def test_errors_are_those_with_which_a_normal_estimate_has_the_p():
    _, effects, p = made(np.ones(50))
    assert normal_errors(effects, p) == pytest.approx(np.full(50, 0.3))
    assert normal_errors(np.array([0.0]), np.array([1.0])) == pytest.approx([0.0])
    assert normal_errors(np.array([5.0]), np.array([0.0]))[0] > 0


def test_one_normal_prior_is_recovered():
    # With effects drawn from one normal of SD 1, the posterior mean is the effect times 1 / (1 + 0.3^2).
    _, effects, p = made(np.ones(5000))
    slope = (shrink_effects(effects, p) * effects).sum() / (effects**2).sum()
    assert slope == pytest.approx(1 / 1.09, rel=0.02)


def test_noise_is_shrunken_to_nearly_nothing():
    _, effects, p = made(np.zeros(5000))
    assert np.abs(shrink_effects(effects, p)).max() < 0.05


def test_few_large_effects_among_many_without_stay_large():
    widths = np.where(np.arange(4000) < 100, 3.0, 0.0)
    true, effects, p = made(widths)
    shrunken = shrink_effects(effects, p)
    large = np.abs(true) > 2
    assert (shrunken[large] / effects[large]).min() > 0.9
    assert ((shrunken - true) ** 2).mean() < 0.2 * ((effects - true) ** 2).mean()


def test_effects_are_never_enlarged_nor_turned():
    _, effects, p = made(np.where(np.arange(500) < 50, 2.0, 0.1), seed=3)
    shrunken = shrink_effects(effects, p)
    assert (np.abs(shrunken) <= np.abs(effects)).all()
    assert (np.sign(shrunken) * np.sign(effects) >= 0).all()


def test_nothing_but_zeros_stays_zero():
    assert shrink_effects(np.zeros(3), np.ones(3)).tolist() == [0, 0, 0]
