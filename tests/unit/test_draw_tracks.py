import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_no_overlap, check, texts_of

from immune_landscape.draw_tracks import COLOURS, draw_tracks
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.track_clones import CLONE_COLUMNS, PAIR_COLUMNS, track_clones

VISITS = ["baseline", "on_treatment", "follow_up"]
STUDY = {"visits": VISITS, "simulated": True, "labels": {}}
SETTINGS = fill_defaults(load_schema("settings/track_clones"), {})


def tracked(patients=7, visits=2, tissues=("blood",)):
    """Return tables of patients of whom the first has a clone that grows twentyfold."""
    rng = np.random.default_rng(0)
    clones, rows = [], []
    for number in range(patients):
        for tissue in tissues:
            frequency = (np.arange(1500) + 3.0) ** -1.0
            for at, visit in enumerate(VISITS[:visits]):
                level = frequency.copy()
                level[30] *= 20 if number == 0 and at else 1
                counts = rng.multinomial(4_000, level / level.sum())
                sample = f"p{number}_{tissue}_{visit}"
                response = ("responder", "non_responder", "")[number % 3]
                rows.append((sample, f"p{number}", visit, tissue, response))
                kept = np.flatnonzero(counts)
                names = [f"c{each}" for each in kept]
                clones.append((sample, pd.DataFrame({"clonotype": names, "count": counts[kept], "label": names})))
    design = pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])
    tables = track_clones(clones, design, VISITS, "bulk_tcr", 0, **SETTINGS)
    return tables["clones"], tables["pairs"]


@pytest.fixture(scope="module")
def two_visits():
    return tracked()


def draw(tables, source="bulk_tcr", columns=4, top_clones=10):
    return draw_tracks(*tables, source, STUDY, top_clones=top_clones, columns=columns)


def bands(axes):
    return [artist for artist in axes.collections if (artist.get_gid() or "").startswith("clone:")]


def colour_of(band):
    from matplotlib.colors import to_hex

    return to_hex(band.get_facecolor()[0]).upper()


def test_there_is_one_panel_per_patient_with_its_largest_clones(two_visits):
    figure = draw(two_visits)
    words = check(figure)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 7
    assert [len(bands(axes)) for axes in panels] == [10] * 7
    assert panels[0].get_title(loc="left") == "p0  R"
    assert "10 largest clones of 7 patients" in words
    assert "changes against baseline" in words
    assert_no_overlap([text for text in texts_of(figure) if "tested" in text.get_text() and "up" in text.get_text()])


def test_the_clone_that_grew_is_coloured_and_has_its_share_as_height(two_visits):
    clones, _ = two_visits
    grown = clones[(clones["patient"] == "p0") & (clones["clonotype"] == "c30")].iloc[0]
    assert grown["change"] == "expanded"
    axes = draw(two_visits).axes[0]
    (band,) = [band for band in bands(axes) if band.get_gid() == "clone:c30"]
    assert colour_of(band) == COLOURS["expanded"]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() - heights.min() >= 100 * (grown["share_after"] - grown["share_before"])
    others = {colour_of(each) for each in bands(draw(two_visits).axes[1])}
    assert others <= {COLOURS["stable"], COLOURS["untested"]}


def test_bands_add_up_to_the_share_of_the_clones_drawn(two_visits):
    clones, _ = two_visits
    axes = draw(two_visits).axes[0]
    own = clones[clones["patient"] == "p0"]
    largest = own[["share_before", "share_after"]].max(axis=1).nlargest(10).index
    tops = [max(band.get_paths()[0].vertices[:, 1]) for band in bands(axes)]
    assert max(tops) == pytest.approx(100 * own.loc[largest, ["share_before", "share_after"]].sum().max())


def test_more_visits_and_tissues_have_their_own_panels():
    figure = draw(tracked(patients=2, visits=3, tissues=("blood", "tumour")), source="tcr")
    words = check(figure)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 4
    assert [len(bands(axes)) for axes in panels] == [20] * 4
    assert "p0 tumour" in words
    assert "productive receptor cells" in words


def test_nothing_to_follow_says_so():
    empty = pd.DataFrame(columns=CLONE_COLUMNS), pd.DataFrame(columns=PAIR_COLUMNS)
    assert "No patient has receptors at two visits" in check(draw(empty))


def test_the_definition_is_printed_below_clones_from_cells_alone(two_visits):
    study = STUDY | {"definition": "Clonotype: identical CDR3"}
    words = {
        source: check(draw_tracks(*two_visits, source, study, top_clones=10, columns=4))
        for source in ("tcr", "bulk_tcr")
    }
    assert "Clonotype: identical CDR3." in " ".join(words["tcr"].split())
    assert "Clonotype:" not in words["bulk_tcr"]
