import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_no_overlap, check, tick_texts
from figure_tables import STUDY

from immune_landscape.draw_clusters import draw_clusters
from immune_landscape.name_clusters import COLUMNS, DOUBLET_RICH, NO_STATE, SHARE_COLUMNS

NAMES = ["c10-NCR3", "c4-ZEB2", "c4-ZEB2.2", "c1-HSP90AA1", "c2"]


def tables_of(patients=19, batches=4, clusters=5, seed=0):
    """Return the two tables of a branch; the second cluster is carried by one patient."""
    rng = np.random.default_rng(seed)
    names = [NAMES[at % 5] + ("" if at < 5 else f"-{at}") for at in range(clusters)]
    rows, parts = [], []
    for at, name in enumerate(names):
        cells = rng.multinomial(400, rng.dirichlet(np.full(patients, 2.0)))
        cells[0] += 4000 * (at == 1)
        own = pd.DataFrame(
            {"cluster": str(at), "name": name, "item": [f"P{i + 1:02d}" for i in range(patients)], "cells": cells}
        )
        batch = (
            own.assign(item=[f"b{i % batches + 1}" for i in range(patients)]).groupby(["cluster", "name", "item"]).sum()
        )
        for by, part in (("patient", own[own["cells"] > 0]), ("batch", batch.reset_index())):
            parts.append(part.assign(by=by, share=part["cells"] / part["cells"].sum()))
        rows.append(
            {
                "cluster": str(at), "name": name, "subset": "nk_adaptive" if at else "nk_c10_ncr3", "anchor": "",
                "cells": cells.sum(), "marker": "NCR3", "state": NO_STATE if at == 2 else "pub_inflamed_ccl3",
                "nearest": "pub_inflamed_ccl3", "similarity": 0.41, "runner_up": "pub_nk2", "margin": 0.07,
                "patients": patients,
                "largest_patient": "P01", "largest_patient_share": cells.max() / cells.sum(), "largest_batch": "b1",
                "largest_batch_share": 0.4, "doublet_share": 0.03, "flag": "one patient" if at == 1 else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)[COLUMNS], pd.concat(parts, ignore_index=True)[SHARE_COLUMNS]


def draw(clusters, shares, max_patients=80):
    return draw_clusters(clusters, shares, "nk", STUDY, max_patients=max_patients)


def test_clusters_are_named_with_state_and_cells_and_flagged():
    clusters, shares = tables_of()
    words = check(draw(clusters, shares))
    for name in NAMES:
        assert name in words
    assert "NK c10-NCR3" in words
    assert "Inflamed CCL3+ CCL4+  0.41 / 0.07" in words
    assert "(Inflamed CCL3+ CCL4+)  0.41 / 0.07" in words, "not claimed, and told all the same"
    assert f"P01 {clusters['largest_patient_share'][1]:.0%}" in words
    assert "Flagged: 1 cluster carried by one patient." in words
    assert "None flagged" in check(draw(clusters.assign(flag=""), shares))


def test_the_panels_hold_the_shares_of_the_table():
    clusters, shares = tables_of()
    _, patients, batches, _ = draw(clusters, shares).axes
    drawn = np.asarray(patients.images[0].get_array())
    own = shares[(shares["by"] == "patient") & (shares["cluster"] == "1")].set_index("item")["share"]
    assert drawn[1, 0] == pytest.approx(100 * own["P01"])
    assert drawn.sum(axis=1) == pytest.approx(100)
    widths = [bar.get_width() for bar in batches.patches]
    assert sum(widths) == pytest.approx(100 * len(clusters))


def test_many_patients_are_cut_to_the_largest_shares():
    clusters, shares = tables_of(patients=90, batches=30)
    figure = draw(clusters, shares)
    words = check(figure)
    assert "Columns: the 80 patients with the largest shares" in words
    assert "30 batches" in words
    assert len(figure.axes[1].images[0].get_array()[0]) == 80
    few = draw(clusters, shares, max_patients=5)
    assert "P01" in [text.get_text() for text in tick_texts(few.axes[1], "x")]


@pytest.mark.parametrize("clusters", [1, 30])
def test_few_and_many_clusters_fit(clusters):
    check(draw(*tables_of(clusters=clusters)))


def test_one_patient_in_one_batch():
    clusters, shares = tables_of(patients=1, batches=1)
    assert "One batch" in check(draw(clusters, shares))


def test_a_cluster_of_doublets_is_told_with_its_share_and_beside_other_reasons():
    clusters, shares = tables_of()
    clusters.loc[1, ["flag", "doublet_share"]] = [f"one patient, {DOUBLET_RICH}", 0.68]
    clusters.loc[3, ["flag", "doublet_share"]] = [DOUBLET_RICH, 0.71]
    figure = draw(clusters, shares)
    words = check(figure)
    assert "Flagged: 1 cluster carried by one patient, 2 clusters with the scores of doublets." in words
    assert f"P01 {clusters['largest_patient_share'][1]:.0%}\ndoublets 68%" in words
    assert "doublets 71%" in words
    assert_no_overlap(figure.axes[0].texts)


def test_a_branch_without_published_states_has_no_column_of_them():
    clusters, shares = tables_of()
    bare = clusters.assign(similarity=np.nan, margin=np.nan, state=NO_STATE, nearest="")
    words = check(draw(bare, shares))
    assert "published state" not in words
    assert "Label of most cells" in words
    assert "published state" in check(draw(clusters, shares))
    one = clusters.assign(similarity=clusters["similarity"].where(clusters["cluster"] == "0"))
    assert "–" in check(draw(one, shares))


def test_no_cells():
    clusters, shares = tables_of()
    assert "no cells to cluster" in check(draw(clusters.iloc[:0], shares.iloc[:0]))
