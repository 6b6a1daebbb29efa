import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from immune_landscape.draw_antigens import draw_antigens
from immune_landscape.match_antigens import BACKGROUND_COLUMNS

STUDY = {"visits": ["v1"], "simulated": True, "labels": {}}


def made(sources=("tcr", "bulk_tcr"), patients=5):
    """Return a table in which the ratio is 2 to the number of the patient, but 0 for the last."""
    rows = []
    for source in sources:
        for number in range(patients):
            for background in ("generated", "other_antigens", "cohort"):
                for level, species in (("all", ""), ("species", "CMV"), ("species", "EBV")):
                    ratio = 2.0**number if number < patients - 1 else 0.0
                    facts = {
                        "source": source,
                        "sample": f"s{number}",
                        "patient": f"p{number}",
                        "visit": "v1",
                        "response": ("responder", "non_responder")[number % 2],
                        "background": background,
                        "level": level,
                        "predicted_species": species,
                        "predicted": 10 if species == "CMV" else 20,
                        "ratio": np.nan if (background, level) == ("other_antigens", "all") else ratio,
                        "ratio_low": ratio * 0.6,
                        "ratio_high": ratio * 1.7,
                        "measured": True,
                    }
                    rows.append(facts)
    return pd.DataFrame(rows).reindex(columns=BACKGROUND_COLUMNS)


def drawn(axes):
    """Return ratio and whether it is filled of every point of a panel."""
    found = []
    for points in axes.collections:
        if (points.get_gid() or "").startswith("group:"):
            filled = bool((points.get_facecolor()[:, :3] < 0.99).any()) if len(points.get_facecolor()) else False
            found += [(round(float(across), 4), filled) for across, _ in points.get_offsets()]
    return found


def test_each_sample_is_a_point_filled_where_its_interval_lies_off_one():
    figure = draw_antigens(made(), STUDY, species=10)
    words = check(figure)
    assert len(figure.axes) == 6
    assert "5 samples of 5 patients" in words
    assert "Cytomegalovirus" in words
    assert "Predictions" in words
    points = drawn(figure.axes[0])
    # Three rows of five points; only the interval of 1 holds 1, and no match lies at the left edge.
    assert len(points) == 15
    assert sorted({across for across, _ in points}) == [0.25, 1.0, 2.0, 4.0, 8.0]
    assert {across for across, filled in points if not filled} == {1.0}
    # A match of any antigen has no other species to be compared with.
    assert len(drawn(figure.axes[1])) == 10


def test_species_with_most_matches_come_first_and_others_are_left_out():
    figure = draw_antigens(made(sources=("bulk_tcr",)), STUDY, species=1)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Any antigen", "Epstein-Barr virus"]
    assert "Cytomegalovirus" not in check(figure)


@pytest.mark.parametrize("rows", [made().head(0), made().assign(measured=False)])
def test_nothing_to_draw_says_so(rows):
    assert "min_clonotypes" in check(draw_antigens(rows, STUDY, species=3))
