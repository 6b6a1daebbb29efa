import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check
from linked_clones import clone_cells, make_tables

from immune_landscape.clone_cells import label_carriers
from immune_landscape.clone_subsets import SubsetRule, measure_subsets
from immune_landscape.draw_links import FRAMED, MARKED, STAR, draw_links
from immune_landscape.measure_transitions import measure_transitions

STUDY = {"visits": ["before", "after"], "tissues": ["blood", "tumour"], "simulated": True, "labels": {}}
DEFINITION = "Clonotype: identical CDR3 nucleotides within patient"


def tables_of(tissues=("blood",), patients=5):
    """Return tables of patients with expanded effector cells, some of a memory clone, and of MAIT cells."""
    cells = []
    for number in range(patients):
        for visit in STUDY["visits"]:
            for tissue in tissues:
                sample = f"p{number}_{visit}_{tissue}"
                cells += [clone_cells(sample, [4 + number, 3, *[1] * 8], "cd8_teff")]
                cells += [clone_cells(sample, [1] * 12, "cd4_tn"), clone_cells(sample, [3, *[1] * 6], "cd8_tem")]
                cells += [clone_cells(sample, [2, *[1] * 8], "mait").assign(receptor="mait")]
                shared = clone_cells(sample, [2], "cd8_tem").assign(clonotype=f"p{number}-cd8_teff0")
                cells += [shared]
    tables = make_tables(pd.concat(cells).fillna({"receptor": "alpha_beta"}))
    response = {f"p{number}": ("responder", "non_responder")[number % 2] for number in range(patients)}
    tables["design"]["response"] = tables["design"]["patient"].map(response)
    carriers = label_carriers(*(tables[name] for name in ("clonotypes", "cells", "receptors", "design")))
    subsets = measure_subsets(carriers, tables["cells"], tables["design"], SubsetRule(2, 10, 5))
    found = measure_transitions(tables, 0, min_cells=10, min_subset_cells=5, draws=100)
    return subsets, found["summary"]


@pytest.fixture(scope="module")
def tables():
    return tables_of()


def draw(tables, **changes):
    return draw_links(*tables, DEFINITION, STUDY, **({"columns": 3, "min_patients": 3} | changes))


def test_each_subset_has_a_panel_with_a_line_per_patient(tables):
    figure = draw(tables)["subsets"]
    words = check(figure)
    panels = [axes for axes in figure.axes if axes.axison]
    assert panels[0].get_title(loc="left") == "CD8 Teff"
    assert {axes.get_title(loc="left") for axes in panels} == {"CD8 Teff", "CD8 Tem", "CD4 Tn", f"MAIT{STAR}"}
    for axes in panels:
        lines = [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]
        assert len(lines) == 5
        assert all(len(line.get_xdata()) == 2 for line in lines)
    assert DEFINITION in words
    assert "100% MAIT or iNKT" in words
    assert MARKED.split(":")[0] in words.replace("\n", " ")


def test_points_are_the_shares_of_the_table(tables):
    subsets, _ = tables
    axes = draw(tables)["subsets"].axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "patient:p0"]
    rows = subsets[(subsets["patient"] == "p0") & (subsets["subset"] == "cd8_teff")].set_index("visit")
    expected = 100 * rows.loc[["before", "after"], "expanded_share_at_depth"]
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_maps_show_median_and_number_of_patients_and_frame_cd4_against_cd8(tables):
    _, summary = tables
    figure = draw(tables)["transitions"]
    words = check(figure)
    row = summary[(summary["first"] == "cd8_teff") & (summary["second"] == "cd8_tem") & summary["standardised"]]
    written = {text.get_text() for text in figure.axes[0].texts}
    assert f"{row['median'].iloc[0]:.2f}".lstrip("0") in written
    assert "5" in written
    # CD4 Tn against CD8 Tem and CD8 Teff, in both maps.
    assert len(artists(figure, "across_sides")) == 4
    assert FRAMED.split(".")[0] in words.replace("\n", " ")
    assert f"MAIT{STAR}" in words
    assert "Index over chance" in words


def test_tissues_stand_side_by_side():
    figure = draw(tables_of(tissues=("blood", "tumour"), patients=3), columns=2)["subsets"]
    words = check(figure)
    assert "Tumour\nAfter" in words
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == "patient:p0"]
    assert len(line.get_xdata()) == 4


def test_too_little_to_draw_says_so(tables):
    figures = draw(tables, min_patients=6)
    assert "link_clones" in check(figures["subsets"])
    assert "measure_transitions" in check(figures["transitions"])
    empty = draw_links(tables[0].head(0), tables[1].head(0), DEFINITION, STUDY, columns=3, min_patients=1)
    assert set(empty) == {"subsets", "transitions"}
