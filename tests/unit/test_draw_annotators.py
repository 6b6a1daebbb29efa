import figure_tables as made
import numpy as np
import pytest
from figure_checks import artists, assert_inside, assert_no_overlap, check, tick_texts, words_of
from made_annotations import make_annotations

from immune_landscape.cell_types import types_of
from immune_landscape.compare_annotators import compare_annotators
from immune_landscape.draw_annotators import draw_annotators


@pytest.fixture(scope="module")
def tables():
    return compare_annotators(*make_annotations(cells=20_000))


def draw(tables, rows="markers", columns=("reference", "by_cluster")):
    return draw_annotators(tables[0], tables[1], made.STUDY, rows=rows, columns=list(columns))


def panel(figure, name):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").startswith(name))


def test_all_levels_fit_one_readable_page(tables):
    figure = draw(tables)
    assert_inside(figure)
    for axes in figure.axes[:3]:
        for which in "xy":
            texts = tick_texts(axes, which)
            if which == "y":
                assert_no_overlap(texts)
        assert_no_overlap([text for text in axes.texts if text.get_gid() == "count"])
    subsets = types_of("subset", branch="t", tissues=("blood", "tumour"))
    assert len(subsets) > 20
    assert len(tick_texts(panel(figure, "T subsets"), "y")) == len(subsets)
    assert figure.get_size_inches().max() < 18


def test_numbers_are_the_cells_of_the_table(tables):
    figure = draw(tables)
    pair = tables[0].query("annotator_a == 'markers' and annotator_b == 'reference'")
    drawn = sorted(int(text.get_text()) for text in artists(figure, "count"))
    assert drawn == sorted(pair["cells"])


def test_colours_are_shares_of_the_row_and_frames_mark_the_same_label(tables):
    axes = panel(draw(tables), "Lineages")
    shares = axes.collections[0].get_array().reshape(len(axes.get_yticks()), len(axes.get_xticks()))
    assert np.asarray(shares).sum(axis=1) == pytest.approx(np.ones(len(shares)))
    pair = tables[0].query("level == 'lineage' and annotator_a == 'markers' and annotator_b == 'reference'")
    same = pair[pair["label_a"] == pair["label_b"]]
    frames = [patch for patch in axes.patches if patch.get_gid() == "same"]
    assert len(frames) == len(same)
    assert all(patch.get_x() == patch.get_y() for patch in frames)


def test_headings_tell_the_agreement_of_the_table(tables):
    row = tables[1].query("level == 'lineage' and annotator_a == 'markers' and annotator_b == 'reference'").iloc[0]
    assert f"{100 * row['agree']:.0f} % of {row['cells']:,} cells agree, κ {row['kappa']:.2f}" in words_of(draw(tables))


def test_turned_pairs_are_found(tables):
    straight, turned = draw(tables, "consensus", ["markers"]), draw(tables, "markers", ["consensus"])
    first = panel(straight, "Lineages").collections[0].get_array()
    assert panel(turned, "Lineages").collections[0].get_array().size == first.size
    one = sorted(text.get_text() for text in artists(straight, "count"))
    assert one == sorted(text.get_text() for text in artists(turned, "count"))


def test_the_next_annotator_is_drawn_where_the_first_has_no_say():
    tables = compare_annotators(*make_annotations(cells=600, reference=False))
    assert "cluster by cluster" in words_of(draw(tables))


def test_receptors_are_named_as_receptors(tables):
    words = words_of(draw(tables, "consensus", ["receptor"]))
    assert "MAIT receptor" in words
    assert "αβ receptor" in words
    assert "\nMAIT (" in words


def test_many_cells_are_written_short():
    tables = make_annotations(cells=300)
    confusion, agreement, _ = compare_annotators(*tables)
    confusion = confusion.assign(cells=confusion["cells"] * 1000)
    texts = [text.get_text() for text in artists(draw((confusion, agreement)), "count")]
    assert max(map(len, texts)) <= 4
    assert any(text.endswith("k") for text in texts)


def test_one_annotator_alone_says_so():
    tables = make_annotations(cells=60, reference=False, receptor=False)
    confusion, agreement, _ = compare_annotators(*tables)
    figure = draw_annotators(confusion, agreement, made.STUDY, rows="markers", columns=["reference"])
    assert "No second annotator" in check(figure)
