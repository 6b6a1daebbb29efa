import itertools

import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.draw_sharing import draw_sharing
from immune_landscape.share_clones import PAIR_COLUMNS

STUDY = {"visits": ["baseline"], "simulated": True, "labels": {}}
SETTINGS = {"names_up_to": 60, "numbers_up_to": 24}


def pairs_of(patients, sources=("tcr", "bulk_tcr"), flagged=()):
    rows = []
    for source in sources:
        for at, (a, b) in enumerate(itertools.combinations([f"P{n:02d}" for n in range(patients)], 2)):
            is_flagged = (source, a, b) in flagged
            row = dict.fromkeys(PAIR_COLUMNS, 0) | {"source": source, "patient_a": a, "patient_b": b, "note": ""}
            row |= {"limit": 14, "shared": 300 if is_flagged else at % 3, "clones_a": 900, "clones_b": 900}
            rows.append(row | {"verdict": "flagged" if is_flagged else "as expected"})
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def test_maps_are_symmetric_and_numbers_stand_in_them():
    figure = draw_sharing(pairs_of(5), STUDY, **SETTINGS)
    check(figure)
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in maps] == ["Single-cell TCR", "Bulk TCR"]
    shown = maps[1].images[0].get_array()
    assert shown[1, 0] == shown[0, 1]
    assert sorted(text.get_text() for text in maps[0].texts) == sorted(["1", "2"] * 6)


def test_flagged_pairs_are_framed_twice_and_counted():
    figure = draw_sharing(pairs_of(6, flagged={("bulk_tcr", "P01", "P04")}), STUDY, **SETTINGS)
    assert "1 flagged (framed)" in check(figure)
    places = {tuple(frame.get_xy()) for frame in artists(figure, "flagged")}
    assert places == {(0.5, 3.5), (3.5, 0.5)}


def test_every_pair_is_a_point_at_its_limit():
    figure = draw_sharing(pairs_of(6), STUDY, **SETTINGS)
    (points,) = artists(figure, "pairs:tcr")
    assert len(points.get_offsets()) == 15
    assert set(points.get_offsets()[:, 0]) == {14}


@pytest.mark.parametrize("patients", [2, 19, 60, 90])
def test_many_patients_fit_the_page(patients):
    figure = draw_sharing(pairs_of(patients), STUDY, **SETTINGS)
    words = check(figure)
    assert ("P01" in words) == (patients <= 60)


def test_one_source_alone_is_drawn():
    figure = draw_sharing(pairs_of(4, sources=("bulk_tcr",)), STUDY, **SETTINGS)
    check(figure)
    assert len([axes for axes in figure.axes if axes.images]) == 1


def test_without_pairs_a_page_says_so():
    words = check(draw_sharing(pd.DataFrame(columns=PAIR_COLUMNS), STUDY, **SETTINGS))
    assert "Fewer than two patients have receptors" in words
