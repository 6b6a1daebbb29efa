import itertools
import re

import numpy as np
import pytest

from immune_landscape import palette
from immune_landscape.cell_types import read_cell_types

# Linear-RGB matrices of full dichromacy: Machado 2009, doi:10.1109/TVCG.2009.113.
DICHROMACY = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab_of(colour, matrix):
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first, second, matrix):
    return float(np.linalg.norm(lab_of(first, matrix) - lab_of(second, matrix)))


@pytest.mark.parametrize("kind", [*DICHROMACY, "normal"])
def test_response_groups_differ_for_every_kind_of_colour_vision(kind):
    matrix = DICHROMACY.get(kind, np.eye(3))
    first, second = (palette.RESPONSE[name].colour for name in ("responder", "non_responder"))
    assert distance(first, second, matrix) > 30


@pytest.mark.parametrize("kind", DICHROMACY)
def test_neighbouring_size_classes_differ(kind):
    colours = list(palette.SIZE_CLASSES.values())
    assert min(distance(a, b, DICHROMACY[kind]) for a, b in itertools.pairwise(colours)) > 8


def test_groups_differ_in_marker_and_line_too():
    styles = palette.group_styles(["responder", "non_responder", "", "arm_a", "arm_b"])
    assert len({style.marker for style in (styles["responder"], styles["non_responder"], styles[""])}) == 3
    assert styles["arm_a"].marker != styles["arm_b"].marker
    assert styles["arm_a"].linestyle != styles["arm_b"].linestyle


def test_every_cell_type_has_its_own_colour_from_the_table():
    types = read_cell_types()
    colours = palette.colours_of(types.index)
    assert colours == types["colour"].to_dict()
    assert all(re.fullmatch(r"#[0-9A-Fa-f]{6}", colour) for colour in colours.values())


@pytest.mark.parametrize("branch", ["nk", "t"])
def test_named_subsets_of_a_branch_do_not_share_a_colour(branch):
    types = read_cell_types()
    named = types[(types["level"] == "subset") & (types["branch"] == branch)]
    assert named["colour"].is_unique


def test_unknown_slugs_get_distinct_colours():
    colours = palette.colours_of(["t", "my_subset", "other_subset"])
    assert len(set(colours.values())) == 3


@pytest.mark.parametrize("count", [1, 10, 40])
def test_categories_are_as_many_as_asked_and_distinct(count):
    assert len(set(palette.categorical(count))) == count


@pytest.mark.parametrize("colour", [*read_cell_types()["colour"].unique(), "#000000", "#FFFFFF"])
def test_text_has_a_contrast_of_at_least_4_5(colour):
    # WCAG 2.2 contrast ratio; black or white always reaches 4.58.
    light, dark = sorted([palette.luminance(colour), palette.luminance(palette.text_on(colour))], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
