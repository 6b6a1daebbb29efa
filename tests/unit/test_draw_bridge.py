import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, assert_no_overlap, check, texts_of

from immune_landscape.bridge_repertoires import COLUMNS, bridge_repertoires
from immune_landscape.draw_bridge import FREQUENCIES, OTHERS, SUBSETS, draw_bridge
from immune_landscape.schemas import fill_defaults, load_schema

VISITS = ["baseline", "on_treatment"]
STUDY = {"visits": VISITS, "simulated": True, "labels": {}}
SETTINGS = fill_defaults(load_schema("settings/bridge_repertoires"), {})
TYPES = ["cd8_teff", "cd4_tem", "mait", "cd4_tn"]
DRAWN = {"columns": 4, "named_subsets": 2}


def bridged(patients):
    """Return the tables and design of patients whose cells and templates are drawn from one repertoire each."""
    rng = np.random.default_rng(0)
    cells, bulk, design = [], [], []
    for number in range(patients):
        for visit in VISITS[: 2 - number % 2]:
            sample = f"p{number}_{visit}"
            share = (np.arange(400) + 1.0) ** -1.1
            share /= share.sum()
            drawn = rng.choice(400, 120, p=share)
            cells += [(sample, f"al{clone}{clone % 5 == 0 and at % 2}", f"CA{clone}") for at, clone in enumerate(drawn)]
            counts = rng.multinomial(2_000, share)
            found = pd.DataFrame({"junction_aa": [f"CA{at}" for at in range(400)], "count": counts})
            bulk.append((sample, found[found["count"] > 0].assign(junction="", v_call="TRBV9")))
            response = ("responder", "non_responder", "")[number % 3]
            design.append((sample, f"p{number}", visit, "blood", response))
    table = pd.DataFrame(cells, columns=["sample", "vj_junction", "vdj_junction_aa"])
    table.index = pd.Index([f"c{at}" for at in range(len(table))], name="cell")
    clonotypes = table.assign(vdj_junction="", vdj_v_gene="TRBV9", vdj_j_gene="TRBJ1-1", has_receptor=True)
    names = [TYPES[int(text[2:]) % len(TYPES)] for text in table["vdj_junction_aa"]]
    labels = pd.DataFrame({"subset": names, "branch": "t"}, index=table.index)
    sheet = pd.DataFrame(design, columns=["sample", "patient", "visit", "tissue", "response"])
    return bridge_repertoires(clonotypes, labels, bulk, sheet, 0, **SETTINGS), sheet


@pytest.fixture(scope="module")
def cohort():
    return bridged(6)


def draw(cohort, **changes):
    tables, design = cohort
    given = [tables[name] for name in ("subsets", "agreement", "capture", "clones")]
    return draw_bridge(*given, design, STUDY, **DRAWN | changes)


def test_there_is_a_panel_per_sample_with_a_point_per_clone(cohort):
    figure = draw(cohort)[FREQUENCIES]
    words = check(figure)
    agreement = cohort[0]["agreement"].set_index("sample")
    assert len([axes for axes in figure.axes if axes.axison]) == len(agreement) == 9
    for sample, row in agreement.iterrows():
        (points,) = artists(figure, f"sample:{sample}")
        assert len(points.get_offsets()) == row["matched_clones"]
    assert f"{agreement['matched_clones'].sum():,} clones found in both" in words
    assert "SIMULATED" in words


def test_responders_come_first_and_visits_in_order(cohort):
    figure = draw(cohort)[FREQUENCIES]
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles[:4] == ["p0  Baseline", "p0  On treatment", "p3  Baseline", "p1  Baseline"]


def test_bars_are_the_shares_of_the_table(cohort):
    figure = draw(cohort, named_subsets=4)[SUBSETS]
    check(figure)
    table = cohort[0]["subsets"]
    for subset in TYPES:
        widths = [bar.get_width() for bar in artists(figure, f"subset:{subset}")]
        assert sorted(widths) == pytest.approx(sorted(100 * table.loc[table["subset"] == subset, "bulk_share"]))


def test_small_subsets_share_one_grey(cohort):
    from matplotlib.colors import to_hex

    figure = draw(cohort)[SUBSETS]
    assert "Smaller subsets" in check(figure)
    colours = {name: to_hex(artists(figure, f"subset:{name}")[0].get_facecolor()).upper() for name in TYPES}
    assert list(colours.values()).count(OTHERS) == 2


def test_capture_shows_found_beside_expected(cohort):
    figure = draw(cohort)[SUBSETS]
    right = figure.axes[1]
    found, expected = right.get_lines()
    with_clones = cohort[0]["capture"].query("clones > 0")
    assert sorted(found.get_ydata()) == pytest.approx(sorted(100 * with_clones["share"]))
    assert len(expected.get_ydata()) == len(with_clones)


def test_labels_of_many_patients_do_not_cover_each_other():
    figures = draw(bridged(14), columns=8)
    for figure in figures.values():
        check(figure)
    assert_no_overlap([text for text in texts_of(figures[FREQUENCIES]) if text.get_text().startswith("ρ")])


def test_without_common_clones_a_page_says_so():
    empty = {name: pd.DataFrame(columns=columns) for name, columns in COLUMNS.items()}
    design = pd.DataFrame(columns=["sample", "patient", "visit", "tissue", "response"])
    for figure in draw((empty, design)).values():
        assert "No sample has clones in single cells and in a bulk repertoire" in check(figure).replace("\n", " ")
