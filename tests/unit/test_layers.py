"""The layers that are compared: the schemas of users' files know the same ones."""

from pathlib import Path

import pytest
import yaml

from immune_landscape.contrast_engine import family_of
from immune_landscape.layers import LAYERS

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"


def read_schema(name):
    return yaml.safe_load((SCHEMAS / name).read_text(encoding="utf-8"))


def find_key(tree, key):
    """Return all values of a key, however deep."""
    if isinstance(tree, list):
        return [found for item in tree for found in find_key(item, key)]
    if not isinstance(tree, dict):
        return []
    own = [tree[key]] if key in tree else []
    return own + [found for value in tree.values() for found in find_key(value, key)]


def test_a_contrast_can_name_features_of_every_layer_but_composition():
    [features] = [found for found in find_key(read_schema("cohort.schema.yaml"), "features") if "properties" in found]
    assert list(features["properties"]) == [name for name in LAYERS if name != "composition"]


def test_a_claim_can_be_of_every_layer_and_of_endpoints():
    layer = find_key(read_schema("claims.schema.yaml"), "layer")[0]
    assert layer["enum"] == [*LAYERS, "endpoints"]


@pytest.mark.parametrize("name", ["quality", "tracks", "cell_tracks"])
def test_an_exploratory_layer_is_primary_only_where_it_is_named(name):
    contrast = {"family": "primary"}
    assert family_of(contrast, name) == "exploratory"
    assert family_of(contrast | {"features": {name: ["any"]}}, name) == "primary"
    assert family_of(contrast, "expansion") == "primary"


def test_layers_of_changes_need_more_than_one_visit():
    assert {name for name, layer in LAYERS.items() if layer.tells_change} == {
        name for name, layer in LAYERS.items() if "visits" in layer.needs
    }
