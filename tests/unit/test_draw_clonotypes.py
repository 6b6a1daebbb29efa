import figure_tables as made
import pytest
from figure_checks import check

from immune_landscape.draw_clonotypes import draw_clonotypes

DEFINITION = "Clonotype: identical CDR3 nucleotides within patient"


def draw(design, *, labels=True):
    clonotypes = made.clonotypes_of(design)
    table = made.labels_of(clonotypes) if labels else None
    return draw_clonotypes(
        made.chain_qc_of(clonotypes), clonotypes, table, design, DEFINITION, made.STUDY, min_subset_cells=10
    )


def test_definition_and_numbers_of_patients_are_printed():
    words = check(draw(made.design_of()))
    assert DEFINITION in words
    assert "Responders n = 4" in words
    assert "Non-responders n = 11" in words


def test_size_classes_are_counted_within_the_sample():
    design = made.design_of(3, 1, missing=0)
    clonotypes = made.clonotypes_of(design)
    figure = draw(design)
    sizes = clonotypes[clonotypes["has_receptor"]]
    first = sizes[sizes["sample"] == "P02_baseline"]
    # Independent count: cells of clonotypes that occur once in this sample.
    singles = (first["clonotype"].map(first["clonotype"].value_counts()) == 1).mean()
    bars = [bar for bar in figure.axes[1].patches if bar.get_x() == 0]
    order = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert bars[order.index("P02  Baseline")].get_width() == pytest.approx(100 * singles)


def test_rows_add_up_to_100():
    figure = draw(made.design_of(4, 2, missing=0))
    for axes in figure.axes:
        widths = {}
        for bar in axes.patches:
            widths[bar.get_y()] = widths.get(bar.get_y(), 0) + bar.get_width()
        assert list(widths.values()) == pytest.approx([100] * len(widths))


@pytest.mark.parametrize("labels", [True, False])
def test_works_with_and_without_labels(labels):
    figure = draw(made.design_of(), labels=labels)
    assert ("By subset" in check(figure)) == labels
    assert len(figure.axes) == 2 + labels


@pytest.mark.parametrize(("patients", "visits"), [(2, ("baseline",)), (60, ("baseline", "on_treatment"))])
def test_one_sample_and_many(patients, visits):
    check(draw(made.design_of(patients, 1, visits, missing=0)))


def test_works_without_response():
    assert "Response not recorded" in check(draw(made.design_of(4, 0, response=False)))


def test_no_receptor_says_so():
    design = made.design_of(3, 1)
    clonotypes = made.clonotypes_of(design)
    qc = made.chain_qc_of(clonotypes).head(0)
    figure = draw_clonotypes(qc, clonotypes.head(0), None, design, DEFINITION, made.STUDY, min_subset_cells=10)
    assert "No sample has a receptor" in check(figure)
