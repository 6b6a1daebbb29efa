import figure_tables as made
import numpy as np
import pytest
from figure_checks import artists, check, tick_texts

from immune_landscape.draw_quality import draw_quality


def draw(design, *, violins=24, cells=None):
    cells = made.quality_of(design) if cells is None else cells
    return draw_quality(
        cells, made.steps_of(design), made.doublets_of(cells), design, made.STUDY, violins_up_to=violins
    )


@pytest.mark.parametrize(("count", "violins"), [(1, 24), (12, 24), (38, 24), (38, 50)])
def test_rows_are_samples_at_any_number(count, violins):
    design = made.design_of().head(count)
    figure = draw(design, violins=violins)
    check(figure)
    named = {text.get_text() for text in tick_texts(figure.axes[0], "y")}
    assert named == set(design["sample"])


def test_many_samples_stay_on_one_page():
    figure = draw(made.design_of(60, 20, ("a", "b", "c")))
    words = check(figure)
    assert "178 samples" in words
    assert figure.get_size_inches()[1] < 18


def test_bars_are_the_numbers_of_the_table():
    design = made.design_of().head(6)
    steps = made.steps_of(design).set_index("sample")
    axes = draw(design).axes[0]
    widths = sorted(bar.get_width() for bar in axes.patches)
    assert widths == sorted(steps[["loaded", "passed_quality", "kept"]].to_numpy().ravel())


def test_batches_are_strips_of_neighbouring_samples():
    figure = draw(made.design_of().head(8))
    words = check(figure)
    assert len(artists(figure, "batch")) == 4
    assert "b1" in words


def test_panels_without_mitochondrial_genes_say_so():
    design = made.design_of().head(3)
    assert "not measured" in check(draw(design, cells=made.quality_of(design).assign(pct_mt=np.nan)))


def test_a_sample_that_lost_every_cell_keeps_its_row():
    design = made.design_of().head(3)
    cells = made.quality_of(design)
    cells["keep"] = cells["keep"] & (cells["sample"] != design["sample"].iloc[0])
    check(draw(design, cells=cells))


def test_no_sample_at_all_says_so():
    design = made.design_of()
    cells = made.quality_of(design.head(1)).head(0)
    figure = draw_quality(
        cells, made.steps_of(design).head(0), made.doublets_of(cells), design, made.STUDY, violins_up_to=24
    )
    assert "No sample" in check(figure)
