import pytest
from figure_checks import artists, check
from figure_tables import STUDY
from tissue_cells import DEFINITION, SETTINGS, counts_of, design_of, labels_of, registry_of

from immune_landscape.draw_microenvironment import draw_microenvironment
from immune_landscape.measure_microenvironment import measure_microenvironment

FACTS = STUDY | {"tissues": ["blood", "tumour"]}


def measured(regions=("core", "margin")):
    places = [
        (f"{patient}_{visit}_{region}", patient, visit, "tumour", region)
        for patient in ("A", "B", "C")
        for visit in ("baseline", "on_treatment")
        for region in regions
    ]
    kinds = {"epithelial": 60, "b": 15, "cd8_tex": 20, "cd8_tem": 10, "treg": 10}
    numbers = {place[0]: kinds | {"b": 15 + 3 * at} for at, place in enumerate(places)}
    labels, design = labels_of(numbers), design_of(places)
    design.loc[design["patient"] == "C", "response"] = "non_responder"
    return measure_microenvironment(counts_of(labels), labels, registry_of(), design, DEFINITION, **SETTINGS)


@pytest.mark.parametrize("columns", [2, 4])
def test_each_feature_has_a_panel_with_a_line_per_patient(columns):
    tables = measured()
    figure = draw_microenvironment(tables["patients"], tables["samples"], FACTS, columns=columns)
    words = check(figure)
    for word in ("Immune cells", "CD8 T cells against Treg", "n = 3", "Responders n = 2", "Effector", "Exhaustion"):
        assert word in words
    features = tables["patients"]["feature"].nunique()
    assert len(artists(figure, "patient:A")) == features
    assert len(artists(figure, "regions")) == 3 * features


def test_heights_are_percent_or_as_compared():
    tables = measured()
    figure = draw_microenvironment(tables["patients"], tables["samples"], FACTS, columns=4)
    rows = tables["patients"].set_index(["patient", "feature", "visit"])
    [line] = [each for each in artists(figure, "patient:B") if each.axes is figure.axes[0]]
    assert line.get_ydata()[0] == pytest.approx(100 * rows.loc[("B", "immune_share", "baseline"), "share"])


def test_without_regions_no_region_is_drawn():
    tables = measured(("",))
    figure = draw_microenvironment(tables["patients"], tables["samples"], FACTS, columns=4)
    assert not artists(figure, "regions")
    assert "regions" not in check(figure)


def test_an_empty_table_says_so():
    tables = measured()
    empty = {name: table.head(0) for name, table in tables.items()}
    assert "No tissue sample" in check(draw_microenvironment(empty["patients"], empty["samples"], FACTS, columns=4))
