import anndata
import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, assert_no_overlap, check
from matplotlib.colors import to_rgba_array

from immune_landscape.display_text import shown
from immune_landscape.draw_cells import COLUMNS, draw_cells, scattered_labels, umap_table
from immune_landscape.palette import FAINT


def draw(table, branch="t", **settings):
    return draw_cells(
        table, branch, made.STUDY, **{"max_points": 50_000, "point_size": None, "min_own": 1 / 3, **settings}
    )


@pytest.mark.parametrize("branch", ["all", "nk", "t"])
def test_every_label_is_named_once_on_the_data(branch):
    table = made.umap_of(made.design_of(), branch, 3000)
    figure = draw(table, branch, min_own=0.0)
    check(figure)
    for axes, column in zip((figure.axes[0], figure.axes[-1]), ("label", "cluster_name"), strict=True):
        texts = [text for text in artists(figure, "cluster_label") if text.axes is axes]
        assert len(texts) == (table[column].nunique() if (table[column] != "").any() else 0)
        assert_no_overlap(texts, slack=0)


def test_many_labels_leave_their_cells_readable():
    table = made.umap_of(made.design_of(), "t", 6000)
    figure = draw(table, min_own=0.0)
    assert table["label"].nunique() >= 14
    figure.draw_without_rendering()
    main = figure.axes[0]
    texts = [text for text in artists(figure, "cluster_label") if text.axes is main]
    centres = table.groupby("label")[["umap_1", "umap_2"]].median()
    names = {shown(made.STUDY, label): label for label in centres.index}
    for text in texts:
        place = centres.loc[names[text.get_text()]].to_numpy()
        moved = main.transData.transform(text.get_position()) - main.transData.transform(place)
        assert np.abs(moved).max() < 0.25 * main.bbox.width


def test_clusters_are_named_in_a_panel_of_their_own_where_they_have_names():
    table = made.umap_of(made.design_of(), "nk", 1500)
    assert "c1-GENE0" in check(draw(table, "nk"))
    assert "GENE" not in check(draw(table.assign(cluster_name=""), "nk"))
    assert len(draw(table, "nk").axes) == len(draw(table.assign(cluster_name=""), "nk").axes) + 1


def test_all_cells_are_drawn_or_the_number_drawn_is_said():
    table = made.umap_of(made.design_of(), cells=3000)
    assert len(draw(table).axes[0].collections[0].get_offsets()) == 3000
    figure = draw(table, max_points=1000)
    assert len(figure.axes[0].collections[0].get_offsets()) == 1000
    assert "1,000 drawn at random" in check(figure)


def test_points_shrink_with_their_number_and_are_rasterised():
    sizes = []
    for cells in (300, 30_000):
        points = draw(made.umap_of(made.design_of(), cells=cells)).axes[0].collections[0]
        assert points.get_rasterized()
        sizes.append(points.get_sizes()[0])
    assert sizes[0] > 5 * sizes[1]


def test_visits_count_their_cells_by_response():
    table = made.umap_of(made.design_of(), cells=500)
    words = check(draw(table))
    here = table[table["visit"] == "baseline"]
    assert "Baseline: 19 patients" in words
    assert f"6 responders, {(here['response'] == 'responder').sum():,} cells" in words
    assert f"13 non-responders, {(here['response'] == 'non_responder').sum():,} cells" in words


def test_cells_that_are_not_drawn_are_counted_all_the_same():
    table = made.umap_of(made.design_of(), cells=3000)
    responders = ((table["visit"] == "baseline") & (table["response"] == "responder")).sum()
    assert f"6 responders, {responders:,} cells" in check(draw(table, max_points=1000))
    assert f"3,000 cells in {table['sample'].nunique()} samples of 19 patients" in check(draw(table, max_points=1000))


def test_visits_beyond_the_small_panels_are_told():
    visits = [f"week_{at}" for at in range(7)]
    table = made.umap_of(made.design_of(visits=visits), cells=700)
    study = made.STUDY | {"visits": visits}
    settings = {"max_points": 1000, "point_size": None, "min_own": 0.0}
    assert "Small panels: the first 5 of 7 visits." in check(draw_cells(table, "t", study, **settings))
    assert "Small panels" not in check(draw(made.umap_of(made.design_of(), cells=100)))


def islands(seed=0):
    """Return a map of two islands, one of them small, and cells of two more labels scattered on the first."""
    rng = np.random.default_rng(seed)
    sizes = {"cd4_tn": 800, "treg": 30, "dnt": 60, "mait": 3}
    label = np.repeat(list(sizes), list(sizes.values()))
    table = made.umap_of(made.design_of(), cells=len(label)).assign(label=label, cluster_name="")
    table[["umap_1", "umap_2"]] = rng.normal(0, 3, (len(label), 2))
    table.loc[label == "treg", ["umap_1", "umap_2"]] = rng.normal(20, 0.05, (30, 2))
    return table


def test_labels_without_a_place_are_listed_and_their_cells_are_grey():
    table = islands()
    assert scattered_labels(table, 1 / 3) == ["dnt", "mait"]
    assert scattered_labels(table.sample(frac=1, random_state=1), 1 / 3) == ["dnt", "mait"]
    assert scattered_labels(table, 0.0) == []
    figure = draw(table)
    assert "Grey, as their cells lie among others': DN T (60), MAIT (3)." in check(figure).replace("\n", " ")
    assert {text.get_text() for text in artists(figure, "cluster_label")} == {"CD4 Tn", "Treg"}
    colours = figure.axes[0].collections[0].get_facecolors()
    grey = (colours == to_rgba_array(FAINT)).all(axis=1)
    assert grey.sum() == 63
    assert "Grey" not in check(draw(table, min_own=0.0))


def test_a_label_does_not_hide_a_small_island():
    figure = draw(islands())
    figure.draw_without_rendering()
    (label,) = (text for text in artists(figure, "cluster_label") if text.get_text() == "Treg")
    table = islands()
    places = table.loc[table["label"] == "treg", ["umap_1", "umap_2"]].to_numpy()
    box = label.get_window_extent()
    hidden = [box.contains(*place) for place in figure.axes[0].transData.transform(places)]
    assert np.mean(hidden) < 0.1


def test_one_distance_is_as_long_across_as_along():
    for axes in draw(made.umap_of(made.design_of(), cells=300)).axes:
        assert axes.get_aspect() == 1


def test_works_without_response_and_with_one_sample():
    words = check(draw(made.umap_of(made.design_of(1, 0, ("baseline",), response=False), cells=80)))
    assert "One batch" in words
    assert "responders" not in words
    assert "80 cells" in words


def test_many_batches_are_counted_not_listed():
    table = made.umap_of(made.design_of(), cells=2000)
    table["batch"] = [f"batch{at % 40}" for at in range(len(table))]
    assert "40 batches" in check(draw(table))


def test_a_branch_without_a_map_says_so():
    table = made.umap_of(made.design_of(), cells=15).assign(umap_1=np.nan, umap_2=np.nan)
    assert "15 cells of this branch: too few" in check(draw(table))


def test_umap_table_joins_places_labels_and_samples():
    design = made.design_of(2, 1, missing=0)
    cells = ["P01_baseline:a", "P02_on_treatment:b", "P02_baseline:c"]
    places = np.arange(6, dtype=float).reshape(3, 2)
    clusters = anndata.AnnData(obs=pd.DataFrame(index=cells), obsm={"X_umap": places})
    labels = pd.DataFrame(
        {
            "sample": ["P02_on_treatment", "P01_baseline"],
            "lineage": ["t", "t"],
            "subset": ["treg", "mait"],
            "cluster_name": ["c1-FOXP3", "c2-SLC4A10"],
        },
        index=[cells[1], cells[0]],
    )
    table = umap_table(clusters, labels, design, "t")
    assert list(table.columns) == COLUMNS
    assert table[["cell", "label", "cluster_name", "umap_1", "visit", "response"]].to_numpy().tolist() == [
        [cells[0], "mait", "c2-SLC4A10", 0.0, "baseline", "responder"],
        [cells[1], "treg", "c1-FOXP3", 2.0, "on_treatment", "non_responder"],
    ]
    everything = umap_table(clusters, labels, design, "all")
    assert set(everything["label"]) == {"t"}
    assert set(everything["cluster_name"]) == {""}
