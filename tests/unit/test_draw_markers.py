import figure_tables as made
import pytest
from figure_checks import artists, check

from immune_landscape.draw_markers import draw_markers


def draw(dots, branch="t", limit=None):
    return draw_markers(dots, branch, made.STUDY, colour_limit=limit)


@pytest.mark.parametrize("branch", ["all", "nk", "t"])
def test_one_dot_per_row_and_one_frame_per_marked_subset(branch):
    dots = made.dots_of(branch)
    figure = draw(dots, branch)
    words = check(figure)
    assert f"Marker genes of each {'lineage' if branch == 'all' else 'subset'}:" in words
    assert f"In brackets: cells, {dots.drop_duplicates('subset')['cells'].sum():,} in all." in words.replace("\n", " ")
    assert ("NKT-like (CD3+ CD56+)" in words) == (branch == "t")
    assert len(figure.axes[0].collections[0].get_offsets()) == len(dots)
    assert len(artists(figure, "frame")) == dots["marker_of"].nunique()


def test_area_is_the_share():
    dots = made.dots_of("t")
    sizes = draw(dots).axes[0].collections[0].get_sizes()
    assert sizes / sizes.max() == pytest.approx(dots["share"] / dots["share"].max())


def test_one_subset_is_enough_and_cells_are_counted():
    dots = made.dots_of("t")
    words = check(draw(dots[(dots["subset"] == "treg") & (dots["marker_of"] == "treg")]))
    assert "(1,234)" in words


def test_colour_limit_is_kept():
    assert draw(made.dots_of("t"), limit=5.0).axes[0].collections[0].get_clim() == (0, 5.0)


def test_no_marker_says_so():
    assert "No marker gene" in check(draw(made.dots_of("t").head(0)))
