import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.draw_clone_definitions import draw_clone_definitions
from immune_landscape.sweep_clonotypes import CONTRAST_COLUMNS, DEFINITION_COLUMNS, SAMPLE_COLUMNS

FACTS = [
    ("nt; all; primary_only; V", True, "", "nt", "all", "primary_only", True),
    ("nt; all; primary_only; no V", False, "nt; all; primary_only; V", "nt", "all", "primary_only", False),
    ("nt; VDJ; any; V", False, "", "nt", "VDJ", "any", True),
    ("aa; paired; any; no V", False, "", "aa", "paired", "any", False),
]
TEXT = "Clonotype: identical CDR3 nucleotides within patient"


def definitions_of():
    rows = [[*facts, 900 - at, 800 - at, 20, 36, 150, 0.2, 0.02, 0.99] for at, facts in enumerate(FACTS)]
    return pd.DataFrame(rows, columns=DEFINITION_COLUMNS)


def samples_of():
    rows = [
        [facts[0], facts[1], f"s{at}", f"p{at}", "v", "blood", "", 20, 18, 3, 15, 0.1 * at, 0.01 * at, 0.9]
        for facts in FACTS
        for at in range(5)
    ]
    return pd.DataFrame(rows, columns=SAMPLE_COLUMNS)


def contrasts_of(name="response_change", features=("expanded_share", "clonality")):
    rows = []
    for at, facts in enumerate(FACTS):
        for feature in features:
            effect = -0.1 if at == 3 else 0.2 + at / 50
            groups = ["response_by_visit", "all", feature, "responder", "non_responder", 6, 11]
            rows.append([*facts, name, *groups, effect, 0.01 * (at + 1), effect > 0])
    return pd.DataFrame(rows, columns=CONTRAST_COLUMNS)


@pytest.fixture(scope="module")
def drawn():
    return draw_clone_definitions(definitions_of(), samples_of(), contrasts_of(), TEXT, made.STUDY, max_features=3)


def test_there_is_a_page_of_definitions_and_one_per_contrast(drawn):
    assert list(drawn) == ["definitions", *[facts["name"] for facts in made.STUDY["contrasts"]]]
    for figure in drawn.values():
        check(figure)


def test_equal_definitions_share_a_row_and_the_declared_one_stands_out(drawn):
    figure = drawn["definitions"]
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == [
        "nucleotides, VJ and VDJ where present, primary chains, same V (+ 1)",
        "nucleotides, VDJ alone, any chain, same V",
        "amino acids, VJ and VDJ, paired cells, any chain, any V",
    ]
    assert [tick.get_fontweight() for tick in figure.axes[0].get_yticklabels()] == ["bold", "normal", "normal"]
    assert len(artists(figure, "declared")) == len(figure.axes)


def test_effects_stand_where_the_table_says_and_opposite_signs_are_crossed(drawn):
    figure = drawn["response_change"]
    points = [line for axes in figure.axes for line in axes.lines if line.get_gid() in ("declared", "definition")]
    found = [float(line.get_xdata()[0]) for line in points[:3]]
    assert found == pytest.approx([0.2, 0.24, -0.1])
    assert [line.get_marker() for line in points[:3]] == ["o", "o", "X"]
    words = check(figure)
    for text in ("0.01", "0.03", "0.04", TEXT, "neither corrected nor counted"):
        assert text in " ".join(words.split())


def test_a_contrast_without_a_tested_feature_says_so(drawn):
    other = made.STUDY["contrasts"][1]["name"]
    assert "No feature of single-cell receptors was tested" in check(drawn[other])


def test_metrics_without_values_have_no_panel():
    empty = definitions_of().assign(expanded_share=np.nan, clonality=np.nan, gini_simpson=np.nan)
    study = made.STUDY | {"contrasts": []}
    drawn = draw_clone_definitions(empty, samples_of(), contrasts_of().head(0), TEXT, study, max_features=3)
    assert list(drawn) == ["definitions"]
    assert len(drawn["definitions"].axes) == 3
