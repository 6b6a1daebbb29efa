import anndata
import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, assert_no_overlap, check

from immune_landscape.display_text import shown
from immune_landscape.draw_cells import COLUMNS, draw_cells, umap_table


def draw(table, branch="t", **settings):
    return draw_cells(table, branch, made.STUDY, **{"max_points": 50_000, "point_size": None, **settings})


@pytest.mark.parametrize("branch", ["all", "nk", "t"])
def test_every_label_is_named_once_on_the_data(branch):
    table = made.umap_of(made.design_of(), branch, 3000)
    figure = draw(table, branch)
    check(figure)
    for axes, column in zip((figure.axes[0], figure.axes[-1]), ("label", "cluster_name"), strict=True):
        texts = [text for text in artists(figure, "cluster_label") if text.axes is axes]
        assert len(texts) == (table[column].nunique() if (table[column] != "").any() else 0)
        assert_no_overlap(texts, slack=0)


def test_many_labels_leave_their_cells_readable():
    table = made.umap_of(made.design_of(), "t", 6000)
    figure = draw(table)
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
    assert f"Baseline  {len(here):,} cells" in words
    assert f"Responders {(here['response'] == 'responder').sum():,}" in words


def test_works_without_response_and_with_one_sample():
    words = check(draw(made.umap_of(made.design_of(1, 0, ("baseline",), response=False), cells=80)))
    assert "One batch" in words
    assert "Responders" not in words


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
