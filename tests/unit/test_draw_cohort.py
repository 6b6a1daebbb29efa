import figure_tables as made
import pytest
from figure_checks import artists, check

from immune_landscape.draw_cohort import draw_cohort


def draw(design, study=made.STUDY, limit=90):
    return draw_cohort(design, study, label_patients_up_to=limit)


def test_each_sample_is_a_tile_and_each_missing_visit_a_line():
    design = made.design_of()
    figure = draw(design)
    words = check(figure)
    layers = 2
    assert len(artists(figure, "tile")) == layers * len(design)
    assert len(artists(figure, "missing")) == 19 * 2 - len(design)
    assert "Responders  n = 6" in words
    assert "Non-responders  n = 13" in words
    assert "n = 17" in words


def test_works_without_any_response():
    words = check(draw(made.design_of(4, 0, response=False)))
    assert "Response not recorded  n = 4" in words


@pytest.mark.parametrize("patients", [1, 60])
def test_every_patient_is_named(patients):
    design = made.design_of(patients, patients // 3, missing=0)
    words = check(draw(design)).split("\n")
    assert set(design["patient"]) <= set(words)


def test_many_patients_are_not_named_but_counted():
    figure = draw(made.design_of(200, 60))
    words = check(figure)
    assert "P001" not in words
    assert "P01" not in words.split("\n")
    assert "200 patients" in words
    assert figure.get_size_inches()[1] < 18


def test_several_tissues_are_columns_of_their_own():
    blood = made.design_of(3, 1, missing=0)
    both = made.pd.concat([blood, blood.assign(tissue="tumour", sample=blood["sample"] + "_t")])
    words = check(draw(both, {**made.STUDY, "tissues": ["blood", "tumour"]}))
    assert "Blood" in words
    assert "Tumour" in words


def test_an_empty_design_says_so():
    assert "no sample" in check(draw(made.design_of().head(0)))


def test_patients_are_grouped_by_the_column_that_a_contrast_names():
    design = made.design_of(6, 2, missing=0)
    sites = {f"P{at + 1:02d}": site for at, site in enumerate(["north", "south", "north", "south", "north", ""])}
    design["site"] = design["patient"].map(sites)
    contrast = {"name": "sites", "estimand": "baseline", "reference": "baseline", "group_column": "site"}
    by_time = {"name": "time", "estimand": "change", "reference": "baseline", "target": "on_treatment"}
    study = {**made.STUDY, "contrasts": [by_time, {**contrast, "groups": ["south", "north"]}]}
    figure = draw(design, study)
    words = check(figure)
    headings = ["South  n = 2", "North  n = 3", "Site not recorded  n = 1"]
    places = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert [places[heading] for heading in headings] == sorted(places[heading] for heading in headings)
    assert "Responders" not in words


def test_a_group_column_without_entries_gives_way_to_the_response():
    design = made.design_of(4, 2, missing=0).assign(site="")
    contrast = {"name": "sites", "estimand": "baseline", "reference": "baseline", "group_column": "site"}
    assert "Responders  n = 2" in check(draw(design, {**made.STUDY, "contrasts": [contrast]}))
