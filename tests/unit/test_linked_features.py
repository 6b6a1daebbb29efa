import pytest

from immune_landscape.linked_features import declaring_contrast, linked_layers, linked_markers

BARE = {"name": "change", "family": "primary", "subsets": [], "features": {"expansion": []}}
DECLARED = {
    "name": "response",
    "family": "primary",
    "parents": ["cells"],
    "subsets": ["cd8_teff", "treg"],
    "features": {"repertoires": ["clonality"]},
}
COMPARED = {name: f"{name}.tsv" for name in ("composition", "expansion", "repertoires", "quality")}


def names(chosen):
    return [(entry["layer"], entry["feature"]) for entry in chosen]


def test_the_declared_family_is_linked():
    expected = [("composition", "cells/cd8_teff"), ("composition", "cells/treg"), ("repertoires", "clonality")]
    assert names(linked_markers([], [BARE, DECLARED], COMPARED)) == expected


@pytest.mark.parametrize("contrasts", [[], [BARE], [{**DECLARED, "family": "secondary"}]])
def test_without_one_all_layers_but_the_exploratory_are(contrasts):
    expected = [("composition", ""), ("expansion", ""), ("repertoires", "")]
    assert names(linked_markers([], contrasts, COMPARED)) == expected
    assert declaring_contrast(contrasts) is None


def test_the_settings_come_first_and_keep_their_cuts():
    asked = [{"layer": "quality", "feature": "all/cells_kept", "cut": 7.0}, {"layer": "measures"}]
    assert linked_markers(asked, [DECLARED], COMPARED) == [asked[0]]


def test_layers_that_nothing_names_are_no_input():
    config = {"contrasts": [DECLARED], "link_outcomes": {"markers": []}}
    assert linked_layers(config, COMPARED) == {name: COMPARED[name] for name in ("composition", "repertoires")}
    assert linked_layers(config, {"quality": "quality.tsv"}) == {}
