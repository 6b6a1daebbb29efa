import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check

from immune_landscape.draw_repertoires import draw_repertoires
from immune_landscape.measure_overlap import measure_overlap
from immune_landscape.measure_usage import USAGE_COLUMNS, measure_usage

VISITS = ["baseline", "on_treatment"]
STUDY = {"visits": VISITS, "simulated": True, "labels": {}}
SETTINGS = {"measure": "morisita_horn", "top_genes": 10}


def made(patients=5):
    """Return tables of patients whose samples share their clones, and share none with others."""
    rng = np.random.default_rng(0)
    clones, rows = {}, []
    for number in range(patients):
        share = (np.arange(800) + 2.0) ** -1.0
        genes = rng.choice([f"TRBV{each}" for each in range(1, 31)], 800)
        proteins = ["C" + "A" * length + "F" for length in rng.integers(9, 16, 800)]
        for visit in VISITS:
            counts = rng.multinomial(3_000, share / share.sum())
            sample = f"p{number}_{visit}"
            table = pd.DataFrame({"junction_aa": proteins, "v_call": genes, "j_call": "TRBJ1-1", "count": counts})
            table["junction"] = [f"TGT{each}" for each in range(800)]
            table["clonotype"] = [f"{number * 1000 + each:016x}" for each in range(800)]
            clones[sample] = table[counts > 0]
            rows.append((sample, f"p{number}", visit, "blood", ("responder", "non_responder")[number % 2]))
    design = pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "response"])
    depths = pd.DataFrame([(name, table["count"].sum()) for name, table in clones.items()])
    depths.columns = ["sample", "templates"]
    overlap = measure_overlap(clones.items(), design, min_templates=100)
    chosen = {"compared_kinds": [], "min_share": 0.0}
    usage, _, _ = measure_usage(clones.items(), depths, design, min_templates=100, **chosen)
    return overlap, usage, design


@pytest.fixture(scope="module")
def tables():
    return made()


def test_the_map_holds_the_overlap_of_every_pair(tables):
    overlap, _, _ = tables
    figure = draw_repertoires(*tables, STUDY, **SETTINGS)["overlap_usage"]
    words = check(figure)
    assert "10 samples of 5 patients" in words
    matrix = figure.axes[0].images[0].get_array().filled(np.nan) ** 2
    assert matrix.shape == (10, 10)
    assert np.isnan(np.diag(matrix)).all()
    same = overlap[overlap["same_patient"]].set_index("sample_a")["morisita_horn"]
    # Responders come first: p0, p2, p4, then p1, p3.
    assert matrix[0, 1] == pytest.approx(same["p0_baseline"])
    assert matrix[2, 3] == pytest.approx(same["p2_baseline"])
    assert matrix[0, 2] == 0


def test_genes_drawn_are_those_used_most_and_lengths_are_shares(tables):
    _, usage, _ = tables
    figure = draw_repertoires(*tables, STUDY, **SETTINGS)["overlap_usage"]
    genes = usage[usage["kind"] == "v_gene"].pivot_table(index="sample", columns="item", values="share_templates")
    top = genes.fillna(0).mean().sort_values(ascending=False, kind="stable").index[:10]
    drawn = [text.get_text() for text in figure.axes[2 if len(figure.axes[1].images) == 0 else 1].get_xticklabels()]
    assert drawn == [name.removeprefix("TRBV") for name in top]
    lines = artists(figure, "sample:p0_baseline")
    lengths = usage[(usage["kind"] == "cdr3_length") & (usage["sample"] == "p0_baseline")]
    assert max(lines[0].get_ydata()) == pytest.approx(100 * lengths["share_templates"].max())


def test_another_measure_may_be_drawn(tables):
    words = check(draw_repertoires(*tables, STUDY, **{**SETTINGS, "measure": "jaccard"})["overlap_usage"])
    assert "Jaccard overlap" in words


def test_groups_have_a_point_per_sample_and_a_line_at_their_median(tables):
    _, usage, design = tables
    figure = draw_repertoires(*tables, STUDY, **SETTINGS)["gene_usage"]
    words = check(figure)
    assert "Responders n = 3" in words
    assert "V genes, On treatment" in words
    genes = usage[usage["kind"] == "v_gene"].pivot_table(index="sample", columns="item", values="share_clonotypes")
    top = genes.fillna(0).mean().sort_values(ascending=False, kind="stable").index[:10]
    drawn = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert drawn == [name.removeprefix("TRBV") for name in top]
    (points,) = [line for line in figure.axes[0].lines if line.get_gid() == "group:responder"]
    chosen = design[(design["response"] == "responder") & (design["visit"] == "baseline")]["sample"]
    expected = 100 * genes.fillna(0).loc[chosen, top].to_numpy()
    assert np.sort(points.get_ydata()) == pytest.approx(np.sort(expected.ravel()))
    heights = [segment[0, 1] for segment in figure.axes[0].collections[0].get_segments()]
    assert heights == pytest.approx(np.median(expected, axis=0))


def test_one_sample_and_none(tables):
    _, usage, design = tables
    one = usage[usage["sample"] == "p0_baseline"]
    for figure in draw_repertoires(tables[0].head(0), one, design, STUDY, **SETTINGS).values():
        check(figure)
    empty = pd.DataFrame(columns=USAGE_COLUMNS)
    for figure in draw_repertoires(tables[0].head(0), empty, design, STUDY, **SETTINGS).values():
        assert "No bulk repertoire has enough templates" in check(figure)
