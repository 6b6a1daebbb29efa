import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.draw_stability import draw_stability
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.stability import JACCARD_COLUMNS, STABILITY_COLUMNS

SETTINGS = fill_defaults(load_schema("settings/cluster_cells"), {"resolution": {"t": 2.0}})
STUDY = made.STUDY | {"stages": {"cluster_cells": SETTINGS}}


def tables_of(resolutions, chosen, seed=1):
    """Return tables as `cluster_cells` makes them, less stable from one resolution to the next."""
    rng = np.random.default_rng(seed)
    rows, told = [], []
    for at, resolution in enumerate(resolutions):
        sizes = np.sort(rng.integers(5, 900, 3 + 2 * at))[::-1]
        index = np.clip(rng.normal(1 - 0.07 * at, 0.1, len(sizes)), 0, 1)
        names = [str(number) for number in range(len(sizes))]
        told.append(pd.DataFrame({"resolution": resolution, "cluster": names, "cells": sizes, "jaccard": index}))
        share = sizes[index >= SETTINGS["min_jaccard"]].sum() / sizes.sum()
        agreement = 1 - 0.03 * at, 1 - 0.05 * at
        rows.append((resolution, len(sizes), *agreement, index.min(), np.median(index), share, resolution == chosen))
    stability = pd.DataFrame(rows, columns=[*STABILITY_COLUMNS, "chosen"])
    return stability, pd.concat(told, ignore_index=True)[JACCARD_COLUMNS]


GRID = SETTINGS["grid"]["nk"]


def draw(stability, jaccard, branch="nk"):
    return draw_stability(stability, jaccard, branch, STUDY)


@pytest.mark.parametrize("grid", [GRID, [1.0], [*GRID, 2.5, 3.0, 4.0, 6.0, 8.0, 10.0]], ids=["default", "one", "many"])
def test_page_is_in_order_and_every_cluster_is_a_point(grid):
    stability, jaccard = tables_of(grid, grid[0])
    figure = draw(stability, jaccard)
    check(figure)
    points = sum(len(part.get_offsets()) for part in artists(figure, "clusters"))
    assert points == len(jaccard)
    assert len(artists(figure, "limit")) == 2
    assert len(artists(figure, "chosen")) == 3


def test_points_stand_at_their_index_and_area_follows_cells():
    stability, jaccard = tables_of([0.5, 1.0], 1.0)
    figure = draw(stability, jaccard)
    drawn = [
        (round(place), height, size)
        for part in artists(figure, "clusters")
        for (place, height), size in zip(part.get_offsets(), part.get_sizes(), strict=True)
    ]
    found = pd.DataFrame(drawn, columns=["place", "jaccard", "size"]).sort_values(["place", "jaccard"])
    expected = jaccard.assign(place=(jaccard["resolution"] == 1.0).astype(int)).sort_values(["place", "jaccard"])
    assert found["jaccard"].to_numpy() == pytest.approx(expected["jaccard"].to_numpy())
    for place, rows in expected.groupby("place"):
        sizes = found.loc[found["place"] == place, "size"].to_numpy()
        order = np.argsort(rows["cells"].to_numpy())
        assert (np.diff(sizes[order]) >= 0).all()


def test_chosen_column_is_marked():
    stability, jaccard = tables_of(GRID, 0.6)
    (band, *_) = artists(draw(stability, jaccard), "chosen")
    low, high = band.get_x(), band.get_x() + band.get_width()
    assert low < GRID.index(0.6)
    assert high > GRID.index(0.6)
    assert high - low < 1


def test_words_tell_whether_the_rule_chose():
    stability, jaccard = tables_of([0.5, 2.0], 2.0)
    stability = stability.assign(stable_share=1.0)
    assert "Resolution 2 (5 clusters) follows the rule" in check(draw(stability, jaccard, "nk")).replace("\n", " ")
    assert "at least 99.5% of the cells" in check(draw(stability, jaccard, "nk")).replace("\n", " ")
    assert "else the lowest" not in check(draw(stability, jaccard, "nk"))
    none = stability.assign(ari_subsamples=0.5, chosen=[True, False])
    words = check(draw(none, jaccard, "nk")).replace("\n", " ")
    assert "Resolution 0.5 (3 clusters) is the lowest, as at none are the clusters stable" in words
    assert f"{jaccard.loc[jaccard['resolution'] == 0.5, 'cells'].sum():,} cells." in words
    loose = stability.assign(ari_subsamples=0.5)
    assert "was set; it is not within the limits" in check(draw(loose, jaccard, "t")).replace("\n", " ")
    steady = stability.assign(ari_subsamples=0.9, stable_share=1.0)
    assert "was set; it is within the limits" in check(draw(steady, jaccard, "t")).replace("\n", " ")


def test_a_handful_of_cells_says_so():
    few = pd.DataFrame(columns=[*STABILITY_COLUMNS, "chosen"]), pd.DataFrame(columns=JACCARD_COLUMNS)
    assert "too few cells" in check(draw(*few))


def test_tables_of_the_stage_are_drawn():
    import scipy.stats

    from immune_landscape import store

    points = scipy.stats.norm.rvs(size=(90, 5), random_state=1).astype(np.float32)
    points[:45] += 8
    names = pd.Index([f"S:{i}" for i in range(90)])
    reduction = store.addition(names, obsm={"X_pca": points, "X_integrated": points}, uns={"reduction": {}})
    quick = SETTINGS | {"subsamples": 3, "grid": {"nk": [0.2, 1.0]}}
    found = cluster_cells(reduction, "nk", 0, **quick)
    assert "follows the rule" in check(draw(found.stability, found.jaccard)).replace("\n", " ")
