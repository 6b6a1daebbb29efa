import numpy as np
import pytest
from scipy import stats

from immune_landscape.repertoire_draws import draw_sizes
from immune_landscape.repertoire_metrics import METRICS, diversities, diversity

MIXED = np.array([400, 90, 35, 20, 20, 12, 5, 5, 4, 4, 3, 3, 3, 3, *[2] * 30, *[1] * 200])


def spectrum(sizes, clones, size):
    """Return the clonotypes of one size in each draw."""
    return np.where(sizes == size, clones, 0).sum(axis=1)


@pytest.mark.parametrize("counts", [MIXED, np.full(60, 3), np.ones(50, dtype=int), np.array([70, 30])], ids=str)
def test_every_draw_has_the_depth_and_no_more_than_there_is(counts):
    depth = int(counts.sum()) // 3
    sizes, clones = draw_sizes(counts, depth, 50, np.random.default_rng(0))
    assert ((sizes * clones).sum(axis=1) == depth).all()
    assert (clones >= 0).all()
    assert (clones.sum(axis=1) <= len(counts)).all()
    assert (np.where(clones > 0, sizes, 0).max(axis=1) <= counts.max()).all()
    for row, many in zip(sizes, clones, strict=True):
        assert (np.diff(row[many > 0]) >= 0).all()


def test_draws_together_are_distributed_as_draws_one_by_one():
    depth, draws = int(MIXED.sum()) // 2, 6000
    sizes, clones = draw_sizes(MIXED, depth, draws, np.random.default_rng(1))
    drawn = np.random.default_rng(2).multivariate_hypergeometric(MIXED, depth, draws)
    for size in (1, 2, 3, 4):
        ours, plain = spectrum(sizes, clones, size), (drawn == size).sum(axis=1)
        assert stats.ks_2samp(ours, plain).pvalue > 1e-3
        expected = stats.hypergeom(MIXED.sum(), MIXED, depth).pmf(size).sum()
        assert ours.mean() == pytest.approx(expected, abs=5 * plain.std() / np.sqrt(draws))
        assert ours.var() == pytest.approx(plain.var(), rel=0.12)
    # Clonotypes of different sizes are drawn at one another's cost.
    apart = [np.corrcoef(spectrum(sizes, clones, 1), (sizes * clones)[:, -5:].sum(axis=1))[0, 1]]
    apart.append(np.corrcoef((drawn == 1).sum(axis=1), np.sort(drawn, axis=1)[:, -5:].sum(axis=1))[0, 1])
    assert apart[0] == pytest.approx(apart[1], abs=0.05)


def test_drawing_everything_gives_the_repertoire_itself():
    sizes, clones = draw_sizes(MIXED, int(MIXED.sum()), 2, np.random.default_rng(0))
    for row, many in zip(sizes, clones, strict=True):
        assert np.sort(np.repeat(row, many)).tolist() == np.sort(MIXED).tolist()


def test_metrics_of_draws_are_those_of_each_draw():
    sizes, clones = draw_sizes(MIXED, 300, 20, np.random.default_rng(0))
    found = diversities(sizes, clones)
    for row, many, values in zip(sizes, clones, found, strict=True):
        expected = diversity(np.repeat(row, many))
        np.testing.assert_allclose(values, [expected[name] for name in METRICS], rtol=1e-12, atol=1e-14)
