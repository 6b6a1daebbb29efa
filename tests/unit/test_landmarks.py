"""Landmarks cover the space of all cells, and every cell follows its nearest ones."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.landmarks import choose_landmarks, spread_landmarks

CENTRES = {"common": (4_000, 0.0), "rare": (40, 12.0)}


@pytest.fixture(scope="module")
def points():
    """Return 4,000 cells around one point and 40 around another, and the kind of each."""
    rng = np.random.default_rng(1)
    parts = [rng.normal(centre, 1.0, (count, 6)) for count, centre in CENTRES.values()]
    kinds = np.repeat(list(CENTRES), [count for count, _ in CENTRES.values()])
    return np.concatenate(parts).astype(np.float32), kinds


@pytest.mark.parametrize("number", [50, 400, 2_000])
def test_about_as_many_as_wanted_and_never_more(points, number):
    found = choose_landmarks(points[0], number, 0)
    assert len(found) <= number
    assert len(found) > 0.8 * number
    assert (np.diff(found) > 0).all()


def test_a_rare_kind_keeps_more_landmarks_than_a_random_draw_would_leave(points):
    values, kinds = points
    found = choose_landmarks(values, 400, 0)
    share = (kinds == "rare").mean()
    assert (kinds[found] == "rare").mean() > 3 * share


def test_the_seed_picks_the_cell_of_a_box(points):
    one, same, other = (choose_landmarks(points[0], 400, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_cells_follow_their_landmarks(points):
    values, kinds = points
    some = choose_landmarks(values, 400, 0)
    cluster = pd.Series(kinds[some])
    places = np.where(kinds[some] == "rare", 10.0, 0.0)[:, None] + np.zeros((1, 2))
    spread = spread_landmarks(values, some, cluster, places.astype(np.float32), 0, 1)
    assert (spread.cluster == kinds).mean() > 0.999
    np.testing.assert_array_equal(spread.places[some], places.astype(np.float32))
    assert np.abs(spread.places[kinds == "rare"] - 10).max() < 1
    assert len(np.unique(spread.places, axis=0)) > len(values) - len(some)


def test_threads_change_nothing(points):
    values, kinds = points
    some = choose_landmarks(values, 200, 0)
    given = values, some, pd.Series(kinds[some]), np.zeros((len(some), 2), dtype=np.float32), 0
    one, two = (spread_landmarks(*given, threads) for threads in (1, 2))
    assert (one.cluster == two.cluster).all()
    np.testing.assert_array_equal(one.places, two.places)


def test_votes_that_tie_go_to_the_nearest():
    values = np.array([[0.0], [1.0], [2.0], [3.1]], dtype=np.float32)
    found = spread_landmarks(values, np.array([0, 1]), pd.Series(["a", "b"]), np.zeros((2, 2)), 0, 1)
    assert found.cluster.tolist() == ["a", "b", "b", "b"]
